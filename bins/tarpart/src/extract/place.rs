//! The directories that a restore writes to, and no others.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid, mkdirat, openat};
use rustix::io::Errno;
use tool::{Failure, Status};

/// A member's name as components below the destination; what could leave it is refused.
///
/// # Errors
/// 65 for `..` and the like.
pub(crate) fn parts_of<'a>(name: &'a [u8], what: &str) -> Result<Vec<&'a str>, Failure> {
    let hostile = || {
        Failure::new(
            Status::Data,
            format!("{what} holds the name {:?}, which is refused", String::from_utf8_lossy(name)),
        )
    };
    let text = std::str::from_utf8(name).map_err(|_| hostile())?;
    let parts: Vec<_> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.iter().any(|part| *part == ".." || part.contains('\0')) {
        return Err(hostile());
    }
    Ok(parts)
}

/// The destination and its tablespaces.
pub(crate) struct Place {
    root: PathBuf,
    fd: OwnedFd,
    /// OID → the directory that the link `pg_tblspc/OID` leads to.
    tablespaces: BTreeMap<String, (PathBuf, OwnedFd)>,
    /// The directories of these that were not there before.
    made: Vec<PathBuf>,
    /// Whether owners can be set: only root can.
    owners: bool,
}

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Place {
    /// Opens the destination and the tablespaces' directories, which are made; links are set below the destination.
    ///
    /// # Errors
    /// 73 where one of them is not empty; 77 and 74 as they come.
    pub(crate) fn prepare(root: &Path, tablespaces: &BTreeMap<String, PathBuf>) -> Result<Self, Failure> {
        check_empty(root, "the destination")?;
        for path in tablespaces.values() {
            check_empty(path, "the tablespace's location")?;
        }
        let made = std::iter::once(root).chain(tablespaces.values().map(PathBuf::as_path));
        let made = made.filter(|path| !path.exists()).map(Path::to_owned).collect();
        let fd = open_made(root)?;
        let mut place = Self {
            root: root.to_owned(),
            fd,
            tablespaces: BTreeMap::new(),
            made,
            owners: rustix::process::geteuid().is_root(),
        };
        for (oid, path) in tablespaces {
            let fd = open_made(path)?;
            let parent = place.directory(&["pg_tblspc"])?;
            rustix::fs::symlinkat(path, &parent, oid.as_str()).map_err(|e| place.cannot("pg_tblspc", oid, e))?;
            place.tablespaces.insert(oid.clone(), (path.clone(), fd));
        }
        Ok(place)
    }

    /// The path of the destination.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn cannot(&self, folder: &str, name: &str, error: Errno) -> Failure {
        let path = self.root.join(folder).join(name);
        Failure::io(format_args!("cannot write {}", path.display()), &io::Error::from(error))
    }

    /// The directory whose components are `parts`, made where it is missing; a link on the way is refused, except
    /// those to tablespaces that were set here.
    pub(crate) fn directory(&self, parts: &[&str]) -> Result<OwnedFd, Failure> {
        let (start, rest) = match parts {
            ["pg_tblspc", oid, rest @ ..] if self.tablespaces.contains_key(*oid) => (&self.tablespaces[*oid].1, rest),
            _ => (&self.fd, parts),
        };
        let cannot = |e: Errno| self.cannot("", &parts.join("/"), e);
        let mut at = start.try_clone().map_err(|e| Failure::io("cannot open a directory", &e))?;
        for part in rest {
            at = match openat(&at, *part, DIRECTORY, Mode::empty()) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => {
                    match mkdirat(&at, *part, Mode::RWXU) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(cannot(error)),
                    }
                    openat(&at, *part, DIRECTORY, Mode::empty()).map_err(cannot)?
                }
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    let path = self.root.join(parts.join("/"));
                    let why = format!("{} would lead through a link or a file, which is refused", path.display());
                    return Err(Failure::new(Status::Data, why));
                }
                Err(error) => return Err(cannot(error)),
            };
        }
        Ok(at)
    }

    /// A new file; that it is there already means that the backup holds it twice.
    pub(crate) fn create(&self, folder: &OwnedFd, parts: &[&str]) -> Result<File, Failure> {
        let name = parts.last().copied().unwrap_or_default();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(folder, name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => Ok(File::from(fd)),
            Err(Errno::EXIST) => {
                let why = format!("the backup holds /{} twice", parts.join("/"));
                Err(Failure::new(Status::Data, why).hint("Two backups may have been stored under one name."))
            }
            Err(error) => Err(self.cannot("", &parts.join("/"), error)),
        }
    }

    /// Sets mode, and as root the owner.
    pub(crate) fn dress(
        &self,
        fd: impl AsFd,
        mode: u32,
        owner: Option<(u32, u32)>,
        parts: &[&str],
    ) -> Result<(), Failure> {
        let cannot = |e: Errno| self.cannot("", &parts.join("/"), e);
        if let Some((uid, gid)) = owner.filter(|_| self.owners) {
            rustix::fs::fchown(&fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(cannot)?;
        }
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode)).map_err(cannot)
    }

    /// Gives the destination and the tablespaces' directories that were made here to `owner`, where that can be done.
    pub(crate) fn own_made(&self, owner: (u32, u32)) -> Result<(), Failure> {
        for path in self.made.iter().filter(|_| self.owners) {
            let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
            rustix::fs::chown(path, Some(uid), Some(gid))
                .map_err(|e| Failure::io(format_args!("cannot give away {}", path.display()), &e.into()))?;
        }
        Ok(())
    }

    /// A symbolic link.
    pub(crate) fn link(&self, parts: &[&str], target: &Path) -> Result<(), Failure> {
        let Some((name, folder)) = parts.split_last() else { return Ok(()) };
        let folder = self.directory(folder)?;
        rustix::fs::symlinkat(target, &folder, *name).map_err(|e| self.cannot("", &parts.join("/"), e))
    }

    /// Writes a small file so that it is there whole, and durable, or not at all.
    pub(crate) fn publish(
        &self,
        parts: &[&str],
        content: &[u8],
        mode: u32,
        owner: Option<(u32, u32)>,
    ) -> Result<(), Failure> {
        let Some((name, folder)) = parts.split_last() else { return Ok(()) };
        let cannot =
            |e: &io::Error| Failure::io(format_args!("cannot write {}", self.root.join(parts.join("/")).display()), e);
        let folder = self.directory(folder)?;
        let temporary = format!("{name}.walpipe");
        let mut file = self.create(&folder, &[&temporary])?;
        let written =
            file.write_all(content).map_err(|e| cannot(&e)).and_then(|()| self.dress(&file, mode, owner, parts));
        let done = written.and_then(|()| file.sync_all().map_err(|e| cannot(&e))).and_then(|()| {
            rustix::fs::renameat(&folder, &temporary, &folder, *name).map_err(|e| cannot(&e.into()))?;
            rustix::fs::fsync(&folder).map_err(|e| cannot(&e.into()))
        });
        if done.is_err() {
            let _ = rustix::fs::unlinkat(&folder, &temporary, AtFlags::empty());
        }
        done
    }

    /// Makes everything that was written durable: all of the file systems that it lies on.
    pub(crate) fn sync(&self) -> Result<(), Failure> {
        for (path, fd) in std::iter::once((&self.root, &self.fd)).chain(self.tablespaces.values().map(|(p, f)| (p, f)))
        {
            rustix::fs::syncfs(fd)
                .map_err(|e| Failure::io(format_args!("cannot make {} durable", path.display()), &e.into()))?;
        }
        Ok(())
    }
}

