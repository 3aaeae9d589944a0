//! What a base backup says of itself: backup_label, and the `.backup` file in the archive.

use crate::{Error, Lsn, SegmentName, SegmentSize, WalName};

/// The positions in a `backup_label` or in a backup history file (`SEG.OFFSET.backup`).
///
/// `build_backup_content` in access/transam/xlogbackup.c (before 15: `do_pg_start_backup` in
/// xlog.c), PostgreSQL 9.6 to 18: lines `KEY: value`, of which only these are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupLabel {
    /// `START WAL LOCATION`: the redo position of the checkpoint at the start.
    pub start: Lsn,
    /// The segment that the server says this lies in.
    pub start_segment: SegmentName,
    /// `STOP WAL LOCATION`: in a backup history file only.
    pub stop: Option<Lsn>,
    /// `START TIMELINE`: PostgreSQL 11 and later.
    pub start_timeline: Option<u32>,
}

impl BackupLabel {
    /// Reads the content of either file; [`Error::Corrupt`] where a position is missing or unreadable.
    pub fn parse(bytes: &[u8]) -> Result<BackupLabel, Error> {
        let text = String::from_utf8_lossy(bytes); // the label's own line may be in any encoding
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        let position = |value: &str| {
            let (lsn, file) = value.split_once(" (file ")?;
            Some((lsn.parse::<Lsn>().ok()?, file.trim_end().strip_suffix(')')?.parse::<SegmentName>().ok()?))
        };
        let (start, start_segment) = value("START WAL LOCATION")
            .and_then(position)
            .ok_or_else(|| Error::corrupt("backup label has no readable START WAL LOCATION"))?;
        let stop = match value("STOP WAL LOCATION").map(position) {
            None => None,
            Some(Some((stop, _))) if stop >= start => Some(stop),
            Some(_) => return Err(Error::corrupt("backup label has no readable STOP WAL LOCATION")),
        };
        let start_timeline = value("START TIMELINE").and_then(|t| t.trim().parse().ok());
        Ok(BackupLabel { start, start_segment, stop, start_timeline })
    }

    /// Whether this is the content of the archived file with that name.
    ///
    /// [`Error::Foreign`] where the name says another segment or offset, [`Error::Corrupt`] where
    /// the end is missing. The segment size is not asked for: there must be one that fits.
    pub fn check_name(&self, segment: SegmentName, offset: u32) -> Result<(), Error> {
        let name = WalName::Backup { segment, offset };
        let fits = (20..=30).filter_map(|shift| SegmentSize::new(1 << shift).ok()).any(|size| {
            let start = size.start(segment).ok();
            u64::from(offset) < size.bytes() && start.is_some_and(|lsn| lsn.0 + u64::from(offset) == self.start.0)
        });
        if self.start_segment != segment || !fits {
            let (lsn, file) = (self.start, self.start_segment);
            return Err(Error::Foreign(format!("content of {name} is of a backup that starts at {lsn} in {file}")));
        }
        if self.stop.is_none() {
            return Err(Error::corrupt("backup history file has no STOP WAL LOCATION: it was cut short"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // PostgreSQL 10, fixture v029-pg10-lz4-full; 11 and later add START TIMELINE and STOP TIMELINE.
    const TEN: &str = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n\
        STOP WAL LOCATION: 0/20000F8 (file 000000010000000000000002)\n\
        CHECKPOINT LOCATION: 0/2000060\nBACKUP METHOD: streamed\nBACKUP FROM: master\n\
        START TIME: 2026-11-23 02:07:54 UTC\nLABEL: nightly\nSTOP TIME: 2026-11-23 02:07:54 UTC\n";

    fn check(text: &str, name: &str) -> Result<(), Error> {
        let WalName::Backup { segment, offset } = name.parse()? else { panic!("{name}") };
        BackupLabel::parse(text.as_bytes())?.check_name(segment, offset)
    }

    #[test]
    fn the_positions_of_a_real_file_are_read() {
        let label = BackupLabel::parse(TEN.as_bytes()).unwrap();
        assert_eq!((label.start, label.stop, label.start_timeline), (Lsn(0x200_0028), Some(Lsn(0x200_00F8)), None));
        let later = BackupLabel::parse(format!("{TEN}START TIMELINE: 2\n").as_bytes()).unwrap();
        assert_eq!(later.start_timeline, Some(2));
    }

    #[test]
    fn a_backup_file_is_good_under_its_own_name_only() {
        assert_eq!(check(TEN, "000000010000000000000002.00000028.backup"), Ok(()));
        for name in ["000000010000000000000003.00000028.backup", "000000010000000000000002.00000030.backup"] {
            assert!(matches!(check(TEN, name), Err(Error::Foreign(_))), "{name}");
        }
        assert!(check(TEN, "000000010000000000000002.FFFFFFFF.backup").is_err());
    }

    #[test]
    fn a_file_that_was_cut_is_refused_at_every_length() {
        let name = "000000010000000000000002.00000028.backup";
        let needed = TEN.find("\nCHECKPOINT").unwrap();
        for length in 0..needed {
            assert!(check(&TEN[..length], name).is_err(), "{length}");
        }
    }
}
