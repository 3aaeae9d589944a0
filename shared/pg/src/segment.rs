//! WAL segments: their size, their names, and what lies next to what.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Lsn};

/// The name of a segment file: a timeline, and the segment's number in two parts.
///
/// Twenty-four upper-case hex digits. Whether the third group is in range depends on the segment
/// size, so that only a [`SegmentSize`] turns a name into a position. Ordered by timeline, then by
/// number, as the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    timeline: u32,
    log: u32,
    low: u32,
}

impl SegmentName {
    /// The timeline, never 0.
    pub fn timeline(self) -> u32 {
        self.timeline
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X}{:08X}{:08X}", self.timeline, self.log, self.low)
    }
}

impl FromStr for SegmentName {
    type Err = Error;

    /// Reads exactly 24 upper-case hex digits with a timeline that is not 0 (`IsXLogFileName`).
    fn from_str(text: &str) -> Result<SegmentName, Error> {
        let group = |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok();
        let upper = |b: u8| b.is_ascii_digit() || (b'A'..=b'F').contains(&b);
        Some(text)
            .filter(|text| text.len() == 24 && text.bytes().all(upper))
            .and_then(|_| Some(SegmentName { timeline: group(0)?, log: group(8)?, low: group(16)? }))
            .filter(|name| name.timeline != 0)
            .ok_or_else(|| Error::malformed("the name of a WAL segment (24 upper-case hex digits)", text))
    }
}

/// The size of a cluster's WAL segments: a power of two from 1 MiB to 1 GiB.
///
/// `IsValidWalSegSize` in access/xlog_internal.h, PostgreSQL 11 to 18; before 11 a choice at
/// compile time of powers of two from 1 to 64 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentSize(u64);

impl SegmentSize {
    /// What initdb takes unless told otherwise: 16 MiB.
    pub const DEFAULT: SegmentSize = SegmentSize(16 << 20);

    /// A segment size of so many bytes; any other number is [`Error::Malformed`].
    pub fn new(bytes: u64) -> Result<SegmentSize, Error> {
        if bytes.is_power_of_two() && (1 << 20..=1 << 30).contains(&bytes) {
            Ok(SegmentSize(bytes))
        } else {
            Err(Error::malformed("a WAL segment size (a power of two, 1 MiB to 1 GiB, in bytes)", &bytes.to_string()))
        }
    }

    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// The number of the segment that holds `lsn`, counted from 0 (`XLByteToSeg`).
    pub fn segno(self, lsn: Lsn) -> u64 {
        lsn.0 / self.0
    }

    /// The segment file that holds `lsn` on `timeline`.
    pub fn name(self, timeline: u32, lsn: Lsn) -> SegmentName {
        self.number(timeline, self.segno(lsn))
    }

    /// The name of the segment file that holds `lsn` on `timeline`.
    ///
    /// Twenty-four upper-case hex digits: the timeline, then the segment's number split where
    /// 4 GiB of WAL end.  `XLogFileName` in access/xlog_internal.h, PostgreSQL 9.6 to 18.
    /// ```
    /// let size = pg::SegmentSize::new(16 << 20)?;
    /// assert_eq!(size.file_name(1, pg::Lsn(0x16_B374_D848)), "0000000100000016000000B3");
    /// # Ok::<(), pg::Error>(())
    /// ```
    pub fn file_name(self, timeline: u32, lsn: Lsn) -> String {
        self.name(timeline, lsn).to_string()
    }

    /// The position of a segment's first byte; a third group that this size does not allow is
    /// [`Error::Malformed`]: such a file is of a cluster with smaller segments.
    pub fn start(self, name: SegmentName) -> Result<Lsn, Error> {
        if u64::from(name.low) < self.per_log() {
            Ok(Lsn((u64::from(name.log) << 32) + u64::from(name.low) * self.0))
        } else {
            let what = "the name of a WAL segment of this cluster's segment size";
            Err(Error::malformed(what, &name.to_string()))
        }
    }

    /// The segment after this one on the same timeline; the last one of all has none.
    pub fn next(self, name: SegmentName) -> Result<SegmentName, Error> {
        self.beside(name, |lsn| lsn.checked_add(self.0))
    }

    /// The segment before this one on the same timeline; the first one of all has none.
    pub fn previous(self, name: SegmentName) -> Result<SegmentName, Error> {
        self.beside(name, |lsn| lsn.checked_sub(self.0))
    }

    /// The segments from the one that holds `start` to the one that holds the byte before `end`.
    ///
    /// What has to be there to replay from `start` up to `end`, on one timeline. At least the first
    /// one, also where `end` is not after `start`.
    /// ```
    /// let size = pg::SegmentSize::DEFAULT;
    /// let names: Vec<_> = size.range(1, pg::Lsn(0x3000028), pg::Lsn(0x5000000)).map(|n| n.to_string()).collect();
    /// assert_eq!(names, ["000000010000000000000003", "000000010000000000000004"]);
    /// ```
    pub fn range(self, timeline: u32, start: Lsn, end: Lsn) -> impl Iterator<Item = SegmentName> {
        let first = self.segno(start);
        let last = self.segno(Lsn(end.0.saturating_sub(1))).max(first);
        (first..=last).map(move |segno| self.number(timeline, segno))
    }

