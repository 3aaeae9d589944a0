//! The sentinel: the object that makes a backup visible.

use std::io::Read;

use jiff::Timestamp;
use pg::Lsn;
use serde::Serialize;
use serde_json::Value;

use crate::json::{self, Fields};
use crate::{Error, Spec};

/// What a sentinel says. Written with exactly the keys of v3.0.9, in its order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sentinel {
    /// Where the backup starts: the redo position of its checkpoint.
    #[serde(rename = "LSN", serialize_with = "json::lsn_or_null")]
    pub lsn: Option<Lsn>,
    /// There for a delta only.
    #[serde(flatten)]
    pub delta: Option<Delta>,
    /// `server_version_num`; 0 where it is not known.
    #[serde(rename = "PgVersion")]
    pub pg_version: u32,
    /// Where it ends: what the stop function returned.
    #[serde(rename = "FinishLSN", serialize_with = "json::lsn_or_null")]
    pub finish_lsn: Option<Lsn>,
    /// Whose backup this is; since v0.2.13.
    #[serde(rename = "SystemIdentifier", skip_serializing_if = "Option::is_none")]
    pub system_identifier: Option<u64>,
    /// The sum of the payloads of all tar members, in bytes; since v0.2.13.
    #[serde(rename = "UncompressedSize")]
    pub uncompressed_size: u64,
    /// The sum of the stored parts, in bytes; since v0.2.13.
    #[serde(rename = "CompressedSize")]
    pub compressed_size: u64,
    /// The sum of the sizes of everything that was walked, directories included; 0 is not written.
    #[serde(rename = "DataCatalogSize", skip_serializing_if = "is_zero")]
    pub data_catalog_size: u64,
    /// The tablespaces, where there are any.
    #[serde(rename = "Spec", skip_serializing_if = "Option::is_none")]
    pub spec: Option<Spec>,
    /// Whatever the user added.
    #[serde(rename = "UserData", skip_serializing_if = "Option::is_none")]
    pub user_data: Option<Value>,
    /// There is no files_metadata.json, on purpose.
    #[serde(rename = "FilesMetadataDisabled", skip_serializing_if = "is_false")]
    pub files_metadata_disabled: bool,
    /// Of another storage engine, always null here.
    #[serde(rename = "ChkpNum")]
    pub checkpoint_number: (),
    /// 2 since files_metadata.json came, 0 before.
    #[serde(rename = "Version")]
    pub version: u32,
    /// When the backup was started.
    #[serde(rename = "StartTime", serialize_with = "json::time")]
    pub start_time: Option<Timestamp>,
    /// When its metadata was put together, after the stop.
    #[serde(rename = "FinishTime", serialize_with = "json::time")]
    pub finish_time: Option<Timestamp>,
    /// A constant.
    #[serde(rename = "DateFmt", serialize_with = "json::date_format")]
    pub date_format: (),
    /// The host that took it; may be empty.
    #[serde(rename = "Hostname")]
    pub hostname: String,
    /// The server's data directory.
    #[serde(rename = "DataDir")]
    pub data_dir: String,
    /// Whether it was pushed as permanent; metadata.json has what holds now.
    #[serde(rename = "IsPermanent")]
    pub is_permanent: bool,
    /// False if the backup was sealed without looking for its WAL (contracts.md); true is not
    /// written, and is also read from WAL-G's own, which never look.
    #[serde(rename = "WalpipeWalChecked", skip_serializing_if = "is_true")]
    pub wal_checked: bool,
}

/// What makes a backup a delta. A sound one has all four.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delta {
    /// The start of the backup below: pages from there on are in this one. `DeltaFromLSN` before v1.1.1.
    #[serde(rename = "DeltaLSN", serialize_with = "json::lsn_or_null", skip_serializing_if = "Option::is_none")]
    pub lsn: Option<Lsn>,
    /// The backup right below.
    #[serde(rename = "DeltaFrom")]
    pub from: String,
    /// The full backup at the bottom.
    #[serde(rename = "DeltaFullName", skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    /// How many deltas up this one is, from 1.
    #[serde(rename = "DeltaCount", skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

