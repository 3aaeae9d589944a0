//! Data pages: header, LSN, checksum.

use crate::Lsn;

/// The bytes of a page's header (`SizeOfPageHeaderData`), before the line pointers.
pub const HEADER: usize = 24;

/// What a look at one page found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All zero: added to the file and not used yet. Sound.
    New,
    /// The stored checksum is that of the page.
    Ok,
    /// The stored checksum is 0, which is no checksum: written while checksums were off.
    NoChecksum,
    /// The header is none of a page of this size; also where a page says that it is new
    /// (`pd_upper` 0) and is not all zero, which PostgreSQL refuses as well.
    BadHeader,
    /// The stored checksum is not that of the page: damaged, torn, or of another block.
    Mismatch {
        /// `pd_checksum`.
        stored: u16,
        /// What it ought to be.
        computed: u16,
    },
}

/// The header of a data page.
///
/// `PageHeaderData` in storage/bufpage.h, the same layout in PostgreSQL 9.6 to 18, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// `pd_lsn`: the end of the last record that changed the page.
    pub lsn: Lsn,
    /// `pd_checksum`, 0 for none.
    pub checksum: u16,
    /// `pd_flags`.
    pub flags: u16,
    /// `pd_lower`: where the free space begins.
    pub lower: u16,
    /// `pd_upper`: where it ends; 0 on a new page.
    pub upper: u16,
    /// `pd_special`: where the index's own data begins.
    pub special: u16,
    /// `pd_pagesize_version`: the size of the page in bytes plus the layout's version.
    pub size_version: u16,
}

impl Header {
    /// Reads a page's first [`HEADER`] bytes; `None` where there are fewer.
    pub fn of(page: &[u8]) -> Option<Header> {
        let bytes = page.first_chunk::<HEADER>()?;
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| u64::from(half(at)) | u64::from(half(at + 2)) << 16;
        Some(Header {
            lsn: Lsn(word(0) << 32 | word(4)),
            checksum: half(8),
            flags: half(10),
            lower: half(12),
            upper: half(14),
            special: half(16),
            size_version: half(18),
        })
    }

    /// Whether the page calls itself new (`PageIsNew`); a sound new page is all zero besides.
    pub fn is_new(&self) -> bool {
        self.upper == 0
    }

    /// Whether this can be the header of a used page of `size` bytes.
    ///
    /// The tests of `PageIsVerified` (bufpage.c), and the size and version: layout 4 since 8.3.
    pub fn is_sane(&self, size: usize) -> bool {
        self.flags & !0x0007 == 0
            && usize::from(self.lower) >= HEADER
            && self.lower <= self.upper
            && self.upper <= self.special
            && usize::from(self.special) <= size
            && self.special.is_multiple_of(8)
            && usize::from(self.size_version & 0xFF00) == size
            && self.size_version & 0x00FF == 4
    }
}

/// Looks at one page: `block` is its number within the relation's fork, over all of its files, so
/// `segment * 131072 + block in the file`.
///
/// A slice that is no whole page (a power of two from 1 to 32 KiB) is [`Verdict::BadHeader`].
pub fn verify(page: &[u8], block: u32) -> Verdict {
    let Some(header) = Header::of(page) else { return Verdict::BadHeader };
    if header.is_new() {
        return if page.iter().all(|&b| b == 0) { Verdict::New } else { Verdict::BadHeader };
    }
    if !header.is_sane(page.len()) || !(1 << 10..=1 << 15).contains(&page.len()) || !page.len().is_power_of_two() {
        return Verdict::BadHeader;
    }
    if header.checksum == 0 {
        return Verdict::NoChecksum;
    }
    match checksum(page, block) {
        computed if computed == header.checksum => Verdict::Ok,
        computed => Verdict::Mismatch { stored: header.checksum, computed },
    }
}

const LANES: usize = 32;
const ROW: usize = 4 * LANES;

