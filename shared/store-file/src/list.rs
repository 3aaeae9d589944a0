//! Listing directories in the order of the keys' bytes.

use std::fs::DirEntry;
use std::io;
use std::path::Path;

use store::{Entry, Error};

use crate::temporary::is_temporary;
use crate::{meta_of, said};

/// Lists `folder`; memory is one directory's names on each level.
pub(crate) fn list(
    folder: &Path,
    prefix: &str,
    shallow: bool,
    each: &mut dyn FnMut(Entry) -> Result<(), Error>,
) -> Result<(), Error> {
    // What of the prefix names folders as a whole leads straight there.
    match prefix.rsplit_once('/') {
        Some((inner, rest)) => walk(&folder.join(inner), &format!("{inner}/"), rest, shallow, each),
        None => walk(folder, "", prefix, shallow, each),
    }
}

/// Lists the directory `at`, whose keys begin with `key`, as far as the names in it begin with `prefix`.
fn walk(
    at: &Path,
    key: &str,
    prefix: &str,
    shallow: bool,
    each: &mut dyn FnMut(Entry) -> Result<(), Error>,
) -> Result<(), Error> {
    let cannot = |error: &io::Error| said(format_args!("cannot list {}", at.display()), error);
    let entries = match std::fs::read_dir(at) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(cannot(&error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| cannot(&e))?;
        if let Some(name) = name_of(&entry, prefix).map_err(|e| cannot(&e))? {
            names.push(name);
        }
    }
    names.sort_unstable();
    for name in names {
        match name.strip_suffix('/') {
            Some(folder) if shallow => {
                if holds_any(&at.join(folder))? {
                    each(Entry::Folder(format!("{key}{name}")))?;
                }
            }
            Some(folder) => walk(&at.join(folder), &format!("{key}{name}"), "", false, each)?,
            None => match std::fs::metadata(at.join(&name)) {
                Ok(meta) if meta.is_file() => each(Entry::Object(format!("{key}{name}"), meta_of(&meta)))?,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {} // removed meanwhile
                Err(error) => return Err(said(format_args!("cannot look at {}", at.join(&name).display()), &error)),
            },
        }
    }
    Ok(())
}

/// Whether there is any object below the directory `at`: a store knows no empty folders.
fn holds_any(at: &Path) -> Result<bool, Error> {
    let found = || Error::Exists(String::new().into()); // the way out of a list at its first entry
    match walk(at, "", "", false, &mut |_| Err(found())) {
        Ok(()) => Ok(false),
        Err(Error::Exists(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

/// The name of an entry that a list shows, with a slash if it is a directory: so it sorts as keys do.
fn name_of(entry: &DirEntry, prefix: &str) -> io::Result<Option<String>> {
    let Ok(name) = entry.file_name().into_string() else { return Ok(None) }; // no key of ours is not UTF-8
    if !name.starts_with(prefix) || is_temporary(&name) {
        return Ok(None);
    }
    let kind = match entry.file_type() {
        Ok(kind) if kind.is_symlink() => match std::fs::metadata(entry.path()) {
            Ok(meta) => meta.file_type(),
            Err(_) => return Ok(None),
        },
        Ok(kind) => kind,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(if kind.is_dir() {
        Some(name + "/")
    } else if kind.is_file() {
        Some(name)
    } else {
        None
    })
}
