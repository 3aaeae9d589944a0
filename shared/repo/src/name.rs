//! The names of backups.

use std::fmt;
use std::str::FromStr;

use pg::SegmentName;

use crate::Error;

/// The first run of 24 upper-case hex digits in `text`: the WAL position of a key or a name.
///
/// Every part of WAL-G that needs a position takes this one, wherever it stands.
/// ```
/// let key = "basebackups_005/base_000000010000000000000005_D_000000010000000000000003/metadata.json";
/// assert_eq!(repo::first_segment(key), Some("000000010000000000000005"));
/// assert_eq!(repo::first_segment("wal_005/00000002.history.br"), None);
/// ```
pub fn first_segment(text: &str) -> Option<&str> {
    let mut run = 0;
    for (at, byte) in text.bytes().enumerate() {
        run = if byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte) { run + 1 } else { 0 };
        if run == 24 {
            return text.get(at - 23..=at);
        }
    }
    None
}

/// The name of a backup, as WAL-G gives it, or any other that a sentinel may have.
///
/// `base_<SEG>` for a full one, `base_<SEG>_D_<SEG of the backup before>` for a delta: a label
/// only, what a backup is based on stands in its sentinel. One path component that is safe in a
/// key; never empty, never `LATEST`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackupName(String);

impl BackupName {
    /// The full backup whose start lies in `segment`.
    pub fn full(segment: SegmentName) -> BackupName {
        BackupName(format!("base_{segment}"))
    }

    /// The delta whose start lies in `segment`, on top of the backup `before`; [`Error::Malformed`]
    /// where that name has no segment in it.
    pub fn delta(segment: SegmentName, before: &BackupName) -> Result<BackupName, Error> {
        let previous = before.segment().ok_or_else(|| {
            Error::Malformed(format!("backup '{before}' cannot have a delta: no WAL segment is in its name"))
        })?;
        Ok(BackupName(format!("base_{segment}_D_{previous}")))
    }

    /// The name as it stands in keys.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segment in which the backup starts; `None` where its name does not say.
    pub fn segment(&self) -> Option<SegmentName> {
        first_segment(&self.0)?.parse().ok()
    }

    /// Whether this looks like a name of WAL-E's (`base_<SEG>_<OFFSET>`): such full backups have no
    /// `pg_control.tar`.
    pub fn is_wal_e(&self) -> bool {
        let mut parts = self.0.splitn(3, '_');
        let (first, second, third) = (parts.next(), parts.next(), parts.next());
        let long = |part: Option<&str>| part.is_some_and(|text| text.chars().count() >= 2);
        long(first) && long(second) && third.is_some_and(|rest| !rest.starts_with("D_"))
    }
}

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BackupName {
    type Err = Error;

    /// Takes any text that is one component of a key; what could leave its folder, hide, or break a
    /// line is [`Error::Malformed`].
    fn from_str(text: &str) -> Result<BackupName, Error> {
        let odd = |c: char| c == '/' || c == '\\' || c.is_control();
        if text.is_empty() || text.starts_with('.') || text.contains(odd) || text == "LATEST" {
            return Err(Error::Malformed(format!("'{}' cannot be the name of a backup", text.escape_debug())));
        }
        Ok(BackupName(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> BackupName {
        text.parse().unwrap()
    }

    #[test]
    fn a_chain_is_named_by_each_backups_own_segment() {
        let full = BackupName::full("000000010000000000000003".parse().unwrap());
        let first = BackupName::delta("000000010000000000000005".parse().unwrap(), &full).unwrap();
        let second = BackupName::delta("000000010000000000000007".parse().unwrap(), &first).unwrap();
        assert_eq!(full.as_str(), "base_000000010000000000000003");
        assert_eq!(first.as_str(), "base_000000010000000000000005_D_000000010000000000000003");
        assert_eq!(second.as_str(), "base_000000010000000000000007_D_000000010000000000000005");
        assert_eq!(second.segment().unwrap().to_string(), "000000010000000000000007");
        assert!(BackupName::delta("000000010000000000000007".parse().unwrap(), &name("mine")).is_err());
    }

    #[test]
    fn a_position_is_the_first_run_of_twenty_four_digits() {
        assert_eq!(first_segment("0000000100000000000000010"), Some("000000010000000000000001"));
        assert_eq!(first_segment("00000001000000000000000a000000010000000000000002"), Some("000000010000000000000002"));
        assert_eq!(first_segment("00000001000000000000000"), None);
        assert_eq!(first_segment("é000000010000000000000001"), Some("000000010000000000000001"));
        assert_eq!(first_segment(""), None);
    }

    #[test]
    fn names_of_wal_e_are_told_from_deltas() {
        assert!(name("base_000000010000000000000003_00000040").is_wal_e());
        assert!(!name("base_000000010000000000000003").is_wal_e());
        assert!(!name("base_000000010000000000000005_D_000000010000000000000003").is_wal_e());
    }

    #[test]
    fn what_could_leave_its_folder_is_no_name() {
        for text in ["", ".", "..", "a/b", "../x", "a\nb", "a\0b", ".hidden", "LATEST"] {
            assert!(text.parse::<BackupName>().is_err(), "{text:?}");
        }
    }
}