/// Refuses a directory that holds anything.
fn check_empty(path: &Path, what: &str) -> Result<(), Failure> {
    let shown = path.display();
    let cannot = |e: &io::Error| Failure::io(format_args!("cannot look into {shown}"), e);
    let mut entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot(&error)),
    };
    if path.join("postmaster.pid").exists() {
        return Err(Failure::new(
            Status::Exists,
            format!("{what} {shown} holds postmaster.pid: a server may be running there"),
        )
        .hint("Nothing is restored over a cluster; name an empty directory, or one that does not exist."));
    }
    match entries.next() {
        None => Ok(()),
        Some(Err(error)) => Err(cannot(&error)),
        Some(Ok(_)) => Err(Failure::new(Status::Exists, format!("{what} {shown} is not empty"))
            .hint("Name an empty directory, or one that does not exist; after a restore that failed, empty it first.")),
    }
}

/// Opens a directory, which is made where it is missing; so are its parents, as mkdir(1) makes them.
fn open_made(path: &Path) -> Result<OwnedFd, Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let cannot = |e: &io::Error| Failure::io(format_args!("cannot make the directory {}", path.display()), e);
    if !path.is_dir() {
        path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(|e| cannot(&e))?;
        std::fs::DirBuilder::new().mode(0o700).create(path).map_err(|e| cannot(&e))?;
    }
    openat(CWD, path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(|e| cannot(&e.into()))
}
