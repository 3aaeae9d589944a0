//! files_metadata.json, put together while the parts are made (spec/sentinel.md §3).
//!
//! `Files` grows as files are stored, `TarFileSets` as parts are closed; each is kept in a file of its own beside
//! the result, so that memory holds the names of the open parts only.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::json;
use tool::{Failure, Status};

/// How many corrupt blocks of a file are listed where not all are asked for.
const SOME: usize = 10;

/// The object under way.
pub(crate) struct Metadata {
    path: PathBuf,
    all_corrupt: bool,
    state: Mutex<State>,
}

struct State {
    files: BufWriter<File>,
    sets: BufWriter<File>,
    any_file: bool,
    any_set: bool,
}

fn spool(path: &Path, ending: &str) -> io::Result<BufWriter<File>> {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    let file = File::options().read(true).write(true).create_new(true).open(&name)?;
    std::fs::remove_file(&name)?; // it lives as long as we do
    Ok(BufWriter::with_capacity(64 << 10, file))
}

/// A member's name as JSON; what is not UTF-8 in it cannot be said there and is replaced.
pub(crate) fn quoted(name: &[u8]) -> String {
    json!(String::from_utf8_lossy(name)).to_string()
}

/// A time as `MTime`: RFC 3339, nanoseconds, no trailing zeros.
fn time(ns: i128) -> String {
    Timestamp::from_nanosecond(ns).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

impl Metadata {
    /// Begins the object that will be `path`; `all_corrupt` lists every corrupt block, not some.
    pub(crate) fn begin(path: &Path, all_corrupt: bool) -> Result<Self, Failure> {
        let open = || -> io::Result<State> {
            Ok(State { files: spool(path, ".files")?, sets: spool(path, ".sets")?, any_file: false, any_set: false })
        };
        let state = open().map_err(|e| Self::cannot(path, &e))?;
        Ok(Self { path: path.to_owned(), all_corrupt, state: Mutex::new(state) })
    }

    fn cannot(path: &Path, error: &io::Error) -> Failure {
        Failure::io(format_args!("cannot write {}", path.display()), error)
    }

    fn append(&self, write: impl FnOnce(&mut State) -> io::Result<()>) -> Result<(), Failure> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        write(&mut state).map_err(|e| Self::cannot(&self.path, &e))
    }

    /// Adds a member that is stored whole; `corrupt` are block numbers in this file, ascending.
    pub(crate) fn file(&self, name: &[u8], mtime_ns: i128, corrupt: &[u32]) -> Result<(), Failure> {
        let mut text =
            format!(r#"{}:{{"IsIncremented":false,"IsSkipped":false,"MTime":"{}""#, quoted(name), time(mtime_ns));
        if !corrupt.is_empty() {
            let shown = if self.all_corrupt { corrupt } else { &corrupt[..corrupt.len().min(SOME)] };
            let blocks = json!({ "CorruptBlocksCount": corrupt.len(), "SomeCorruptBlocks": shown });
            text.push_str(&format!(r#","CorruptBlocks":{blocks}"#));
        }
        text.push_str(r#","UpdatesCount":0}"#);
        self.append(|state| {
            if std::mem::replace(&mut state.any_file, true) {
                state.files.write_all(b",")?;
            }
            state.files.write_all(text.as_bytes())
        })
    }

    /// Adds the set of a part that is stored: `object` is its stored name, `members` JSON strings joined by commas.
    pub(crate) fn set(&self, object: &str, members: &str) -> Result<(), Failure> {
        self.append(|state| {
            if std::mem::replace(&mut state.any_set, true) {
                state.sets.write_all(b",")?;
            }
            write!(state.sets, "{}:[{members}]", json!(object))
        })
    }

    /// Puts the object together.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let write = || -> io::Result<()> {
            let mut output = BufWriter::with_capacity(64 << 10, File::create(&self.path)?);
            output.write_all(br#"{"Files":{"#)?;
            pour(state.files, &mut output)?;
            output.write_all(br#"},"TarFileSets":{"#)?;
            pour(state.sets, &mut output)?;
            output.write_all(b"}}")?;
            output.into_inner()?.sync_all()
        };
        write().map_err(|e| Self::cannot(&self.path, &e))
    }

    /// Adds one more set to an object that [`Metadata::finish`] made.
    pub(crate) fn complete(path: &Path, object: &str, members: &str) -> Result<(), Failure> {
        let cannot = |e: &io::Error| Self::cannot(path, e);
        let mut file = File::options().read(true).write(true).open(path).map_err(|e| cannot(&e))?;
        let mut end = [0; 3];
        let at = file.seek(SeekFrom::End(-3)).map_err(|e| cannot(&e))?;
        file.read_exact(&mut end).map_err(|e| cannot(&e))?;
        let [before, b'}', b'}'] = end else {
            return Err(Failure::new(Status::Data, format!("{} is not what tarpart create wrote", path.display())));
        };
        let comma = if before == b'{' { "" } else { "," };
        let mut write = || -> io::Result<()> {
            file.seek(SeekFrom::Start(at + 1))?;
            write!(file, "{comma}{}:[{members}]}}}}", json!(object))?;
            file.sync_all()
        };
        write().map_err(|e| cannot(&e))
    }
}

fn pour(spool: BufWriter<File>, output: &mut impl Write) -> io::Result<()> {
    let mut file = spool.into_inner()?;
    file.rewind()?;
    io::copy(&mut file, output).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_is_json_with_what_was_added() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("files_metadata.json");
        let metadata = Metadata::begin(&path, false).expect("begun");
        metadata.file(b"/", 1_767_322_800_100_000_000, &[]).expect("added");
        let corrupt: Vec<u32> = (0..12).collect();
        metadata.file("/ü<&>".as_bytes(), 0, &corrupt).expect("added");
        metadata.set("part_001.tar.lz4", r#""/","/x""#).expect("added");
        metadata.finish().expect("finished");
        Metadata::complete(&path, "backup_label.tar.lz4", r#""tablespace_map","backup_label""#).expect("completed");
        let text = std::fs::read_to_string(&path).expect("read");
        assert_eq!(
            text,
            concat!(
                r#"{"Files":{"/":{"IsIncremented":false,"IsSkipped":false,"MTime":"2026-01-02T03:00:00.1Z","UpdatesCount":0},"#,
                r#""/ü<&>":{"IsIncremented":false,"IsSkipped":false,"MTime":"1970-01-01T00:00:00Z","CorruptBlocks":"#,
                r#"{"CorruptBlocksCount":12,"SomeCorruptBlocks":[0,1,2,3,4,5,6,7,8,9]},"UpdatesCount":0}},"#,
                r#""TarFileSets":{"part_001.tar.lz4":["/","/x"],"backup_label.tar.lz4":["tablespace_map","backup_label"]}}"#
            )
        );
        assert_eq!(std::fs::read_dir(place.path()).expect("read").count(), 1);
    }
}
