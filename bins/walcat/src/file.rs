//! A file that is there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use tool::Failure;
use tool::stop::HalfDone;

/// A file that is being written beside where it is to be, under no name where the system has that.
pub struct NewFile {
    path: PathBuf,
    file: File,
    /// The name it has until it is published, if it has any.
    temporary: Option<Temporary>,
    sync: bool,
}

/// A name that is removed unless it was renamed.
struct Temporary {
    path: PathBuf,
    _on_signal: HalfDone,
}

impl Temporary {
    fn beside(path: &Path) -> Temporary {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let path = path.with_file_name(format!(".{name}.walpipe-{}", std::process::id()));
        let on_signal = HalfDone::new(&path);
        Temporary { path, _on_signal: on_signal }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // renamed: there is nothing of that name
    }
}

impl NewFile {
    /// Begins the file `path`, mode 0600; with `sync` it is on the disk once published.
    pub fn create(path: &Path, sync: bool) -> Result<NewFile, Failure> {
        let dir = folder(path);
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        // Without a name not even kill -9 leaves anything; some file systems cannot (NFS).
        if let Ok(file) = rustix::fs::open(dir, flags | OFlags::TMPFILE, mode) {
            return Ok(NewFile { path: path.to_owned(), file: file.into(), temporary: None, sync });
        }
        let temporary = Temporary::beside(path);
        let file = rustix::fs::open(&temporary.path, flags | OFlags::CREATE | OFlags::TRUNC, mode)
            .map_err(|e| Failure::io(format_args!("cannot write {}", path.display()), &e.into()))?;
        Ok(NewFile { path: path.to_owned(), file: file.into(), temporary: Some(temporary), sync })
    }

    /// Gives it its name, in place of another file of that name.
    pub fn publish(self) -> Result<(), Failure> {
        self.try_publish().map_err(|e| self.failure(&e))
    }

    fn try_publish(&self) -> io::Result<()> {
        if self.sync {
            self.file.sync_all()?;
        }
        match &self.temporary {
            Some(temporary) => fs::rename(&temporary.path, &self.path)?,
            None => self.link()?,
        }
        if self.sync {
            File::open(folder(&self.path))?.sync_all()?;
        }
        Ok(())
    }

    /// Names what has no name yet: at once where the place is free, else by a rename.
    fn link(&self) -> io::Result<()> {
        let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let name = |path: &Path| rustix::fs::linkat(CWD, &own, CWD, path, AtFlags::SYMLINK_FOLLOW);
        match name(&self.path) {
            Err(rustix::io::Errno::EXIST) => {}
            done => return Ok(done?),
        }
        let temporary = Temporary::beside(&self.path);
        let _ = fs::remove_file(&temporary.path);
        name(&temporary.path)?;
        fs::rename(&temporary.path, &self.path)
    }

    /// A failure to write it.
    pub fn failure(&self, error: &io::Error) -> Failure {
        Failure::io(format_args!("cannot write {}", self.path.display()), error)
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for NewFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
