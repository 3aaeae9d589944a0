//! WAL pages: the header of a segment's first page, and whether it is the right segment.

use crate::{Error, Lsn, Major, SegmentName, SegmentSize};

/// The bytes of the header that the first page of every segment has (`SizeOfXLogLongPHD`).
pub const LONG_HEADER: usize = 40;

/// `XLP_LONG_HEADER` among the flags of a page.
const LONG: u16 = 0x0002;
/// `XLP_ALL_FLAGS`; 0x0008 came with 15 and minor releases of the versions before.
const FLAGS: u16 = 0x000F;

/// The header of a segment's first page.
///
/// `XLogLongPageHeaderData` in access/xlog_internal.h, the same layout in PostgreSQL 9.6 to 18,
/// little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// By `XLOG_PAGE_MAGIC`.
    pub major: Major,
    /// `xlp_info`: flags.
    pub info: u16,
    /// `xlp_tli`. The first segment of a new timeline is a copy of the parent's up to the switch,
    /// so this may be an ancestor of the timeline in the file's name, never a descendant.
    pub timeline: u32,
    /// `xlp_pageaddr`: where in the WAL this page is.
    pub address: Lsn,
    /// `xlp_rem_len`: bytes at the start that belong to a record of the segment before.
    pub remaining: u32,
    /// `xlp_sysid`: whose WAL this is.
    pub system_identifier: u64,
    /// `xlp_seg_size`.
    pub segment_size: SegmentSize,
    /// `xlp_xlog_blcksz`: 8192 unless compiled otherwise.
    pub block_size: u32,
}

impl SegmentHeader {
    /// Reads the first [`LONG_HEADER`] bytes of a segment.
    ///
    /// [`Error::Corrupt`] where they are no such header, [`Error::Unsupported`] where they may be
    /// one of a version or a byte order that is not known.
    pub fn parse(bytes: &[u8]) -> Result<SegmentHeader, Error> {
        let Some(bytes) = bytes.first_chunk::<LONG_HEADER>() else {
            return Err(Error::Corrupt(format!(
                "WAL segment ends after {} bytes, inside its first page header",
                bytes.len()
            )));
        };
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let (magic, info) = (word(0) as u16, (word(0) >> 16) as u16);
        if bytes.iter().all(|&b| b == 0) {
            return Err(Error::corrupt("WAL segment begins with zeros instead of a page header"));
        }
        let major = major(magic).ok_or_else(|| unknown(magic))?;
        if info & LONG == 0 || info & !FLAGS != 0 {
            return Err(Error::Corrupt(format!(
                "WAL segment's first page has the flags {info:04X}, not those of a first page"
            )));
        }
        let (segment_size, block_size) = (word(32), word(36));
        let segment_size = SegmentSize::new(segment_size.into())
            .map_err(|_| Error::Corrupt(format!("WAL segment's header has the segment size {segment_size}")))?;
        if !block_size.is_power_of_two() || !(1 << 10..=1 << 16).contains(&block_size) {
            return Err(Error::Corrupt(format!("WAL segment's header has the page size {block_size}")));
        }
        Ok(SegmentHeader {
            major,
            info,
            timeline: word(4),
            address: Lsn(long(8)),
            remaining: word(16),
            system_identifier: long(24),
            segment_size,
            block_size,
        })
    }

    /// Whether the file with this header may be called `name`.
    ///
    /// [`Error::Foreign`] where the address is another segment's or the timeline is later than the
    /// name's; [`Error::Malformed`] where a cluster of this segment size has no such name.
    pub fn check_name(&self, name: SegmentName) -> Result<(), Error> {
        let start = self.segment_size.start(name)?;
        if self.address != start {
            let other = self.segment_size.name(name.timeline(), self.address);
            return Err(Error::Foreign(format!(
                "WAL segment says that it begins at {}, {name} begins at {start}: its content is that of {other}",
                self.address
            )));
        }
        if self.timeline == 0 || self.timeline > name.timeline() {
            return Err(Error::Foreign(format!("WAL segment called {name} is of timeline {}", self.timeline)));
        }
        Ok(())
    }
}

/// `XLOG_PAGE_MAGIC` of the releases; it changes with every major version.
fn major(magic: u16) -> Option<Major> {
    Some(match magic {
        0xD093 => Major::V9_6,
        0xD097 => Major::V10,
        0xD098 => Major::V11,
        0xD101 => Major::V12,
        0xD106 => Major::V13,
        0xD10D => Major::V14,
        0xD110 => Major::V15,
        0xD113 => Major::V16,
        0xD116 => Major::V17,
        0xD118 => Major::V18,
        _ => return None,
    })
}

