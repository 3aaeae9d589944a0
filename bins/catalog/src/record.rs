//! A backup as one line of JSON: what scripts and `retain` read.

use pg::Lsn;
use repo::{Backup, first_segment};
use serde::Serialize;
use serde_json::Value;

/// The keys of a line; new ones are only added. Not known is null.
#[derive(Serialize)]
pub struct Record {
    name: String,
    /// `full` or `delta`; `unreadable` for a sentinel that is none (see [`unreadable`]).
    kind: &'static str,
    /// The backup right below a delta.
    base: Option<String>,
    /// The full one at the bottom of a delta's chain.
    full: Option<String>,
    delta_count: Option<u64>,
    /// By the name, as is `wal_file`.
    timeline: Option<u32>,
    wal_file: Option<String>,
    start_lsn: Option<String>,
    finish_lsn: Option<String>,
    start_time: Option<String>,
    finish_time: Option<String>,
    /// When the sentinel was stored, by the store's clock.
    stored: Option<String>,
    permanent: bool,
    system_identifier: Option<u64>,
    server_version_num: Option<u32>,
    /// In bytes.
    uncompressed_size: u64,
    /// In bytes.
    compressed_size: u64,
    hostname: String,
    data_directory: String,
    tablespaces: Vec<Tablespace>,
    /// False: on purpose there is no list of its files.
    files_metadata: bool,
    /// False: sealed without looking for its WAL. Null: nobody says so.
    wal_checked: Option<bool>,
    user_data: Option<Value>,
}

#[derive(Serialize)]
struct Tablespace {
    oid: String,
    location: String,
}

impl Record {
    /// Of that backup.
    pub fn of(backup: &Backup) -> Record {
        let (metadata, sentinel) = (backup.metadata(), &backup.sentinel);
        let delta = sentinel.delta.as_ref();
        let time = |time: Option<_>| time.map(repo::time::to_text);
        let lsn = |lsn: Option<Lsn>| lsn.map(|lsn| lsn.to_string());
        let tablespace = |t: &repo::Tablespace| Tablespace { oid: t.name.clone(), location: t.location.clone() };
        Record {
            name: backup.name.to_string(),
            kind: if delta.is_some() { "delta" } else { "full" },
            base: backup.base().map(str::to_owned),
            full: delta.and_then(|d| d.full_name.clone()),
            delta_count: delta.and_then(|d| d.count),
            timeline: backup.timeline(),
            wal_file: first_segment(backup.name.as_str()).map(str::to_owned),
            start_lsn: lsn(backup.start_lsn()),
            finish_lsn: lsn(backup.finish_lsn()),
            start_time: time(backup.start_time()),
            finish_time: time(backup.finish_time()),
            stored: backup.stored.map(|time| time.to_string()),
            permanent: backup.is_permanent(),
            system_identifier: backup.system_identifier(),
            server_version_num: Some(metadata.pg_version).filter(|&version| version != 0),
            uncompressed_size: metadata.uncompressed_size,
            compressed_size: metadata.compressed_size,
            hostname: metadata.hostname,
            data_directory: metadata.data_dir,
            tablespaces: sentinel.spec.iter().flat_map(|spec| &spec.tablespaces).map(tablespace).collect(),
            files_metadata: !sentinel.files_metadata_disabled,
            wal_checked: Some(false).filter(|_| !sentinel.wal_checked),
            user_data: metadata.user_data,
        }
    }
}

/// The line for a backup whose sentinel cannot be read: it is there, nothing else is known.
pub fn unreadable(name: &str, why: &str) -> Value {
    serde_json::json!({ "name": name, "kind": "unreadable", "error": why })
}
