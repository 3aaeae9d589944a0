//! A position in the WAL.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// A position in the WAL: a byte offset since the cluster was made.
///
/// `XLogRecPtr` in access/xlogdefs.h. Printed as PostgreSQL prints it, two halves in upper-case hex
/// without padding.
/// ```
/// let lsn: pg::Lsn = "16/B374D848".parse()?;
/// assert_eq!(lsn, pg::Lsn(0x16_B374_D848));
/// assert_eq!(lsn.to_string(), "16/B374D848");
/// # Ok::<(), pg::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Whether this is 0/0, which PostgreSQL writes where there is no position (`InvalidXLogRecPtr`).
    pub fn is_invalid(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 as u32)
    }
}

impl FromStr for Lsn {
    type Err = Error;

    /// Reads `HI/LO`: one to eight hex digits of either case on each side, as `pg_lsn_in` does.
    fn from_str(text: &str) -> Result<Lsn, Error> {
        let half = |digits: &str| {
            let fits = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
            if fits { u64::from_str_radix(digits, 16).ok() } else { None }
        };
        text.split_once('/')
            .and_then(|(high, low)| Some(Lsn(half(high)? << 32 | half(low)?)))
            .ok_or_else(|| Error::malformed("an LSN (two hex numbers, as 16/B374D848)", text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_no_lsn_is_refused() {
        for text in ["", "/", "1", "1/", "/1", "+1/2", "1/2/3", "123456789/0", "0/123456789", "0x1/2", " 1/2", "G/1"] {
            assert!(text.parse::<Lsn>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn both_ends_of_the_range_survive_a_round_trip() {
        for lsn in [Lsn(0), Lsn(1), Lsn(u64::MAX), Lsn(1 << 32), Lsn(0xFFFF_FFFF)] {
            assert_eq!(lsn.to_string().parse(), Ok(lsn));
        }
        assert_eq!("abcdef/0000000a".parse(), Ok(Lsn(0xAB_CDEF_0000_000A)));
    }
}
