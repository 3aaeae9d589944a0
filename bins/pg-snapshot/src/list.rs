//! The list of files that COMMAND reads: what is written, byte for byte.
//!
//! Per entry three strings, each ended by one NUL byte:
//!
//! 1. `TYPE SIZE MTIME_NS MODE UID GID`, ASCII, one space between.  TYPE is one letter of [`Type`]; SIZE the
//!    size in bytes that lstat(2) saw, 0 for `d` and `l`; `MTIME_NS` nanoseconds since 1970, negative before;
//!    MODE the permission, setuid, setgid and sticky bits in **octal** without a leading zero (`600`, `700`, `0`);
//!    UID and GID decimal.
//! 2. The member name (spec/tar.md §3): `/` and the path below the data directory, no trailing slash, `/` alone
//!    for the root; tablespaces as `/pg_tblspc/OID/PG_…`.  Any bytes but NUL.
//! 3. The source: an absolute path to read from; for `l` the target of the link, exactly as readlink(2) gave it.
//!
//! A directory comes before what is in it, names in byte order.  `c` is the last entry.  Then one string ends the list:
//! `E COUNT BYTES`, with the number of entries before it and the sum of their SIZE.  A list without it is cut short.

use std::io::{self, Write};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `f`: a file.
    File,
    /// `r`: a file of the main fork of a relation, which consists of pages.
    Relation,
    /// `d`: a directory.
    Directory,
    /// `l`: a symbolic link that leads to no tablespace.
    Link,
    /// `c`: `global/pg_control`.
    Control,
}

impl Type {
    const fn letter(self) -> char {
        match self {
            Self::File => 'f',
            Self::Relation => 'r',
            Self::Directory => 'd',
            Self::Link => 'l',
            Self::Control => 'c',
        }
    }
}

/// One entry of the list.
#[derive(Debug)]
pub struct Entry<'a> {
    /// What it is.
    pub kind: Type,
    /// Bytes that are to be stored of it: 0 for what has no content.
    pub size: u64,
    /// Modification time, nanoseconds since 1970.
    pub mtime_ns: i128,
    /// The lower twelve bits of `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The name in the tar.
    pub member: &'a [u8],
    /// Where to read it, or where the link leads.
    pub source: &'a [u8],
}

/// How many bytes of the list are written at a time.
const BLOCK: usize = 32 << 10;

/// Writes the list.
#[derive(Debug)]
pub struct List<W> {
    out: W,
    block: Vec<u8>,
    count: u64,
    bytes: u64,
}

impl<W: Write> List<W> {
    /// A list that goes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, block: Vec::with_capacity(BLOCK + 4096), count: 0, bytes: 0 }
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn add(&mut self, e: &Entry<'_>) -> io::Result<()> {
        let letter = e.kind.letter();
        write!(self.block, "{letter} {} {} {:o} {} {}\0", e.size, e.mtime_ns, e.mode, e.uid, e.gid)?;
        for name in [e.member, e.source] {
            self.block.extend_from_slice(name);
            self.block.push(0);
        }
        self.count += 1;
        self.bytes += e.size;
        if self.block.len() >= BLOCK { self.send() } else { Ok(()) }
    }

    /// Ends the list: without this it reads as cut short.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn finish(mut self) -> io::Result<()> {
        write!(self.block, "E {} {}\0", self.count, self.bytes)?;
        self.send()?;
        self.out.flush()
    }

    fn send(&mut self) -> io::Result<()> {
        self.out.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_three_strings_and_the_end_counts_them() -> io::Result<()> {
        let mut out = Vec::new();
        let mut list = List::new(&mut out);
        let root = Entry {
            kind: Type::Directory,
            size: 0,
            mtime_ns: -1,
            mode: 0o700,
            uid: 26,
            gid: 0,
            member: b"/",
            source: b"/srv/pg",
        };
        list.add(&root)?;
        let name = b"/base/5/a\nb \xFF";
        let table =
            Entry { kind: Type::Relation, size: 8192, mtime_ns: 1, mode: 0o600, member: name, source: b"/x", ..root };
        list.add(&table)?;
        list.finish()?;
        let wanted = b"d 0 -1 700 26 0\0/\0/srv/pg\0r 8192 1 600 26 0\0/base/5/a\nb \xFF\0/x\0E 2 8192\0";
        assert_eq!(out, wanted);
        Ok(())
    }
}
