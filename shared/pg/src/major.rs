//! The server versions whose formats are known.

use std::fmt;

/// A major version of PostgreSQL whose files are known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // each variant is the version that it names
pub enum Major {
    V9_6,
    V10,
    V11,
    V12,
    V13,
    V14,
    V15,
    V16,
    V17,
    V18,
}

impl Major {
    /// The newest major version that is known here.
    pub const NEWEST: Major = Major::V18;

    /// The major version of a `server_version_num`, as 90624, 100023 or 150018; `None` if unknown.
    /// ```
    /// assert_eq!(pg::Major::of(150_018), Some(pg::Major::V15));
    /// assert_eq!(pg::Major::of(90_505), None);
    /// ```
    pub fn of(version_num: u32) -> Option<Major> {
        Some(match version_num {
            90_600..90_700 => Major::V9_6,
            _ => match version_num / 10_000 {
                10 => Major::V10,
                11 => Major::V11,
                12 => Major::V12,
                13 => Major::V13,
                14 => Major::V14,
                15 => Major::V15,
                16 => Major::V16,
                17 => Major::V17,
                18 => Major::V18,
                _ => return None,
            },
        })
    }

    /// The lowest `server_version_num` of this major version: 90600, 100000, 110000, …
    pub fn version_num(self) -> u32 {
        match self {
            Major::V9_6 => 90_600,
            later => 90_000 + 10_000 * later as u32,
        }
    }
}

impl fmt::Display for Major {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Major::V9_6 => f.write_str("9.6"),
            later => write!(f, "{}", later.version_num() / 10_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_of_every_major_agree() {
        let all =
            [(90_624, "9.6"), (100_023, "10"), (110_022, "11"), (120_022, "12"), (130_023, "13"), (140_023, "14")];
        for (number, name) in
            all.into_iter().chain([(150_018, "15"), (160_014, "16"), (170_010, "17"), (180_004, "18")])
        {
            let major = Major::of(number).expect("known");
            assert_eq!(major.to_string(), name);
            assert_eq!(Major::of(major.version_num()), Some(major));
        }
        assert_eq!(Major::NEWEST.version_num(), 180_000);
        assert_eq!((Major::of(0), Major::of(190_000), Major::of(90_700)), (None, None, None));
    }
}
