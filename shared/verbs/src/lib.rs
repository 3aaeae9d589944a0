//! put, get, ls and rm over any store: what the four programs of a scheme share (walpipe-store(7)).
//!
//! A program adds how a URL names a store: a [`Place`].  Like `tool`, this crate speaks for a program; only
//! programs depend on it.

use store::{Error, Key, Store};
use tool::{Failure, Status};

mod get;
mod ls;
mod put;
mod rm;

pub use get::{Get, get};
pub use ls::{Ls, ls};
pub use put::{Put, put};
pub use rm::{Rm, rm};

/// What a URL names: a store, and the key of an object or a folder in it (none: the root).
pub struct Place {
    /// The store.
    pub store: Box<dyn Store>,
    /// The key.
    pub key: Option<Key>,
    /// Settings that the store's programs alone need, and what they begin with: nobody else is handed them.
    pub secrets: (&'static [&'static str], &'static str),
}

/// How a program turns a URL into a place; the words after it are the URL's own (`--root`).
pub type Open<'a> = &'a dyn Fn(&str) -> Result<Place, Failure>;

impl Place {
    /// The key of an object, which must be there.
    fn object(&self, url: &str) -> Result<Key, Failure> {
        match &self.key {
            Some(_) if url.ends_with('/') => Err(Failure::new(
                Status::Usage,
                format!("{url} names a folder: an object's name has no slash at its end"),
            )),
            Some(key) => Ok(key.clone()),
            None => Err(Failure::new(Status::Usage, format!("{url} names no object"))),
        }
    }
}

/// A store's error in words: `what` could not be done ("cannot store s3://b/k").
pub fn failure(what: impl std::fmt::Display, error: &Error) -> Failure {
    let status = match error {
        Error::Absent(_) | Error::Gone(_) => Status::NoInput,
        Error::Exists(_) => Status::Exists,
        Error::Denied(_) => Status::Permission,
        Error::Unreachable(_) => Status::Unavailable,
        Error::Busy(_) => Status::Busy,
        Error::Broken(_) => Status::Io,
        Error::Invalid(_) => Status::Usage,
        Error::Corrupt(_) => Status::Data,
        Error::Config(_) => Status::Config,
    };
    let (what, text) = (what.to_string(), error.to_string());
    // a store that knows the object by the same name says all of it
    let said = text.strip_prefix(&what).is_some_and(|rest| rest.starts_with(':'));
    let failure = Failure::new(status, if said { text } else { format!("{what}: {text}") });
    match &error.why().hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What broke a stream in words: the store's own error, where it is one, else the system's.
pub(crate) fn broken(what: impl std::fmt::Display, error: &std::io::Error) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(inner) => failure(what, inner),
        None => Failure::io(what, error),
    }
}
