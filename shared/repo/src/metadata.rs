//! metadata.json: what lists and retention go by.

use std::io::Read;

use jiff::Timestamp;
use pg::Lsn;
use serde::Serialize;
use serde_json::Value;

use crate::json::{self, Fields};
use crate::{Error, Sentinel, sentinel};

/// What metadata.json says; since v0.2.10. Written with exactly the keys of v3.0.9, in its order.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Metadata {
    /// When the backup was started: what backups are ordered by.
    #[serde(serialize_with = "json::time")]
    pub start_time: Option<Timestamp>,
    /// When its metadata was put together, after the stop.
    #[serde(serialize_with = "json::time")]
    pub finish_time: Option<Timestamp>,
    /// A constant.
    #[serde(rename = "date_fmt", serialize_with = "json::date_format")]
    pub date_format: (),
    /// The host that took it; may be empty.
    pub hostname: String,
    /// The server's data directory.
    pub data_dir: String,
    /// `server_version_num`; 0 where it is not known.
    pub pg_version: u32,
    /// Where the backup starts; 0/0 where it is not known.
    #[serde(serialize_with = "json::lsn")]
    pub start_lsn: Lsn,
    /// Where it ends; 0/0 where it is not known.
    #[serde(serialize_with = "json::lsn")]
    pub finish_lsn: Lsn,
    /// Never to be deleted by a policy. Here, not in the sentinel, is what holds.
    pub is_permanent: bool,
    /// Whose backup this is; null where it is not known.
    pub system_identifier: Option<u64>,
    /// In bytes, since v0.2.13.
    pub uncompressed_size: u64,
    /// In bytes, since v0.2.13.
    pub compressed_size: u64,
    /// Whatever the user added; what a selection by user data compares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_data: Option<Value>,
}

const KEYS: &[&str] = &[
    "start_time",
    "finish_time",
    "hostname",
    "data_dir",
    "pg_version",
    "start_lsn",
    "finish_lsn",
    "is_permanent",
    "system_identifier",
    "uncompressed_size",
    "compressed_size",
    "user_data",
];

impl Metadata {
    /// Reads metadata.json of any version. [`Error::Corrupt`] where it is cut short or a key that
    /// counts has a wrong type.
    pub fn read(reader: impl Read) -> Result<Metadata, Error> {
        let mut fields = Fields::read("metadata.json", reader, KEYS)?;
        Ok(Metadata {
            start_time: fields.time("start_time"),
            finish_time: fields.time("finish_time"),
            date_format: (),
            hostname: fields.string("hostname")?.unwrap_or_default(),
            data_dir: fields.string("data_dir")?.unwrap_or_default(),
            pg_version: sentinel::small(fields.number("pg_version")?),
            start_lsn: Lsn(fields.number("start_lsn")?.unwrap_or(0)),
            finish_lsn: Lsn(fields.number("finish_lsn")?.unwrap_or(0)),
            is_permanent: fields.flag("is_permanent")?.unwrap_or(false),
            system_identifier: fields.number("system_identifier")?,
            uncompressed_size: fields.number("uncompressed_size")?.unwrap_or(0),
            compressed_size: fields.number("compressed_size")?.unwrap_or(0),
            user_data: fields.any("user_data"),
        })
    }

    /// What belongs beside this sentinel: the two say the same where they overlap.
    pub fn of(sentinel: &Sentinel) -> Metadata {
        Metadata {
            start_time: sentinel.start_time,
            finish_time: sentinel.finish_time,
            date_format: (),
            hostname: sentinel.hostname.clone(),
            data_dir: sentinel.data_dir.clone(),
            pg_version: sentinel.pg_version,
            start_lsn: sentinel.lsn.unwrap_or_default(),
            finish_lsn: sentinel.finish_lsn.unwrap_or_default(),
            is_permanent: sentinel.is_permanent,
            system_identifier: sentinel.system_identifier,
            uncompressed_size: sentinel.uncompressed_size,
            compressed_size: sentinel.compressed_size,
            user_data: sentinel.user_data.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::to_text;

    // Fixture v309-pg15-lz4-full, and spec/sentinel.md §2.
    const REAL: [&str; 2] = [
        r#"{"start_time":"2026-11-23T02:08:37.770649Z","finish_time":"2026-11-23T02:08:38.9658Z","date_fmt":"%Y-%m-%dT%H:%M:%S.%fZ","hostname":"db1","data_dir":"/srv/db/data","pg_version":150020,"start_lsn":50331688,"finish_lsn":50331904,"is_permanent":false,"system_identifier":7711183061238868958,"uncompressed_size":20190945,"compressed_size":3807623}"#,
        r#"{"start_time":"2026-01-02T03:04:05.123456Z","finish_time":"2026-01-02T03:04:09Z","date_fmt":"%Y-%m-%dT%H:%M:%S.%fZ","hostname":"db1","data_dir":"/srv/pg","pg_version":150018,"start_lsn":83886120,"finish_lsn":83886336,"is_permanent":true,"system_identifier":null,"uncompressed_size":1804289,"compressed_size":310022,"user_data":{"who":"\u003ccron\u003e","n":[1,2.5,null]}}"#,
    ];

    #[test]
    fn real_metadata_is_written_back_byte_for_byte() {
        for text in REAL {
            assert_eq!(to_text(&Metadata::read(text.as_bytes()).unwrap()), text);
        }
    }

    #[test]
    fn what_is_made_from_a_sentinel_says_the_same() {
        let sentinel = r#"{"LSN":50331688,"PgVersion":150020,"FinishLSN":50331904,"SystemIdentifier":7711183061238868958,"UncompressedSize":20190945,"CompressedSize":3807623,"StartTime":"2026-11-23T02:08:37.770649Z","FinishTime":"2026-11-23T02:08:38.9658Z","Hostname":"db1","DataDir":"/srv/db/data"}"#;
        assert_eq!(to_text(&Metadata::of(&Sentinel::read(sentinel.as_bytes()).unwrap())), REAL[0]);
    }
}