/// Where each lane starts (`checksumBaseOffsets`).
const SEEDS: [u32; LANES] = [
    0x5B1F_36E9,
    0xB852_5960,
    0x02AB_50AA,
    0x1DE6_6D2A,
    0x79FF_467A,
    0x9BB9_F8A3,
    0x217E_7CD2,
    0x83E1_3D2C,
    0xF8D4_474F,
    0xE39E_B970,
    0x42C6_AE16,
    0x9932_16FA,
    0x7B09_3B5D,
    0x98DA_FF3C,
    0xF718_902A,
    0x0B1C_9CDB,
    0xE58F_764B,
    0x1876_36BC,
    0x5D7B_3BB1,
    0xE73D_E7DE,
    0x92BE_C979,
    0xCCA6_C0B2,
    0x304A_0979,
    0x85AA_43D4,
    0x7831_25BB,
    0x6CA8_EAA2,
    0xE407_EAC6,
    0x4B5C_FC3E,
    0x9FBF_8C76,
    0x15CA_20BE,
    0xF2CA_9FD3,
    0x959B_D756,
];

/// The checksum of a page as block `block` of its relation; never 0.
///
/// `pg_checksum_page` in storage/checksum_impl.h, PostgreSQL 9.3 to 18: 32 lanes of FNV-1a with a
/// shift, over rows of 128 bytes and two rows of zeros; the stored checksum counts as 0. Bytes
/// behind the last whole row do not count (no page has any). The loops are shaped for LLVM to turn
/// the lanes into vectors.
pub fn checksum(page: &[u8], block: u32) -> u16 {
    let (rows, _) = page.as_chunks::<ROW>();
    let mut lanes = SEEDS;
    if let Some((first, rest)) = rows.split_first() {
        let mut first = *first;
        first[8..10].fill(0);
        step(&mut lanes, &first);
        for row in rest {
            step(&mut lanes, row);
        }
    }
    for _ in 0..2 {
        step(&mut lanes, &[0; ROW]);
    }
    let sum = lanes.iter().fold(block, |sum, lane| sum ^ lane);
    (sum % 65535 + 1) as u16
}

#[inline(always)]
fn step(lanes: &mut [u32; LANES], row: &[u8; ROW]) {
    let (words, _) = row.as_chunks::<4>();
    for (lane, word) in lanes.iter_mut().zip(words) {
        let mixed = *lane ^ u32::from_le_bytes(*word);
        *lane = mixed.wrapping_mul(16_777_619) ^ mixed >> 17;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Block 3 of pg_class in database 1 of a fresh cluster of PostgreSQL 12 with checksums.
    const PAGE: &[u8; 8192] = include_bytes!("../tests/data/page.12");

    fn changed(at: usize, value: u8) -> Vec<u8> {
        let mut page = PAGE.to_vec();
        page[at] = value;
        page
    }

    #[test]
    fn a_page_of_a_real_server_is_right_as_its_own_block_only() {
        assert_eq!(verify(PAGE, 3), Verdict::Ok);
        assert_eq!(Header::of(PAGE).map(|h| (h.lsn, h.checksum)), Some((Lsn(0x186_50B0), 0xC372)));
        for block in (0..3).chain(4..2000) {
            assert!(matches!(verify(PAGE, block), Verdict::Mismatch { stored: 0xC372, .. }), "{block}");
        }
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        for (at, byte) in PAGE.iter().enumerate() {
            let found = verify(&changed(at, byte ^ 0x10), 3);
            assert!(matches!(found, Verdict::Mismatch { .. } | Verdict::BadHeader), "{at}: {found:?}");
        }
    }

    #[test]
    fn new_pages_and_pages_without_a_checksum_are_told_apart_from_bad_ones() {
        assert_eq!(verify(&[0; 8192], 7), Verdict::New);
        let mut page = PAGE.to_vec();
        page[8..10].fill(0);
        assert_eq!(verify(&page, 3), Verdict::NoChecksum);
        page = PAGE.to_vec();
        page[14..16].fill(0);
        assert_eq!(verify(&page, 3), Verdict::BadHeader, "new, and not zero");
        assert_eq!(verify(&[0xFF; 8192], 3), Verdict::BadHeader);
        assert_eq!(verify(&PAGE[..8191], 3), Verdict::BadHeader);
        assert_eq!(verify(&PAGE[..4096], 3), Verdict::BadHeader, "half a page");
        assert_eq!(verify(&[], 3), Verdict::BadHeader);
        assert_eq!(verify(&changed(18, 5), 3), Verdict::BadHeader, "layout 5");
    }
}
