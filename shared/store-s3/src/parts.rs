//! How large the parts of a multipart upload are.
//!
//! An upload has 10,000 parts at most, and a stream's length is often not known.  So parts have the size that is set
//! until 8,700 of them are full (182 GB at 20 MiB), and only then grow, by 1.5 % each, up to the 5 GiB that a part may
//! have: 5 TiB in all.  A stream whose length is known has parts of one size.

use crate::config::MOST_PART;

/// The most parts an upload may have.
const MOST: u64 = 10_000;
/// How many parts have the size that is set.
const EVEN: u64 = 8_700;

/// The sizes of parts, one after another, in bytes.
pub(crate) struct Sizes {
    least: u64,
    current: u64,
    number: u64,
    known: bool,
}

impl Sizes {
    /// Parts of `least` bytes, or of more if a stream of `total` bytes asks for that.
    pub(crate) fn new(least: u64, total: Option<u64>) -> Self {
        let even = total.map_or(least, |total| least.max(total.div_ceil(MOST)).min(MOST_PART));
        Self { least, current: even, number: 1, known: total.is_some() }
    }

    /// Bytes of the part that is filled now.
    pub(crate) const fn current(&self) -> u64 {
        self.current
    }

    /// Whether parts have begun to grow: then fewer of them are held at a time.
    pub(crate) const fn grown(&self) -> bool {
        self.current > self.least
    }

    /// Goes on to the next part; `false` if there can be none.
    pub(crate) fn advance(&mut self) -> bool {
        self.number += 1;
        if self.number > EVEN && !self.known {
            self.current = (self.current + self.current * 3 / 200).min(MOST_PART);
        }
        self.number <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(mut sizes: Sizes) -> u64 {
        let mut sum = sizes.current();
        while sizes.advance() {
            sum += sizes.current();
        }
        sum
    }

    #[test]
    fn a_stream_of_unknown_length_may_have_five_tib() {
        assert!(total(Sizes::new(20 << 20, None)) >= 5 << 40);
    }

    #[test]
    fn parts_do_not_grow_before_180_gb() {
        let mut sizes = Sizes::new(20 << 20, None);
        let mut sum = 0;
        while !sizes.grown() {
            sum += sizes.current();
            assert!(sizes.advance());
        }
        assert!(sum > 180_000_000_000, "{sum}");
    }

    #[test]
    fn a_known_length_fits_in_parts_of_one_size() {
        assert_eq!(Sizes::new(20 << 20, Some(1 << 30)).current(), 20 << 20);
        assert!(total(Sizes::new(20 << 20, Some(5 << 40))) >= 5 << 40);
    }
}