    fn per_log(self) -> u64 {
        (1 << 32) / self.0
    }

    fn number(self, timeline: u32, segno: u64) -> SegmentName {
        // Both fit: a segment number has at most 44 bits, 12 of them below.
        SegmentName { timeline, log: (segno / self.per_log()) as u32, low: (segno % self.per_log()) as u32 }
    }

    fn beside(self, name: SegmentName, step: impl Fn(u64) -> Option<u64>) -> Result<SegmentName, Error> {
        match step(self.start(name)?.0) {
            Some(lsn) => Ok(self.name(name.timeline, Lsn(lsn))),
            None => Err(Error::malformed("a WAL segment with a neighbour on that side", &name.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SegmentName {
        text.parse().expect(text)
    }

    #[test]
    fn only_twenty_four_upper_case_hex_digits_of_a_timeline_are_a_name() {
        assert_eq!(name("0000000A00000001000000FE").to_string(), "0000000A00000001000000FE");
        assert_eq!(name("0000000A00000001000000FE").timeline(), 10);
        for text in [
            "",
            "00000001000000000000000",
            "0000000100000000000000001",
            "00000001000000000000000a",
            "00000000000000000000000A",
            "+0000001000000000000000A",
            "00000001.000000000000000",
            "é0000001000000000000000",
        ] {
            assert!(text.parse::<SegmentName>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_two_between_one_mebibyte_and_one_gibibyte() {
        for bytes in [0, 1, 1 << 19, 3 << 20, (16 << 20) + 1, 1 << 31, u64::MAX] {
            assert!(SegmentSize::new(bytes).is_err(), "{bytes}");
        }
        for shift in 20..=30 {
            assert_eq!(SegmentSize::new(1 << shift).map(SegmentSize::bytes), Ok(1 << shift));
        }
    }

    #[test]
    fn the_third_group_is_bounded_by_the_size() {
        let (one, sixteen) = (SegmentSize::new(1 << 20).unwrap(), SegmentSize::DEFAULT);
        assert_eq!(one.start(name("0000000100000002000000FF")), Ok(Lsn(0x2_0FF0_0000)));
        assert_eq!(one.start(name("000000010000000200000FFF")), Ok(Lsn(0x2_FFF0_0000)));
        assert_eq!(sixteen.start(name("0000000100000002000000FF")), Ok(Lsn(0x2_FF00_0000)));
        assert!(sixteen.start(name("000000010000000200000100")).is_err());
        assert!(one.start(name("000000010000000200001000")).is_err());
        assert!(SegmentSize::new(1 << 30).unwrap().start(name("000000010000000000000004")).is_err());
    }

    #[test]
    fn neighbours_cross_the_border_of_four_gibibytes() {
        let gib = SegmentSize::new(1 << 30).unwrap();
        assert_eq!(gib.next(name("000000030000000000000003")), Ok(name("000000030000000100000000")));
        assert_eq!(gib.previous(name("000000030000000100000000")), Ok(name("000000030000000000000003")));
        let size = SegmentSize::DEFAULT;
        assert_eq!(size.next(name("0000000100000000000000FF")), Ok(name("000000010000000100000000")));
        assert!(size.previous(name("000000010000000000000000")).is_err());
        assert!(size.next(name("00000001FFFFFFFF000000FF")).is_err());
        assert!(size.next(name("000000010000000000000100")).is_err());
    }

    #[test]
    fn a_range_ends_before_the_segment_that_the_end_only_touches() {
        let size = SegmentSize::new(1 << 20).unwrap();
        let count = |start, end| size.range(1, Lsn(start), Lsn(end)).count();
        assert_eq!(count(0x70_0028, 0x70_0100), 1);
        assert_eq!(count(0x70_0028, 0x80_0000), 1);
        assert_eq!(count(0x70_0028, 0x80_0001), 2);
        assert_eq!(count(0x70_0028, 0), 1);
    }

    #[test]
    fn every_position_lies_in_the_segment_that_is_named_for_it() {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for round in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let size = SegmentSize::new(1 << (20 + round % 11)).unwrap();
            let lsn = Lsn(state >> (round % 40));
            let named = size.name(7, lsn);
            let start = size.start(name(&named.to_string())).unwrap();
            assert!(start <= lsn && lsn.0 - start.0 < size.bytes(), "{lsn} {named}");
            if let Ok(next) = size.next(named) {
                assert_eq!(size.previous(next), Ok(named));
            }
        }
    }
}
