//! What can be wrong with a repository, or with what is asked of it.

use std::fmt;

/// Why something in the repository cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// An object is not what its key says: damaged, cut short, or not of this kind.
    Corrupt(String),
    /// There is no such backup, or none that fits.
    Absent {
        /// What was looked for and not found.
        text: String,
        /// What is there instead, best first; may be empty.
        near: Vec<String>,
    },
    /// The target lies before the end of the backup that was chosen: it can never be reached from it.
    TooOld(String),
    /// A name is none that a backup can have.
    Malformed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Corrupt(text) | Error::Absent { text, .. } | Error::TooOld(text) | Error::Malformed(text) => {
                f.write_str(text)
            }
        }
    }
}

impl std::error::Error for Error {}
