//! What can be wrong with text or bytes that claim to be PostgreSQL's.

use std::fmt;

/// Why a piece of text or some bytes are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// A name, number or position is not written as PostgreSQL writes it: the words are wrong.
    Malformed {
        /// What it should have been, as one would say it: "an LSN".
        what: &'static str,
        /// The text as it was given.
        text: String,
    },
    /// The bytes are damaged or are no such file; the text says which rule they break.
    Corrupt(String),
    /// The bytes are sound as far as one can see, but of a version or build that is not known here.
    Unsupported(String),
    /// The bytes are sound and belong elsewhere: to another cluster, timeline, or place in the WAL.
    Foreign(String),
}

impl Error {
    pub(crate) fn malformed(what: &'static str, text: &str) -> Error {
        Error::Malformed { what, text: text.to_owned() }
    }

    pub(crate) fn corrupt(text: impl Into<String>) -> Error {
        Error::Corrupt(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Malformed { what, text } => write!(f, "'{text}' is not {what}"),
            Error::Corrupt(text) | Error::Unsupported(text) | Error::Foreign(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}
