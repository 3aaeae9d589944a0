//! The list of files, as pg-snapshot writes it (contracts.md, "pg-snapshot → tarpart").
//!
//! Three NUL-ended strings an entry: `TYPE SIZE MTIME_NS MODE UID GID` (MODE in octal), the member's name, the source
//! path (for a link its target).  `E COUNT BYTES` ends the list; a list without it was cut short.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tool::{Failure, Source, Status};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Relation,
    Directory,
    Link,
    Control,
}

/// One entry of the list.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub kind: Kind,
    /// Bytes, as the walk saw them.
    pub size: u64,
    /// Nanoseconds since 1970.
    pub mtime_ns: i128,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// The member's name.
    pub name: Vec<u8>,
    /// Where it is read from; a link's target.
    pub source: PathBuf,
}

/// A list that came whole, kept in a file: nothing is begun before it has.
pub(crate) struct List {
    file: BufReader<File>,
    left: u64,
    /// How many bytes its files have.
    pub bytes: u64,
}

fn cut() -> Failure {
    Failure::new(Status::Data, "the list of files was cut short: its end record is missing")
}

fn odd(what: &[u8]) -> Failure {
    Failure::new(
        Status::Data,
        format!("the list of files holds {:?}, which is no record", String::from_utf8_lossy(what)),
    )
}

impl List {
    /// Takes the whole list from `input` into `spool`, a new file, and checks its end.
    pub(crate) fn take(input: Source, spool: &Path) -> Result<Self, Failure> {
        let cannot =
            |e: &std::io::Error| Failure::io(format_args!("cannot keep the list of files in {}", spool.display()), e);
        let file = File::options().read(true).write(true).create_new(true).open(spool).map_err(|e| cannot(&e))?;
        std::fs::remove_file(spool).map_err(|e| cannot(&e))?; // it lives as long as we do
        let mut input = BufReader::with_capacity(tool::CHUNK, input);
        let mut output = BufWriter::with_capacity(tool::CHUNK, file);
        let result = loop {
            match head(&mut input)? {
                Head::End(count, bytes) => break (count, bytes),
                Head::Entry(line) => {
                    output.write_all(&line).map_err(|e| cannot(&e))?;
                    for _ in 0..2 {
                        let text = string(&mut input)?;
                        output.write_all(&text).map_err(|e| cannot(&e))?;
                    }
                }
            }
        };
        input.into_inner().settle(Ok(()))?;
        let mut file = output.into_inner().map_err(|e| cannot(e.error()))?;
        file.rewind().map_err(|e| cannot(&e))?;
        let mut list = Self { file: BufReader::with_capacity(64 << 10, file), left: result.0, bytes: result.1 };
        list.check()?;
        Ok(list)
    }

    /// Counts what is there against what the end record says.
    fn check(&mut self) -> Result<(), Failure> {
        let (count, bytes) = (self.left, self.bytes);
        let (mut seen, mut sum, mut controls) = (0_u64, 0_u64, 0_u64);
        self.left = u64::MAX;
        while let Some(entry) = self.next()? {
            seen += 1;
            sum += entry.size;
            controls += u64::from(entry.kind == Kind::Control);
        }
        if (seen, sum) != (count, bytes) {
            let why =
                format!("the list of files has {seen} entries of {sum} bytes, its end record says {count} of {bytes}");
            return Err(Failure::new(Status::Data, why));
        }
        if controls != 1 {
            return Err(Failure::new(
                Status::Data,
                format!("the list of files has {controls} pg_control instead of one"),
            ));
        }
        self.file.rewind().map_err(|e| Failure::io("cannot read the list of files again", &e))?;
        self.left = count;
        Ok(())
    }

    /// The next entry; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Failure> {
        if self.left == 0
            || self.file.fill_buf().map_err(|e| Failure::io("cannot read the list of files", &e))?.is_empty()
        {
            return Ok(None);
        }
        self.left -= 1;
        let Head::Entry(line) = head(&mut self.file)? else { return Err(cut()) };
        let mut entry = parse(&line[..line.len() - 1]).ok_or_else(|| odd(&line))?;
        entry.name = trimmed(string(&mut self.file)?);
        let source = trimmed(string(&mut self.file)?);
        entry.source = PathBuf::from(OsStr::from_bytes(&source));
        if entry.name.is_empty() || (entry.source.as_os_str().is_empty() && entry.kind != Kind::Directory) {
            return Err(odd(&line));
        }
        Ok(Some(entry))
    }
}

enum Head {
    Entry(Vec<u8>),
    End(u64, u64),
}

/// One string with the NUL that ends it.
fn string(input: &mut impl BufRead) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let read = input.by_ref().take(1 << 20).read_until(0, &mut text);
    read.map_err(|e| Failure::io("cannot read the list of files", &e))?;
    if text.last() == Some(&0) { Ok(text) } else { Err(cut()) }
}

fn trimmed(mut text: Vec<u8>) -> Vec<u8> {
    text.pop();
    text
}

fn head(input: &mut impl BufRead) -> Result<Head, Failure> {
    let line = string(input)?;
    let Some(rest) = line.strip_prefix(b"E ") else { return Ok(Head::Entry(line)) };
    let text = std::str::from_utf8(&rest[..rest.len() - 1]).unwrap_or_default();
    let numbers = text.split_once(' ').and_then(|(count, bytes)| Some((count.parse().ok()?, bytes.parse().ok()?)));
    numbers.map(|(count, bytes)| Head::End(count, bytes)).ok_or_else(|| odd(&line))
}

fn parse(line: &[u8]) -> Option<Entry> {
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let kind = match words.next()? {
        "f" => Kind::File,
        "r" => Kind::Relation,
        "d" => Kind::Directory,
        "l" => Kind::Link,
        "c" => Kind::Control,
        _ => return None,
    };
    let entry = Entry {
        kind,
        size: words.next()?.parse().ok()?,
        mtime_ns: words.next()?.parse().ok()?,
        mode: u32::from_str_radix(words.next()?, 8).ok()?,
        uid: words.next()?.parse().ok()?,
        gid: words.next()?.parse().ok()?,
        name: Vec::new(),
        source: PathBuf::new(),
    };
    words.next().is_none().then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_and_a_wrong_one_is_not() {
        let entry = parse(b"r 8192 1700000000123456789 600 1000 1000").expect("a record");
        assert_eq!((entry.kind, entry.size, entry.mode), (Kind::Relation, 8192, 0o600));
        for bad in [&b"r 8192 17 600 1000"[..], b"x 1 1 1 1 1", b"f -1 1 600 1 1", b"f 1 1 999 1 1", b"f 1 1 600 1 1 1"]
        {
            assert!(parse(bad).is_none(), "{:?}", String::from_utf8_lossy(bad));
        }
    }
}
