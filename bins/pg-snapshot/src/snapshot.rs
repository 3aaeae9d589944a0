//! What pg-snapshot leaves in its output directory: start.json, and after a stop that succeeded
//! backup_label, tablespace_map and, last of all, snapshot.json.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tool::{Failure, Status, stop::HalfDone};

use crate::cluster;

/// The names that are written here; none may be there before.
const NAMES: [&str; 4] = ["start.json", "snapshot.json", "backup_label", "tablespace_map"];

/// The content of start.json and, with what is known at the end, of snapshot.json.
#[derive(Debug, Serialize)]
pub struct Snapshot {
    /// `base_` and the name of the segment in which the backup starts.
    pub backup_name: String,
    /// As PostgreSQL prints it.
    pub start_lsn: String,
    /// At the end only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_lsn: Option<String>,
    /// Of the whole backup.
    pub timeline: u32,
    /// RFC 3339, UTC, right before the server was asked to start.
    pub start_time: String,
    /// The same after it had stopped; at the end only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_time: Option<String>,
    /// A number beyond 2^53.
    pub system_identifier: u64,
    /// 150018 for 15.18.
    pub server_version_num: u32,
    /// Bytes in a WAL segment.
    pub segment_size: u64,
    /// Bytes in a page.
    pub block_size: u32,
    /// Whether pages carry checksums.
    pub data_checksums: bool,
    /// By its real path.
    pub data_directory: String,
    /// Of this machine.
    pub hostname: String,
    /// Whether the backup is of a standby.
    pub in_recovery: bool,
    /// Bytes that lstat(2) saw of everything in the list; at the end only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog_size: Option<u64>,
    /// Without in-place ones.
    pub tablespaces: Vec<Space>,
}

/// A tablespace in [`Snapshot`].
#[derive(Debug, Serialize)]
pub struct Space {
    /// The name of its link.
    pub oid: u32,
    /// Where the link leads.
    pub location: String,
}

/// The output directory.
#[derive(Debug)]
pub struct Out(PathBuf);

impl Out {
    /// The directory `path`, by its real path.
    ///
    /// # Errors
    /// 66 where it is missing, 73 where it holds what an earlier backup left.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let dir = cluster::real(path)?;
        if let Some(name) = NAMES.iter().find(|name| dir.join(name).symlink_metadata().is_ok()) {
            let text = format!("{} is there already", dir.join(name).display());
            return Err(Failure::new(Status::Exists, text).hint("Each backup needs an empty directory of its own."));
        }
        Ok(Self(dir))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes start.json; its path.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn start(&self, snapshot: &Snapshot) -> Result<PathBuf, Failure> {
        self.write("start.json", &json(snapshot)?)
    }

    /// Writes the label and the map byte for byte, then snapshot.json: who sees that sees all three.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn finish(&self, snapshot: &Snapshot, label: &[u8], map: &[u8]) -> Result<(), Failure> {
        self.write("backup_label", label)?;
        self.write("tablespace_map", map)?;
        self.write("snapshot.json", &json(snapshot)?).map(drop)
    }

    /// A whole and durable file, or none.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
        let path = self.0.join(name);
        let temporary = self.0.join(format!("{name}.tmp"));
        let _half_done = HalfDone::new(&temporary);
        let publish = || {
            let mut file = File::create(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            File::open(&self.0)?.sync_all()
        };
        publish().map_err(|e| {
            let _ = std::fs::remove_file(&temporary);
            Failure::io(format_args!("cannot write {}", path.display()), &e)
        })?;
        Ok(path)
    }
}

fn json(snapshot: &Snapshot) -> Result<Vec<u8>, Failure> {
    let mut bytes = serde_json::to_vec(snapshot).map_err(|e| Failure::new(Status::Bug, format!("no JSON: {e}")))?;
    bytes.push(b'\n');
    Ok(bytes)
}
