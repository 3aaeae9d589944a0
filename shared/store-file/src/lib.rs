//! The store on a local file system: durable, atomic, all or nothing.
//!
//! An object is written under a temporary name in its own directory, made durable, and published by a rename,
//! after which the directory is made durable as well (spec/layout.md §9).  The root must exist: directories are
//! made only below it, so that a disk that is not mounted never "stores" anything.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use store::{Download, Entry, Error, Key, Meta, PutOptions, Store, Upload, Why};

mod list;
mod publish;
mod temporary;
mod upload;

/// What to do about a root that is not there.
const MOUNTED: &str = "Is it mounted?  A root is never made, only what is below it.";

/// Called with the name of each temporary file before it is made; what it returns is dropped when the file is
/// published or removed.
pub type OnTemporary = Box<dyn Fn(&Path) -> Box<dyn std::any::Any>>;

/// A directory that serves as a store.
pub struct FileStore {
    root: PathBuf,
    on_temporary: OnTemporary,
}

impl FileStore {
    /// The store in the directory `root`, which need not exist until something is asked of it.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), on_temporary: Box::new(|_| Box::new(())) }
    }

    /// Has `call` told of temporary files, so that a program that is ended can remove them.
    #[must_use]
    pub fn on_temporary(mut self, call: OnTemporary) -> Self {
        self.on_temporary = call;
        self
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    /// The root must be there, whatever is asked.
    fn check_root(&self) -> Result<(), Error> {
        let root = self.root.display();
        match std::fs::metadata(&self.root) {
            Ok(meta) if meta.is_dir() => Ok(()),
            Ok(_) => Err(Error::Gone(Why::hinted(format!("{root} is not a directory"), MOUNTED))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::Gone(Why::hinted(format!("the root {root} does not exist"), MOUNTED)))
            }
            Err(error) => Err(said(format_args!("cannot look at the root {root}"), &error)),
        }
    }

    /// The error for an object that a system call did not find: it, or the whole root, may be absent.
    fn absent(&self, key: &Key) -> Error {
        self.check_root()
            .err()
            .unwrap_or_else(|| Error::Absent(format!("there is no {}", self.path(key).display()).into()))
    }
}

/// An error of the system, sorted by what a caller would do.
fn said(what: impl std::fmt::Display, error: &io::Error) -> Error {
    use io::ErrorKind as K;
    let text = error.to_string();
    let text = format!("{what}: {}", text.split(" (os error").next().unwrap_or(&text).to_lowercase());
    match error.kind() {
        K::NotFound | K::NotADirectory => Error::Absent(text.into()),
        K::AlreadyExists => Error::Exists(text.into()),
        K::PermissionDenied | K::ReadOnlyFilesystem => Error::Denied(text.into()),
        K::InvalidFilename => Error::Invalid(text.into()),
        _ => Error::Broken(text.into()),
    }
}

fn meta_of(meta: &Metadata) -> Meta {
    let time = meta.modified().ok().and_then(|t| Timestamp::try_from(t).ok()).unwrap_or(Timestamp::UNIX_EPOCH);
    Meta { size: meta.len(), time, content: None }
}

impl Store for FileStore {
    fn put(&self, key: &Key, options: &PutOptions) -> Result<Box<dyn Upload + '_>, Error> {
        self.check_root()?;
        Ok(Box::new(upload::FileUpload::begin(self, key, options.create_only)?))
    }

    fn get(&self, key: &Key) -> Result<Download, Error> {
        let path = self.path(key);
        let cannot = |error: &io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => self.absent(key),
            _ => said(format_args!("cannot read {}", path.display()), error),
        };
        let file = File::open(&path).map_err(|e| cannot(&e))?;
        let meta = file.metadata().map_err(|e| cannot(&e))?;
        if !meta.is_file() {
            return Err(self.absent(key));
        }
        let descriptor = file.try_clone().map_err(|e| cannot(&e))?;
        let body = Exactly { left: meta.len(), file, path };
        Ok(Download { meta: meta_of(&meta), body: Box::new(body), descriptor: Some(descriptor.into()) })
    }

    fn head(&self, key: &Key) -> Result<Option<Meta>, Error> {
        match std::fs::metadata(self.path(key)) {
            Ok(meta) if meta.is_file() => Ok(Some(meta_of(&meta))),
            Ok(_) => Ok(None),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                self.check_root().map(|()| None)
            }
            Err(error) => Err(said(format_args!("cannot look at {}", self.path(key).display()), &error)),
        }
    }

    fn list(
        &self,
        folder: Option<&Key>,
        prefix: &str,
        shallow: bool,
        each: &mut dyn FnMut(Entry) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.check_root()?;
        let folder = folder.map_or_else(|| self.root.clone(), |key| self.path(key));
        list::list(&folder, prefix, shallow, each)
    }

    fn remove(&self, key: &Key) -> Result<(), Error> {
        self.check_root()?;
        publish::remove(&self.root, &self.path(key))
    }
}

/// A file's bytes, as many as it had when it was opened: one that shrank meanwhile is an error, not an end.
struct Exactly {
    file: File,
    left: u64,
    path: PathBuf,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..want])?;
        if read == 0 && want > 0 {
            let why = format!("{} is shorter than it was", self.path.display());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        self.left -= read as u64;
        Ok(read)
    }
}
