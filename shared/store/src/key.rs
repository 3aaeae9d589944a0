//! The name of an object below a store's root.

use std::fmt::{self, Display};

use crate::Error;

/// The name of an object: components that are not empty, `.` or `..`, joined by single slashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// The key that `text` says.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is no key.
    pub fn new(text: &str) -> Result<Self, Error> {
        let odd = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains('\0');
        if text.split('/').any(odd) {
            return Err(Error::Invalid(format!("{text:?} is no name of an object").into()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The key of `name` in the folder that this key is.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `name` is no key.
    pub fn join(&self, name: &str) -> Result<Self, Error> {
        Self::new(&format!("{}/{name}", self.0))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_leave_the_root_is_no_key() {
        for bad in ["", "/", "a/", "/a", "a//b", "../a", "a/../b", "a/.", "a\0b"] {
            assert!(Key::new(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "a/b", "a b\n", "..a", "ä/ö+%"] {
            assert!(Key::new(good).is_ok(), "{good:?}");
        }
    }
}
