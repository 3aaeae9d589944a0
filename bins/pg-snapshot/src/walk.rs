//! The walk over a data directory and its tablespaces, which writes the list.
//!
//! Depth first, a directory before what is in it, names in byte order, nothing followed but the links of
//! tablespaces.  In memory are the names of the directories on the way, never more.  What vanishes meanwhile is
//! left out: WAL has it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{FileType, Metadata};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use tool::{Failure, Status};

use crate::list::{Entry, List, Type};

mod rules;

use rules::{Place, Rule, is_number, relation};

/// Where `pg_control` is, the last of all entries.
const CONTROL: &[u8] = b"/global/pg_control";

/// Walks the data directory `root` and writes the list to `out`; the bytes that lstat(2) saw of all that is in it.
///
/// Of `pg_tblspc`, links to the tablespaces `oids` are followed; a link that appeared later is left out, since the
/// tablespace map of this backup does not have it and WAL makes it anew.  Of each tablespace only the
/// directory `version` ("PG_15_202209061") is this cluster's.
///
/// # Errors
/// 77 and 74 for what cannot be read, 78 for a link that would hide data, the writer's own error.
pub fn walk(root: &Path, oids: &BTreeSet<u32>, version: &str, out: impl Write) -> Result<u64, Failure> {
    let mut walk = Walk { root, oids, version: version.as_bytes(), list: List::new(out), total: 0 };
    let top = root.symlink_metadata().map_err(|e| cannot_read(root, &e))?;
    walk.add(Type::Directory, &top, b"/", None)?;
    walk.directory(b"", Place::Top)?;
    let control = walk.path(CONTROL);
    let meta = control.symlink_metadata().map_err(|e| cannot_read(&control, &e))?;
    walk.add(Type::Control, &meta, CONTROL, None)?;
    walk.list.finish().map_err(|e| cannot_write(&e))?;
    Ok(walk.total)
}

struct Walk<'a, W> {
    root: &'a Path,
    oids: &'a BTreeSet<u32>,
    version: &'a [u8],
    list: List<W>,
    total: u64,
}

