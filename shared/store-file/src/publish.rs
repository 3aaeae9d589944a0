//! From a temporary name to an object's name, without replacing, and away again.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use store::Error;

use crate::said;

/// Makes a directory's entries durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), Error> {
    let result = File::open(path).and_then(|directory| directory.sync_all());
    match result {
        // some file systems cannot, and need not
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other.map_err(|e| said(format_args!("cannot make {} durable", path.display()), &e)),
    }
}

/// Makes the directories from below `root` (which exists) down to `path`, durable each.
pub(crate) fn make_directories(root: &Path, path: &Path) -> Result<(), Error> {
    if path == root || path.is_dir() {
        return Ok(());
    }
    let Some(parent) = path.parent() else { return Ok(()) };
    make_directories(root, parent)?;
    let made = std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o750).create(path);
    match made {
        Ok(()) => {
            // whatever the umask; some file systems have no modes
            let _ = std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o750));
            sync_directory(parent)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()), // somebody else did
        Err(error) => Err(said(format_args!("cannot make the directory {}", path.display()), &error)),
    }
}

/// Gives the file `from` the name `to`, in place of whatever has it.
pub(crate) fn replace(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::rename(from, to).map_err(|e| said(format_args!("cannot store {}", to.display()), &e))
}

/// Gives the file `from` the name `to`, unless something has it already: then `false`.
///
/// By a rename that does not replace; where the file system has none, by a link; where it has no links either,
/// under a claim that others of us respect.
pub(crate) fn create(from: &Path, to: &Path) -> Result<bool, Error> {
    let cannot = |error: &io::Error| said(format_args!("cannot store {}", to.display()), error);
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => return Ok(true),
        Err(Errno::EXIST) => return Ok(false),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
        Err(error) => return Err(cannot(&error.into())),
    }
    match std::fs::hard_link(from, to) {
        Ok(()) => {}
        Err(_) if same_file(from, to) => {} // the answer was lost on the way, the link was not
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied || error.raw_os_error() == Some(95) => {
            return claim(from, to);
        }
        Err(error) => return Err(cannot(&error)),
    }
    std::fs::remove_file(from).map_err(|e| cannot(&e))?;
    Ok(true)
}

fn same_file(a: &Path, b: &Path) -> bool {
    let id = |path| std::fs::symlink_metadata(path).ok().map(|meta: std::fs::Metadata| (meta.dev(), meta.ino()));
    id(a).is_some() && id(a) == id(b)
}

/// The weakest way: a file that only one can create, held around a look and a rename.
fn claim(from: &Path, to: &Path) -> Result<bool, Error> {
    let mut claim = to.as_os_str().to_owned();
    claim.push(".claim");
    let cannot = |error: &io::Error| said(format_args!("cannot store {}", to.display()), error);
    match OpenOptions::new().write(true).create_new(true).open(&claim) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Error::Busy(store::Why::hinted(
                format!("{} is being stored by somebody else", to.display()),
                format!("If nobody does, remove {}: who made it was killed.", Path::new(&claim).display()),
            )));
        }
        Err(error) => return Err(cannot(&error)),
    }
    let result = match std::fs::symlink_metadata(to) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::rename(from, to).map(|()| true).map_err(|e| cannot(&e))
        }
        Err(error) => Err(cannot(&error)),
    };
    let _ = std::fs::remove_file(&claim);
    result
}

/// Whether two files have the same bytes.
pub(crate) fn same_content(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let read = a.read(&mut left)?;
        if read == 0 {
            return Ok(b.read(&mut right)? == 0);
        }
        b.read_exact(&mut right[..read])?;
        if left[..read] != right[..read] {
            return Ok(false);
        }
    }
}

/// Removes the file `path` and the directories above it, below `root`, that this leaves empty.
pub(crate) fn remove(root: &Path, path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(said(format_args!("cannot remove {}", path.display()), &error)),
    }
    let mut folder = path.parent();
    while let Some(path) = folder.filter(|path| *path != root && path.starts_with(root)) {
        if std::fs::remove_dir(path).is_err() {
            break; // not empty
        }
        folder = path.parent();
    }
    folder.map_or(Ok(()), sync_directory)
}
