//! Temporary names: `NAME.tmp.<UTC>Z-<16 hex digits>`, as wal-g makes and hides them (spec/layout.md §9).

use std::io;

use jiff::Timestamp;

/// A temporary name for `name` that nobody else has.
///
/// # Errors
/// What getrandom(2) answers.
pub(crate) fn name_for(name: &str) -> io::Result<String> {
    let mut random = [0; 8];
    let filled = rustix::rand::getrandom(&mut random[..], rustix::rand::GetRandomFlags::empty())?;
    debug_assert_eq!(filled, random.len());
    let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    Ok(format!("{name}.tmp.{time}-{:016x}", u64::from_be_bytes(random)))
}

/// Whether `name` is a temporary one.
pub(crate) fn is_temporary(name: &str) -> bool {
    let Some((_, tail)) = name.rsplit_once(".tmp.") else { return false };
    let tail = tail.as_bytes();
    let digits = |range: std::ops::Range<usize>| tail[range].iter().all(u8::is_ascii_digit);
    tail.len() == 33
        && digits(0..8)
        && tail[8] == b'T'
        && digits(9..15)
        && tail[15..17] == *b"Z-"
        && tail[17..].iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_made_is_known_again() {
        let name = name_for("part_001.tar.lz4").expect("random");
        assert!(is_temporary(&name), "{name}");
        assert_eq!(name.len(), "part_001.tar.lz4".len() + ".tmp.".len() + 33);
    }

    #[test]
    fn names_like_it_are_not_temporary() {
        for name in
            ["x.tmp", "x.tmp.20260101T000000Z-0123456789ABCDEF", "x.tmp.20260101T000000Z-0123456789abcde", "tmp"]
        {
            assert!(!is_temporary(name), "{name}");
        }
    }
}
