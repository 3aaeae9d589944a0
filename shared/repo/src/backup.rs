//! One complete backup: what its name, its sentinel, its metadata and the store say, put together.

use jiff::Timestamp;
use pg::{Lsn, SegmentName, SegmentSize};

use crate::{BackupName, Metadata, Sentinel};

/// A backup that has a sentinel.
#[derive(Debug, Clone, PartialEq)]
pub struct Backup {
    /// What it is called.
    pub name: BackupName,
    /// When its sentinel was stored, by the store's clock; `None` where the store did not say.
    pub stored: Option<Timestamp>,
    /// Its sentinel.
    pub sentinel: Sentinel,
    /// Its metadata.json; v0.2.9 wrote none.
    pub metadata: Option<Metadata>,
}

impl Backup {
    /// When it was started; `None` for those of v0.2.9.
    pub fn start_time(&self) -> Option<Timestamp> {
        self.metadata.as_ref().and_then(|m| m.start_time).or(self.sentinel.start_time)
    }

    /// When it was complete, as far as it says so itself.
    pub fn finish_time(&self) -> Option<Timestamp> {
        self.metadata.as_ref().and_then(|m| m.finish_time).or(self.sentinel.finish_time)
    }

    /// The time from which on a server can be restored from it by time: its finish, or where that
    /// is not known the time at which its sentinel was stored, which is later.
    pub fn usable_from(&self) -> Option<Timestamp> {
        self.finish_time().or(self.stored)
    }

    /// Where it starts.
    pub fn start_lsn(&self) -> Option<Lsn> {
        self.metadata.as_ref().map(|m| m.start_lsn).filter(|lsn| !lsn.is_invalid()).or(self.sentinel.lsn)
    }

    /// Where it ends: the first position at which a server restored from it is consistent.
    pub fn finish_lsn(&self) -> Option<Lsn> {
        self.metadata.as_ref().map(|m| m.finish_lsn).filter(|lsn| !lsn.is_invalid()).or(self.sentinel.finish_lsn)
    }

    /// The timeline of its start, which only its name has; `None` where the name has no segment.
    pub fn timeline(&self) -> Option<u32> {
        self.name.segment().map(SegmentName::timeline)
    }

    /// The name of the backup right below; `None` for a full one.
    pub fn base(&self) -> Option<&str> {
        self.sentinel.delta.as_ref().map(|delta| delta.from.as_str())
    }

    /// Whether a policy must not delete it. metadata.json says; without one the sentinel.
    pub fn is_permanent(&self) -> bool {
        self.metadata.as_ref().map_or(self.sentinel.is_permanent, |m| m.is_permanent)
    }

    /// Whose backup it is; not known before v0.2.13.
    pub fn system_identifier(&self) -> Option<u64> {
        self.sentinel.system_identifier.or(self.metadata.as_ref().and_then(|m| m.system_identifier))
    }

    /// The metadata, or what the sentinel has of it.
    pub fn metadata(&self) -> Metadata {
        let fallback = Metadata::of(&self.sentinel);
        let Some(own) = &self.metadata else { return fallback };
        Metadata {
            start_time: self.start_time(),
            finish_time: self.finish_time(),
            start_lsn: self.start_lsn().unwrap_or_default(),
            finish_lsn: self.finish_lsn().unwrap_or_default(),
            system_identifier: own.system_identifier.or(fallback.system_identifier),
            ..own.clone()
        }
    }

    /// The segments without which it cannot become consistent: from its start to the one before its
    /// end, on the timeline of its name; `None` where a position or the timeline is not known.
    pub fn segments(&self, size: SegmentSize) -> Option<impl Iterator<Item = SegmentName>> {
        Some(size.range(self.timeline()?, self.start_lsn()?, self.finish_lsn()?))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A full backup on `timeline`: `hour` of a day is when it started, and it took a minute.
    pub(crate) fn backup(timeline: u32, lsn: u64, hour: Option<i64>) -> Backup {
        let segment = SegmentSize::DEFAULT.name(timeline, Lsn(lsn));
        let time = |minute: i64| hour.and_then(|h| Timestamp::from_second(1_800_000_000 + 3600 * h + 60 * minute).ok());
        let sentinel = Sentinel {
            lsn: Some(Lsn(lsn)),
            finish_lsn: Some(Lsn(lsn + 0x100)),
            start_time: time(0),
            finish_time: time(1),
            ..Sentinel::default()
        };
        Backup { name: BackupName::full(segment), stored: None, sentinel, metadata: None }
    }

    #[test]
    fn metadata_counts_before_the_sentinel() {
        let mut one = backup(1, 0x300_0028, Some(1));
        one.sentinel.is_permanent = true;
        assert!(one.is_permanent());
        one.metadata = Some(Metadata { start_lsn: Lsn(5), ..Metadata::of(&one.sentinel) });
        one.metadata.as_mut().unwrap().is_permanent = false;
        assert_eq!(
            (one.is_permanent(), one.start_lsn(), one.finish_lsn()),
            (false, Some(Lsn(5)), Some(Lsn(0x300_0128)))
        );
    }

    #[test]
    fn the_segments_that_a_backup_needs_end_before_its_stop() {
        let mut one = backup(2, 0x300_0028, None);
        one.sentinel.finish_lsn = Some(Lsn(0x500_0000));
        let names: Vec<_> = one.segments(SegmentSize::DEFAULT).unwrap().map(|n| n.to_string()).collect();
        assert_eq!(names, ["000000020000000000000003", "000000020000000000000004"]);
        one.sentinel.finish_lsn = None;
        assert!(one.segments(SegmentSize::DEFAULT).is_none());
    }
}