const KEYS: &[&str] = &[
    "lsn",
    "deltalsn",
    "deltafromlsn",
    "deltafrom",
    "deltafullname",
    "deltacount",
    "pgversion",
    "finishlsn",
    "systemidentifier",
    "uncompressedsize",
    "compressedsize",
    "datacatalogsize",
    "spec",
    "userdata",
    "filesmetadatadisabled",
    "version",
    "starttime",
    "finishtime",
    "hostname",
    "datadir",
    "ispermanent",
    "walpipewalchecked",
];

impl Default for Sentinel {
    /// One of the present form that says nothing yet.
    fn default() -> Sentinel {
        Sentinel {
            lsn: None,
            delta: None,
            pg_version: 0,
            finish_lsn: None,
            system_identifier: None,
            uncompressed_size: 0,
            compressed_size: 0,
            data_catalog_size: 0,
            spec: None,
            user_data: None,
            files_metadata_disabled: false,
            checkpoint_number: (),
            version: 2,
            start_time: None,
            finish_time: None,
            date_format: (),
            hostname: String::new(),
            data_dir: String::new(),
            is_permanent: false,
            wal_checked: true,
        }
    }
}

impl Sentinel {
    /// Reads the sentinel of any version; a file list inside (before v1.1.1) is passed over without
    /// being kept. [`Error::Corrupt`] where it is cut short or a key that counts has a wrong type.
    pub fn read(reader: impl Read) -> Result<Sentinel, Error> {
        let mut fields = Fields::read("sentinel", reader, KEYS)?;
        let (delta_lsn, older) = (fields.number("deltalsn")?, fields.number("deltafromlsn")?);
        let (full_name, count) = (fields.string("deltafullname")?, fields.number("deltacount")?);
        let delta =
            fields.string("deltafrom")?.map(|from| Delta { lsn: delta_lsn.or(older).map(Lsn), from, full_name, count });
        Ok(Sentinel {
            lsn: fields.number("lsn")?.map(Lsn),
            delta,
            pg_version: small(fields.number("pgversion")?),
            finish_lsn: fields.number("finishlsn")?.map(Lsn),
            system_identifier: fields.number("systemidentifier")?,
            uncompressed_size: fields.number("uncompressedsize")?.unwrap_or(0),
            compressed_size: fields.number("compressedsize")?.unwrap_or(0),
            data_catalog_size: fields.number("datacatalogsize")?.unwrap_or(0),
            spec: fields.any("spec").as_ref().map(Spec::of).transpose()?,
            user_data: fields.any("userdata"),
            files_metadata_disabled: fields.flag("filesmetadatadisabled")?.unwrap_or(false),
            checkpoint_number: (),
            version: small(fields.number("version")?),
            start_time: fields.time("starttime"),
            finish_time: fields.time("finishtime"),
            date_format: (),
            hostname: fields.string("hostname")?.unwrap_or_default(),
            data_dir: fields.string("datadir")?.unwrap_or_default(),
            is_permanent: fields.flag("ispermanent")?.unwrap_or(false),
            wal_checked: fields.flag("walpipewalchecked")?.unwrap_or(true),
        })
    }
}

