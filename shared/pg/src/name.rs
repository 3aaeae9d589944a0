//! The names of the files that PostgreSQL archives.

use std::fmt;
use std::str::FromStr;

use crate::{Error, SegmentName};

/// The name of a file that PostgreSQL gives to its archive_command.
///
/// The four kinds of access/xlog_internal.h, PostgreSQL 9.6 to 18; nothing else is archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WalName {
    /// `0000000100000016000000B3`: a whole segment.
    Segment(SegmentName),
    /// `0000000100000016000000B3.partial`: the last segment of a timeline that another one left.
    Partial(SegmentName),
    /// `0000000100000016000000B3.00000028.backup`: what a base backup that started there says of itself.
    Backup {
        /// The segment in which the backup starts.
        segment: SegmentName,
        /// Where in that segment, in bytes.
        offset: u32,
    },
    /// `00000002.history`: where this timeline comes from.
    History(u32),
}

impl fmt::Display for WalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WalName::Segment(segment) => segment.fmt(f),
            WalName::Partial(segment) => write!(f, "{segment}.partial"),
            WalName::Backup { segment, offset } => write!(f, "{segment}.{offset:08X}.backup"),
            WalName::History(timeline) => write!(f, "{timeline:08X}.history"),
        }
    }
}

impl FromStr for WalName {
    type Err = Error;

    /// Reads a bare file name; a path, another case or other digits are [`Error::Malformed`].
    fn from_str(text: &str) -> Result<WalName, Error> {
        let number = |digits: &str| {
            let hex = digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_lowercase());
            if hex { u32::from_str_radix(digits, 16).ok() } else { None }
        };
        let known = match text.split_once('.') {
            None => text.parse().ok().map(WalName::Segment),
            Some((segment, "partial")) => segment.parse().ok().map(WalName::Partial),
            Some((timeline, "history")) => number(timeline).filter(|&t| t != 0).map(WalName::History),
            Some((segment, rest)) => rest
                .strip_suffix(".backup")
                .and_then(number)
                .and_then(|offset| Some(WalName::Backup { segment: segment.parse().ok()?, offset })),
        };
        known.ok_or_else(|| Error::malformed("the name of a WAL file (a segment, .partial, .backup or .history)", text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_kinds_are_told_apart_and_printed_as_they_were() {
        for text in [
            "0000000100000016000000B3",
            "0000000100000016000000B3.partial",
            "0000000100000016000000B3.00000028.backup",
            "0000000A.history",
        ] {
            assert_eq!(text.parse::<WalName>().unwrap().to_string(), text);
        }
        assert_eq!("0000000A.history".parse(), Ok(WalName::History(10)));
    }

    #[test]
    fn nothing_else_is_the_name_of_a_wal_file() {
        for text in [
            "",
            "foo.txt",
            "0000000100000016000000B3.lz4",
            "0000000100000016000000b3",
            "0000000100000016000000B3.28.backup",
            "0000000100000016000000B3.0000002a.backup",
            "0000000100000016000000B3.00000028.backup.backup",
            "0000000100000016000000B3.partial.partial",
            "0000000a.history",
            "00000000.history",
            "1.history",
            "+000000A.history",
            "pg_wal/0000000A.history",
            ".history",
            "0000000100000016000000B3_delta",
        ] {
            assert!(text.parse::<WalName>().is_err(), "{text}");
        }
    }
}