impl<W: Write> Walk<'_, W> {
    /// The content of a directory by its member name, which is empty for the root.
    fn directory(&mut self, member: &[u8], place: Place) -> Result<(), Failure> {
        let Some(names) = self.names(member)? else { return Ok(()) };
        let unlogged = if place == Place::Database { unlogged(&names) } else { BTreeSet::new() };
        for name in &names {
            let name = name.as_bytes();
            let rule = place.rule(name);
            let is_unlogged = || relation(name).is_some_and(|(n, fork)| fork != b"init" && unlogged.contains(n));
            if rule == Rule::Skip || (place == Place::Tablespace && name != self.version) || is_unlogged() {
                continue;
            }
            let child = [member, b"/", name].concat();
            let path = self.path(&child);
            match path.symlink_metadata() {
                Ok(meta) => self.entry(&child, place, rule, &meta)?,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(cannot_read(&path, &e)),
            }
        }
        Ok(())
    }

    /// One name in a directory of kind `place`, with what is below it.
    fn entry(&mut self, member: &[u8], place: Place, rule: Rule, meta: &Metadata) -> Result<(), Failure> {
        let kind = meta.file_type();
        match rule {
            Rule::Skip => Ok(()),
            Rule::Hollow => self.hollow(member, meta),
            Rule::Keep(below) if kind.is_dir() => {
                self.add(Type::Directory, meta, member, None)?;
                self.directory(member, below)
            }
            Rule::Keep(below) if kind.is_symlink() => self.link(member, place, below, meta),
            Rule::Keep(_) if kind.is_file() => {
                let main = || relation(base(member)).is_some_and(|(_, fork)| fork.is_empty());
                match member {
                    CONTROL => Ok(()),
                    _ if place.has_relations() && main() => self.add(Type::Relation, meta, member, None),
                    _ => self.add(Type::File, meta, member, None),
                }
            }
            Rule::Keep(_) => {
                tool::warn(format_args!("{} is {}, left out", self.path(member).display(), special(kind)));
                Ok(())
            }
        }
    }

    /// A directory that is stored empty, also where it is a link to one.
    fn hollow(&mut self, member: &[u8], meta: &Metadata) -> Result<(), Failure> {
        let path = self.path(member);
        let target = if meta.is_symlink() { path.metadata().ok().filter(Metadata::is_dir) } else { None };
        if !meta.is_dir() && target.is_none() {
            return Ok(());
        }
        self.add(Type::Directory, target.as_ref().unwrap_or(meta), member, None)
    }

    /// A symbolic link: of a tablespace, which is followed, or stored as it is.
    fn link(&mut self, member: &[u8], place: Place, below: Place, meta: &Metadata) -> Result<(), Failure> {
        let path = self.path(member);
        if place == Place::Tablespaces && is_number(base(member)) {
            let oid = str::from_utf8(base(member)).ok().and_then(|name| name.parse().ok());
            return match oid {
                Some(oid) if self.oids.contains(&oid) => self.directory(member, below),
                _ if path.exists() => Ok(()),
                _ => {
                    tool::warn(format_args!("{} leads nowhere and is no tablespace, left out", path.display()));
                    Ok(())
                }
            };
        }
        let target = match path.read_link() {
            Ok(target) => target,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(cannot_read(&path, &e)),
        };
        let (from, to) = (path.display(), target.display());
        if place.is_data() || below.is_data() || below == Place::Tablespaces {
            let why = format!("{from} is a symbolic link to {to}: what it leads to would be missing in the backup");
            return Err(Failure::new(Status::Config, why)
                .hint("Move the data back into the data directory, or use a tablespace for it."));
        }
        tool::warn(format_args!("{from} is a symbolic link to {to}: the link is backed up, not what it leads to"));
        self.add(Type::Link, meta, member, Some(target.as_os_str().as_bytes()))
    }

    fn add(&mut self, kind: Type, meta: &Metadata, member: &[u8], target: Option<&[u8]>) -> Result<(), Failure> {
        let source = self.path(member);
        let entry = Entry {
            kind,
            size: if matches!(kind, Type::Directory | Type::Link) { 0 } else { meta.size() },
            mtime_ns: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
            mode: meta.mode() & 0o7777,
            uid: meta.uid(),
            gid: meta.gid(),
            member,
            source: target.unwrap_or_else(|| source.as_os_str().as_bytes()),
        };
        self.total += meta.size();
        self.list.add(&entry).map_err(|e| cannot_write(&e))
    }

    /// The names in a directory, sorted; `None` where it vanished.
    fn names(&self, member: &[u8]) -> Result<Option<Vec<OsString>>, Failure> {
        let path = self.path(member);
        let read = || -> io::Result<Vec<OsString>> {
            let mut names =
                std::fs::read_dir(&path)?.map(|e| e.map(|e| e.file_name())).collect::<io::Result<Vec<_>>>()?;
            names.sort_unstable();
            Ok(names)
        };
        match read() {
            Ok(names) => Ok(Some(names)),
            Err(e) if e.kind() == io::ErrorKind::NotFound && !member.is_empty() => Ok(None),
            Err(e) => Err(cannot_read(&path, &e)),
        }
    }

    /// The path of a member: the same below the root, for tablespaces through their links.
    fn path(&self, member: &[u8]) -> PathBuf {
        let below = member.strip_prefix(b"/").unwrap_or(member);
        if below.is_empty() {
            return self.root.to_owned();
        }
        self.root.join(OsString::from_vec(below.to_owned()))
    }
}

/// The numbers of the unlogged relations among the names of a database's directory: those with an init fork.
///
/// Their other forks are made anew from it when recovery ends.  A relation whose init fork was made after the names
/// were read is stored whole, which costs room and nothing else.
fn unlogged(names: &[OsString]) -> BTreeSet<&[u8]> {
    let init = |name| relation(name).filter(|(_, fork)| *fork == b"init").map(|(number, _)| number);
    names.iter().filter_map(|name| init(name.as_bytes())).collect()
}

fn base(member: &[u8]) -> &[u8] {
    member.rsplit(|&b| b == b'/').next().unwrap_or(member)
}

fn special(kind: FileType) -> &'static str {
    if kind.is_socket() {
        "a socket"
    } else if kind.is_fifo() {
        "a named pipe"
    } else {
        "a device"
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::io(format_args!("cannot read {}", path.display()), error);
    match failure.status() {
        Status::Permission => failure.hint("pg-snapshot must run as the owner of the data directory."),
        _ => failure,
    }
}

fn cannot_write(error: &io::Error) -> Failure {
    Failure::io("cannot write the list of files", error)
}

#[cfg(test)]
mod tests;
