//! snapshot.json: what pg-snapshot wrote down of a backup that it started and stopped.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use pg::{Lsn, SegmentName, SegmentSize};
use repo::BackupName;
use serde::{Deserialize, Deserializer};
use tool::{Failure, Status};

/// A backup whose session ended well (contracts.md, "pg-snapshot → tarpart").
#[derive(Debug, Deserialize)]
pub struct Snapshot {
    #[serde(deserialize_with = "from_text")]
    pub backup_name: BackupName,
    #[serde(deserialize_with = "from_text")]
    pub start_lsn: Lsn,
    #[serde(deserialize_with = "from_text")]
    pub stop_lsn: Lsn,
    pub timeline: u32,
    #[serde(deserialize_with = "from_text")]
    pub start_time: Timestamp,
    #[serde(deserialize_with = "from_text")]
    pub finish_time: Timestamp,
    pub system_identifier: u64,
    pub server_version_num: u32,
    /// In bytes.
    pub segment_size: u64,
    pub data_directory: String,
    #[serde(default)]
    pub hostname: String,
    /// Whether the server was a standby.
    #[serde(default)]
    pub in_recovery: bool,
    /// In bytes.
    #[serde(default)]
    pub catalog_size: u64,
    #[serde(default)]
    pub tablespaces: Vec<Location>,
}

/// A tablespace and where it is.
#[derive(Debug, Deserialize)]
pub struct Location {
    #[serde(deserialize_with = "oid")]
    pub oid: String,
    pub location: String,
}

impl Snapshot {
    /// Reads DIR/snapshot.json; 66 where there is none, 65 where it is not whole or contradicts itself.
    pub fn read(dir: &Path) -> Result<Snapshot, Failure> {
        let path = dir.join("snapshot.json");
        let shown = path.display();
        let text = fs::read(&path).map_err(|e| Failure::io(format_args!("cannot read {shown}"), &e))?;
        let corrupt = |why: String| Failure::new(Status::Data, format!("cannot use {shown}: {why}"));
        let snapshot: Snapshot = serde_json::from_slice(&text).map_err(|e| corrupt(e.to_string()))?;
        if snapshot.stop_lsn < snapshot.start_lsn || snapshot.start_lsn.is_invalid() {
            return Err(corrupt(format!("it starts at {} and stops at {}", snapshot.start_lsn, snapshot.stop_lsn)));
        }
        let segment = snapshot.backup_name.segment();
        if segment.is_none_or(|segment| segment.timeline() != snapshot.timeline) {
            let (name, timeline) = (&snapshot.backup_name, snapshot.timeline);
            return Err(corrupt(format!("{name} is no name of a backup on timeline {timeline}")));
        }
        SegmentSize::new(snapshot.segment_size).map_err(|e| corrupt(e.to_string()))?;
        Ok(snapshot)
    }

    /// The WAL without which the backup is worth nothing.
    pub fn segments(&self) -> Vec<SegmentName> {
        let size = SegmentSize::new(self.segment_size).unwrap_or(SegmentSize::DEFAULT); // looked at above
        size.range(self.timeline, self.start_lsn, self.stop_lsn).collect()
    }
}

fn from_text<'de, T, D>(json: D) -> Result<T, D::Error>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
    D: Deserializer<'de>,
{
    String::deserialize(json)?.parse().map_err(serde::de::Error::custom)
}

/// A number, or its digits.
fn oid<'de, D: Deserializer<'de>>(json: D) -> Result<String, D::Error> {
    let value = serde_json::Value::deserialize(json)?;
    let digits = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    digits.parse::<u32>().map_err(serde::de::Error::custom)?;
    Ok(digits)
}
