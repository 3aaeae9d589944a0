//! What a store promises: the trait, its errors, and the suite that every store passes.
//!
//! A key is a path of one or more non-empty components below the store's root: [`Key`].

use std::fmt::{self, Display};
use std::io::{Read, Write};

use jiff::Timestamp;

#[cfg(feature = "conformance")]
pub mod conformance;
mod key;

pub use key::Key;

/// Why a store did not do what was asked, by what a caller would do about it.
#[derive(Debug)]
pub enum Error {
    /// There is no such object (66).
    Absent(String),
    /// There is an object of that name already, with other content (73).
    Exists(String),
    /// The grant does not suffice (77).
    Denied(String),
    /// The store itself is not there: no such bucket, no such root, no connection (66 or 69).
    Gone(String),
    /// The store is too busy, or took too long; trying again later may help (75).
    Busy(String),
    /// The medium or the machine failed, or is full (74).
    Broken(String),
    /// What was asked cannot be asked of this store (64).
    Invalid(String),
    /// What came back, or arrived, is not what it should be (65).
    Corrupt(String),
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(text) | Self::Exists(text) | Self::Denied(text) | Self::Gone(text) => f.write_str(text),
            Self::Busy(text) | Self::Broken(text) | Self::Invalid(text) | Self::Corrupt(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

/// How an object is to be put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// Only if there is none of that name, or one with the very same bytes.
    pub create_only: bool,
}

/// What is known of a stored object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Its length in bytes.
    pub size: u64,
    /// When it was last stored.
    pub time: Timestamp,
}

/// What a list shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An object, by its key relative to the folder that was listed.
    Object(String, Meta),
    /// With a delimiter: a folder, by its name with the slash at its end.
    Folder(String),
}

/// An object that is being put.  Nothing is visible before [`Upload::finish`]; dropped, it never was.
pub trait Upload: Write {
    /// Makes the object durable, then visible.  What the store calls it: its etag, where it has such a thing.
    ///
    /// # Errors
    /// [`Error::Exists`] for a create-only put; whatever kept the object from being stored.
    fn finish(self: Box<Self>) -> Result<Option<String>, Error>;

    /// The descriptor behind it, where the bytes may be spliced into it directly.
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }
}

/// An object that is being read.
pub struct Download {
    /// Its length and time.
    pub meta: Meta,
    /// Its bytes.
    pub body: Box<dyn Read + Send>,
    /// The descriptor of a local file, where the bytes may be spliced from it directly.
    pub descriptor: Option<std::os::fd::OwnedFd>,
}

/// A place where objects are kept.
pub trait Store {
    /// Begins to put an object.
    ///
    /// # Errors
    /// [`Error::Gone`] where the root is missing, and the others as they say.
    fn put(&self, key: &Key, options: PutOptions) -> Result<Box<dyn Upload + '_>, Error>;

    /// Opens an object.
    ///
    /// # Errors
    /// [`Error::Absent`], and the others as they say.
    fn get(&self, key: &Key) -> Result<Download, Error>;

    /// What is known of an object; `None` if it is absent (and the store was there to say so).
    ///
    /// # Errors
    /// [`Error::Gone`] and the others as they say, never [`Error::Absent`].
    fn head(&self, key: &Key) -> Result<Option<Meta>, Error>;

    /// Calls `each` for every object below `folder` (none: the root) whose relative key begins with `prefix`, in
    /// the order of the bytes of the relative keys; with `shallow`, folders are not entered but named.
    ///
    /// A folder that is not there is empty.
    ///
    /// # Errors
    /// [`Error::Gone`] where the root is missing; the others as they say; those of `each` as they are.
    fn list(
        &self,
        folder: Option<&Key>,
        prefix: &str,
        shallow: bool,
        each: &mut dyn FnMut(Entry) -> Result<(), Error>,
    ) -> Result<(), Error>;

    /// Removes an object; one that is absent is removed already.
    ///
    /// # Errors
    /// As they say.
    fn remove(&self, key: &Key) -> Result<(), Error>;
}