/// A version number; one that does not fit is no version.
pub(crate) fn small(number: Option<u64>) -> u32 {
    number.and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_true(flag: &bool) -> bool {
    *flag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::to_text;

    // Fixture v309-pg15-lz4-full.
    const FULL: &str = r#"{"LSN":50331688,"PgVersion":150020,"FinishLSN":50331904,"SystemIdentifier":7711183061238868958,"UncompressedSize":20190945,"CompressedSize":3807623,"DataCatalogSize":20309766,"Spec":{"16384":{"loc":"/srv/db/ts1","link":"pg_tblspc/16384"},"base_prefix":"/srv/db/data","tablespaces":["16384"]},"ChkpNum":null,"Version":2,"StartTime":"2026-11-23T02:08:37.770649Z","FinishTime":"2026-11-23T02:08:38.9658Z","DateFmt":"%Y-%m-%dT%H:%M:%S.%fZ","Hostname":"db1","DataDir":"/srv/db/data","IsPermanent":false}"#;
    // spec/sentinel.md §1.2 and §1.3.
    const DELTA: &str = r#"{"LSN":83886120,"DeltaLSN":50331688,"DeltaFrom":"base_000000010000000000000003","DeltaFullName":"base_000000010000000000000003","DeltaCount":1,"PgVersion":150018,"FinishLSN":83886336,"SystemIdentifier":7211111111111111111,"UncompressedSize":1804289,"CompressedSize":310022,"DataCatalogSize":31744511,"UserData":{"who":"cron"},"ChkpNum":null,"Version":2,"StartTime":"2026-01-02T03:04:05.123456Z","FinishTime":"2026-01-02T03:04:09Z","DateFmt":"%Y-%m-%dT%H:%M:%S.%fZ","Hostname":"db1","DataDir":"/srv/pg","IsPermanent":false}"#;
    const OLD: &str = r#"{"LSN":83886120,"DeltaFromLSN":50331688,"DeltaFrom":"base_000000010000000000000003","DeltaFullName":"base_000000010000000000000003","DeltaCount":1,"Files":{"/base/1/1259":{"IsIncremented":true,"IsSkipped":false,"MTime":"2019-05-01T10:00:00.123456789+02:00"}},"PgVersion":110003,"FinishLSN":83886336}"#;

    #[test]
    fn real_sentinels_are_written_back_byte_for_byte() {
        for text in [FULL, DELTA] {
            assert_eq!(to_text(&Sentinel::read(text.as_bytes()).unwrap()), text);
        }
    }

    #[test]
    fn old_sentinels_are_read_and_their_file_list_is_passed_over() {
        let old = Sentinel::read(OLD.as_bytes()).unwrap();
        let delta = old.delta.unwrap();
        assert_eq!(
            (delta.lsn, delta.from.as_str(), delta.count),
            (Some(Lsn(50_331_688)), "base_000000010000000000000003", Some(1))
        );
        assert_eq!(
            (old.pg_version, old.start_time, old.system_identifier, old.wal_checked),
            (110_003, None, None, true)
        );
    }

    #[test]
    fn numbers_beyond_a_double_and_keys_in_another_case_are_read_exactly() {
        let text = r#"{"lsn":18446744073709551615,"SYSTEMIDENTIFIER":9223372036854775809,"spec":{"base_prefix":"/d"}}"#;
        let sentinel = Sentinel::read(text.as_bytes()).unwrap();
        assert_eq!((sentinel.lsn, sentinel.system_identifier), (Some(Lsn(u64::MAX)), Some((1 << 63) + 1)));
        assert_eq!(sentinel.spec.map(|s| s.base_prefix), Some("/d".to_owned()));
    }

    #[test]
    fn the_smallest_sentinel_is_an_empty_object() {
        let sentinel = Sentinel::read(&b"{}"[..]).unwrap();
        assert_eq!((sentinel.lsn, sentinel.delta), (None, None));
    }

    #[test]
    fn a_sentinel_cut_anywhere_is_corrupt() {
        for end in 0..FULL.len() {
            assert!(Sentinel::read(&FULL.as_bytes()[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn only_unchecked_wal_is_written_down() {
        let mut sentinel = Sentinel::read(FULL.as_bytes()).unwrap();
        sentinel.wal_checked = false;
        let text = to_text(&sentinel);
        let expected = format!(r#"{},"WalpipeWalChecked":false}}"#, FULL.trim_end_matches('}'));
        assert_eq!(text, expected);
        assert!(!Sentinel::read(text.as_bytes()).unwrap().wal_checked);
    }
}
