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
#[derive(Clone, Debug)]
pub enum Error {
    /// There is no such object (66).
    Absent(Why),
    /// There is an object of that name already, with other content (73).
    Exists(Why),
    /// The grant does not suffice (77).
    Denied(Why),
    /// The store itself is not there: no such bucket, no such root (66).
    Gone(Why),
    /// The store cannot be reached; trying again may help (69).
    Unreachable(Why),
    /// The store is too busy, or took too long; trying again later may help (75).
    Busy(Why),
    /// The medium or the machine failed, or is full (74).
    Broken(Why),
    /// What was asked cannot be asked of this store (64).
    Invalid(Why),
    /// What came back, or arrived, is not what it should be (65).
    Corrupt(Why),
    /// The settings do not fit the store, or are no settings (78).
    Config(Why),
}

/// A cause in words, and, where it is known, what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// What happened: lower case, no full stop.
    pub text: String,
    /// What to do about it, as a sentence.
    pub hint: Option<String>,
}

impl Why {
    /// A cause with what to do about it.
    pub fn hinted(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { text: text.into(), hint: Some(hint.into()) }
    }
}

impl From<String> for Why {
    fn from(text: String) -> Self {
        Self { text, hint: None }
    }
}

impl From<&str> for Why {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Error {
    /// The cause.
    #[must_use]
    pub const fn why(&self) -> &Why {
        match self {
            Self::Absent(why) | Self::Exists(why) | Self::Denied(why) | Self::Gone(why) | Self::Unreachable(why) => why,
            Self::Busy(why) | Self::Broken(why) | Self::Invalid(why) | Self::Corrupt(why) | Self::Config(why) => why,
        }
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why().text)
    }
}

impl std::error::Error for Error {}

/// How an object is to be put.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// Only if there is none of that name, or one with the very same bytes or the very same content.
    pub create_only: bool,
    /// What the bytes are made of, where that is known: a store that can keeps it beside the object.
    pub content: Option<Content>,
    /// How many bytes will come, where that is known.
    pub size: Option<u64>,
}

/// What was compressed or encrypted into an object's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// SHA-256, 64 hex digits in small letters.
    pub sha256: String,
    /// Length in bytes.
    pub size: u64,
}

/// Bytes as hex digits in small letters, as [`Content::sha256`] has them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is known of a stored object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Its length in bytes.
    pub size: u64,
    /// When it was last stored.
    pub time: Timestamp,
    /// What it is made of, where the store was told and has been asked for this one object.
    pub content: Option<Content>,
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

/// What a create-only put is worth: how surely two of the same name cannot both succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateOnly {
    /// The store refuses the second one itself, always.
    Complete,
    /// It does so for objects that are put at once; larger ones are stored between two looks.
    Put,
    /// It does not: objects are stored between two looks.
    No,
}

impl Display for CreateOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Complete => "complete",
            Self::Put => "put",
            Self::No => "no",
        })
    }
}

/// A place where objects are kept.
pub trait Store {
    /// Begins to put an object.
    ///
    /// # Errors
    /// [`Error::Gone`] where the root is missing, and the others as they say.
    fn put(&self, key: &Key, options: &PutOptions) -> Result<Box<dyn Upload + '_>, Error>;

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

    /// Which of `keys` are there, in their order; what is known of content may be left out.
    ///
    /// # Errors
    /// As [`Store::head`].
    fn which(&self, keys: &[Key]) -> Result<Vec<Option<Meta>>, Error> {
        keys.iter().map(|key| self.head(key)).collect()
    }

    /// Finds out what a create-only put is worth, by putting and removing the object `scratch`; that it can be put as the
    /// settings ask, read and removed is seen as well.
    ///
    /// # Errors
    /// As they say.
    fn probe(&self, scratch: &Key) -> Result<CreateOnly, Error> {
        let mut upload = self.put(scratch, &PutOptions::default())?;
        upload.write_all(b"probe").map_err(|e| Error::Broken(e.to_string().into()))?;
        upload.finish()?;
        let read = self.head(scratch)?;
        self.remove(scratch)?;
        match read {
            Some(_) => Ok(CreateOnly::Complete),
            None => Err(Error::Corrupt("what was just stored is not there".into())),
        }
    }

    /// Removes an object; one that is absent is removed already.
    ///
    /// # Errors
    /// As they say.
    fn remove(&self, key: &Key) -> Result<(), Error>;

    /// Removes many; tells `failed` of each that could not be removed.
    ///
    /// # Errors
    /// What kept it from trying the others as well.
    fn remove_all(&self, keys: &[Key], failed: &mut dyn FnMut(&Key, Error)) -> Result<(), Error> {
        for key in keys {
            if let Err(error) = self.remove(key) {
                failed(key, error);
            }
        }
        Ok(())
    }
}
