//! An object on its way into a directory.

use std::any::Any;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use store::{Error, Key, Upload};

use crate::temporary::{is_temporary, name_for};
use crate::{FileStore, publish, said};

/// Temporary files older than this belong to nobody any more.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// A temporary file that becomes an object, or goes.
pub(crate) struct FileUpload {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    create_only: bool,
    published: bool,
    _told: Box<dyn Any>,
}

impl FileUpload {
    pub(crate) fn begin(store: &FileStore, key: &Key, create_only: bool) -> Result<Self, Error> {
        let target = store.path(key);
        let cannot = |error: &io::Error| said(format_args!("cannot store {}", target.display()), error);
        let name = target.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let name = name_for(&name).map_err(|e| cannot(&e))?;
        let temporary = target.with_file_name(name);
        let told = (store.on_temporary)(&temporary);
        let file = match open(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                publish::make_directories(&store.root, directory(&target))?;
                open(&temporary)
            }
            other => other,
        };
        let file = file.map_err(|e| cannot(&e))?;
        sweep(&temporary);
        Ok(Self { file, temporary, target, create_only, published: false, _told: told })
    }
}

/// Who may read the repository is no matter of the umask: PostgreSQL's is 077, a person's another one.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(path)?;
    let _ = file.set_permissions(Permissions::from_mode(0o640)); // some file systems have no modes
    Ok(file)
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// Removes what dead programs left in the directory of `temporary`; not every time, for it reads the directory.
fn sweep(temporary: &Path) {
    if !temporary.as_os_str().as_encoded_bytes().ends_with(b"00") {
        return; // one time in 256, by the random digits of the name
    }
    let stale = |path: &Path| {
        let modified = std::fs::symlink_metadata(path).and_then(|meta| meta.modified());
        modified.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age > STALE))
    };
    for entry in std::fs::read_dir(directory(temporary)).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_temporary) && stale(&entry.path()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

impl Write for FileUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for FileUpload {
    fn finish(mut self: Box<Self>) -> Result<Option<String>, Error> {
        let target = self.target.display();
        self.file.sync_data().map_err(|e| said(format_args!("cannot make {target} durable"), &e))?;
        if !self.create_only {
            publish::replace(&self.temporary, &self.target)?;
        } else if !publish::create(&self.temporary, &self.target)? {
            let same = publish::same_content(&self.temporary, &self.target);
            return match same.map_err(|e| said(format_args!("cannot compare with {target}"), &e))? {
                true => publish::sync_directory(directory(&self.target)).map(|()| None),
                false => Err(Error::Exists(format!("{target} exists already, with other content").into())),
            };
        }
        self.published = true;
        publish::sync_directory(directory(&self.target))?;
        Ok(None)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}

impl Drop for FileUpload {
    fn drop(&mut self) {
        if !self.published {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}