fn unknown(magic: u16) -> Error {
    match magic {
        // Each version so far had 0xD0xx or 0xD1xx; another byte order has that byte second.
        0xD000..=0xD1FF => Error::Unsupported(format!(
            "WAL segment has the page magic {magic:04X}; known are D093 to D118, PostgreSQL 9.6 to {}",
            Major::NEWEST
        )),
        _ if matches!(magic as u8, 0xD0 | 0xD1) && major(magic.swap_bytes()).is_some() => {
            Error::Unsupported("WAL segment was written by a big-endian machine".to_owned())
        }
        _ => Error::Corrupt(format!("WAL segment begins with {magic:04X}, which is no page magic")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first page headers of real segments: major, bytes in hex, name of the segment.
    const HEADERS: [(Major, &str, &str); 9] = [
        (
            Major::V10,
            "97d0060001000000000000060000000000000000000000 0032a209bbf89f036b0000000100200000",
            "000000010000000000000006",
        ),
        (
            Major::V11,
            "98d002000100000000000001000000000000000000000000 15fed0a765b9036b0000000100200000",
            "000000010000000000000001",
        ),
        (
            Major::V12,
            "01d102000100000000000001000000000000000000000000 276e3d5266b9036b0000000100200000",
            "000000010000000000000001",
        ),
        (
            Major::V14,
            "0dd106000200000000000001000000000000000000000000 c1633c0b1da1036b0000100000200000",
            "000000020000000000000010",
        ),
        (
            Major::V15,
            "10d106000100000000000007000000000000000000000000 deeb267b23a0036b0000000100200000",
            "000000010000000000000007",
        ),
        (
            Major::V16,
            "13d106000300000000 00d000000000000000000000000000 7535627ad8a0036b0000100000200000",
            "00000003000000000000000D",
        ),
        // The segment in which timeline 2 left timeline 1: its first page is timeline 1's.
        (
            Major::V16,
            "13d106000100000000009000000000000000000000000000 7535627ad8a0036b0000100000200000",
            "000000020000000000000009",
        ),
        (
            Major::V17,
            "16d106000100000000002001000000000000000000000000 90b12a6db0a2036b0000100000200000",
            "000000010000000000000012",
        ),
        (
            Major::V18,
            "18d102000100000000000001000000000000000000000000 398e23f166b9036b0000000100200000",
            "000000010000000000000001",
        ),
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: String = hex.split_whitespace().collect();
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    fn header(index: usize) -> SegmentHeader {
        SegmentHeader::parse(&bytes(HEADERS[index].1)).unwrap()
    }

    #[test]
    fn the_headers_of_real_segments_are_read_and_fit_their_names() {
        for (index, (major, _, name)) in HEADERS.into_iter().enumerate() {
            let header = header(index);
            assert_eq!((header.major, header.block_size), (major, 8192));
            assert_eq!(header.check_name(name.parse().unwrap()), Ok(()), "{name}");
        }
        assert_eq!(header(0).system_identifier, 7_711_182_877_627_097_650);
        assert_eq!((header(4).address, header(4).segment_size), (Lsn(0x700_0000), SegmentSize::DEFAULT));
        assert_eq!((header(6).timeline, header(6).segment_size.bytes()), (1, 1 << 20));
    }

    #[test]
    fn another_name_is_noticed() {
        let refused = |index: usize, name: &str| header(index).check_name(name.parse().unwrap()).unwrap_err();
        assert!(matches!(refused(4, "000000010000000000000008"), Error::Foreign(_)));
        assert!(matches!(refused(4, "000000010000000100000007"), Error::Foreign(_)));
        assert!(matches!(refused(5, "00000002000000000000000D"), Error::Foreign(_)));
        assert!(matches!(refused(4, "000000010000000000000107"), Error::Malformed { .. }));
    }

    #[test]
    fn what_is_no_first_page_is_refused() {
        let good = bytes(HEADERS[4].1);
        let changed = |at: usize, value: &[u8]| {
            let mut copy = good.clone();
            copy[at..at + value.len()].copy_from_slice(value);
            SegmentHeader::parse(&copy).unwrap_err()
        };
        for length in 0..LONG_HEADER {
            assert!(matches!(SegmentHeader::parse(&good[..length]), Err(Error::Corrupt(_))), "{length}");
        }
        assert!(matches!(SegmentHeader::parse(&[0; 8192]), Err(Error::Corrupt(_))));
        assert!(matches!(changed(0, b"wi1U"), Error::Corrupt(_)));
        assert!(matches!(changed(0, &[0x87, 0xD0]), Error::Unsupported(_)), "9.5");
        assert!(matches!(changed(0, &[0xD1, 0x10]), Error::Unsupported(e) if e.contains("big-endian")));
        assert!(matches!(changed(2, &[0x05]), Error::Corrupt(_)), "a short header");
        assert!(matches!(changed(3, &[0x80]), Error::Corrupt(_)), "an unknown flag");
        assert!(matches!(changed(32, &[1]), Error::Corrupt(_)), "segment size");
        assert!(matches!(changed(36, &[1]), Error::Corrupt(_)), "page size");
    }
}
