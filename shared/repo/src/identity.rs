//! Whose repository it is: the object that the first backup-push writes.

use std::io::Read;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::Error;

/// The clusters whose backups and WAL belong into a repository, oldest first (contracts.md,
/// "Identity"): one, and one more after each pg_upgrade that was adopted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// At least one in a sound object.
    pub clusters: Vec<Known>,
}

/// One cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// From pg_control.
    pub system_identifier: u64,
    /// In bytes.
    pub segment_size: u64,
    /// `server_version_num` or the major version's lowest: what it was when it was written.
    pub server_version_num: u32,
    /// When it was written; `None` where it cannot be read, which decides nothing.
    pub since: Option<Timestamp>,
    /// What a create-only put was found to be worth in this store: `complete`, `put` or `no`.
    pub create_only: Option<String>,
}

impl Identity {
    /// Reads the object; keys that are not known are passed over. [`Error::Corrupt`] where it is
    /// cut short, names no cluster, or one without its identifier.
    pub fn read(reader: impl Read) -> Result<Identity, Error> {
        let value: Value = serde_json::from_reader(reader)
            .map_err(|e| Error::Corrupt(format!("identity object is no sound JSON: {e}")))?;
        let cluster = |entry: &Value| {
            let number = |key: &str| entry.get(key).and_then(Value::as_u64);
            Some(Known {
                system_identifier: number("system_identifier")?,
                segment_size: number("segment_size").unwrap_or(0),
                server_version_num: number("server_version_num").and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
                create_only: entry.get("create_only").and_then(Value::as_str).map(str::to_owned),
                since: entry.get("since").and_then(Value::as_str).and_then(crate::time::parse),
            })
        };
        let clusters: Option<Vec<Known>> = value.as_array().and_then(|list| list.iter().map(cluster).collect());
        match clusters {
            Some(clusters) if !clusters.is_empty() => Ok(Identity { clusters }),
            _ => Err(Error::Corrupt("identity object is no list of clusters with a system_identifier".to_owned())),
        }
    }

    /// The object's text with one more cluster in it; what else it says, keys that are not known among
    /// it, stays as it is. Errors as [`Identity::read`].
    pub fn text_with(text: &str, known: &Known) -> Result<String, Error> {
        Identity::read(text.as_bytes())?;
        let corrupt = |e| Error::Corrupt(format!("identity object is no sound JSON: {e}"));
        let mut clusters: Vec<Value> = serde_json::from_str(text).map_err(corrupt)?;
        clusters.push(known.to_json());
        Ok(crate::to_text(&clusters))
    }

    /// Whether a cluster's backups and WAL belong here.
    pub fn has(&self, system_identifier: u64) -> bool {
        self.clusters.iter().any(|known| known.system_identifier == system_identifier)
    }
}

impl Known {
    fn to_json(&self) -> Value {
        let mut entry = json!({
            "system_identifier": self.system_identifier,
            "segment_size": self.segment_size,
            "server_version_num": self.server_version_num,
            "since": self.since.map(crate::time::to_text),
        });
        if let Some(found) = &self.create_only {
            entry["create_only"] = json!(found);
        }
        entry
    }
}

impl Serialize for Identity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.clusters.iter().map(Known::to_json).collect::<Vec<_>>().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let text = r#"[{"system_identifier":9223372036854775809,"segment_size":16777216,"server_version_num":150018,"since":"2026-11-23T02:08:37.770649Z"}]"#;
        let identity = Identity::read(text.as_bytes()).unwrap();
        assert_eq!(crate::to_text(&identity), text);
        assert!(identity.has((1 << 63) + 1) && !identity.has(1 << 63));
    }

    #[test]
    fn one_more_cluster_leaves_what_is_there_as_it_is() {
        let known = Known {
            system_identifier: 2,
            segment_size: 1 << 20,
            server_version_num: 170000,
            since: None,
            create_only: None,
        };
        let text = r#"[{"system_identifier":18446744073709551615,"later":{"b":1,"a":[1.5]}}]"#;
        let more = Identity::text_with(text, &known).unwrap();
        assert!(more.starts_with(&text[..text.len() - 1]), "{more}");
        let identity = Identity::read(more.as_bytes()).unwrap();
        assert!(identity.has(u64::MAX) && identity.clusters[1] == known);
        assert!(Identity::text_with("[]", &known).is_err());
    }

    #[test]
    fn an_object_without_a_cluster_is_corrupt() {
        for text in ["", "[]", "{}", "[{}]", r#"[{"system_identifier":"1"}]"#, r#"[{"system_identifier":1},7]"#] {
            assert!(Identity::read(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Identity::read(&br#"[{"system_identifier":1,"later":2}]"#[..]).is_ok());
    }
}
