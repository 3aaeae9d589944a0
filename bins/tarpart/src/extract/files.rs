//! Members into files; what comes last is held until all the rest is there.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pg::{ControlFile, Major};
use tar::EntryType;
use tool::{Failure, Progress, Source, Status, warn};

use super::members::{Found, Members};
use super::place::{Place, parts_of};
use super::wanted::Wanted;

/// From this size on, room is made before a file is written, in bytes.
const LARGE: u64 = 1 << 20;
/// The longest file that is held in memory, in bytes.
const SMALL: u64 = 16 << 20;

/// The files that come last.
#[derive(Default)]
pub(crate) struct Held(Mutex<HeldFiles>);

#[derive(Default)]
struct HeldFiles {
    control: Option<HeldFile>,
    /// By the name without a slash, as from the server; and with one, as from the data directory.
    label: [Option<HeldFile>; 2],
    map: [Option<HeldFile>; 2],
}

struct HeldFile {
    content: Vec<u8>,
    found: Found,
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, HeldFiles> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `pg_control` from its own part, and looks whether it is one.
    pub(crate) fn take_control(&self, mut input: Source, name: &str) -> Result<(), Failure> {
        let result = self.read_control(&mut Members { input: &mut input, what: name });
        input.settle(result).map_err(|f| f.passed_on(format_args!("{name} cannot be read")))
    }

    fn read_control(&self, members: &mut Members<'_>) -> Result<(), Failure> {
        let mut buffer = vec![0; 64 << 10];
        while let Some(found) = members.next()? {
            if is(&found.name, "global/pg_control") {
                let content = small(members, &found, &mut buffer)?;
                self.lock().control = Some(HeldFile { content, found });
            } else {
                members.skip(found.size, &mut buffer)?;
            }
        }
        let held = self.lock();
        let Some(control) = &held.control else {
            return Err(Failure::new(Status::Data, format!("{} holds no global/pg_control", members.what)));
        };
        ControlFile::parse(&control.content)
            .map(drop)
            .map_err(|e| Failure::new(Status::Data, format!("global/pg_control in {} is not sound: {e}", members.what)))
    }
}

/// Whether a member is called so, with or without a slash at the beginning.
fn is(name: &[u8], wanted: &str) -> bool {
    name.strip_prefix(b"/").unwrap_or(name) == wanted.as_bytes()
}

/// The content of a small file.
fn small(members: &mut Members<'_>, found: &Found, buffer: &mut [u8]) -> Result<Vec<u8>, Failure> {
    let name = String::from_utf8_lossy(&found.name).into_owned();
    if found.size > SMALL {
        return Err(Failure::new(
            Status::Data,
            format!("{name} in {} is too long: {} bytes", members.what, found.size),
        ));
    }
    let mut content = Vec::new();
    members.content(found.size, buffer, |piece| {
        content.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(content)
}

/// A restore under way.
pub(crate) struct Restore<'a> {
    place: &'a Place,
    wanted: Option<&'a Wanted>,
    progress: &'a Progress,
    held: &'a Held,
    /// Directories whose mode would keep us from writing into them: set at the end.
    modes: Mutex<Vec<(String, u32)>>,
}

/// The directory of the member before, which most often is that of the next one too.
struct Folder {
    parts: Vec<String>,
    fd: OwnedFd,
}

impl<'a> Restore<'a> {
    pub(crate) const fn new(
        place: &'a Place,
        wanted: Option<&'a Wanted>,
        progress: &'a Progress,
        held: &'a Held,
    ) -> Self {
        Self { place, wanted, progress, held, modes: Mutex::new(Vec::new()) }
    }

    /// Restores the members of one part.
    pub(crate) fn part(&self, members: &mut Members<'_>) -> Result<(), Failure> {
        self.part_until(members, &AtomicBool::new(false))
    }

    /// As [`Restore::part`], until somebody says stop.
    pub(crate) fn part_until(&self, members: &mut Members<'_>, stop: &AtomicBool) -> Result<(), Failure> {
        let mut buffer = vec![0; tool::CHUNK];
        let mut folder = None;
        while let Some(found) = members.next()? {
            if stop.load(Ordering::Relaxed) {
                return Err(Failure::silent(Status::Io)); // whoever said stop says why
            }
            self.member(members, found, &mut folder, &mut buffer)?;
        }
        Ok(())
    }

    fn member(
        &self,
        members: &mut Members<'_>,
        found: Found,
        folder: &mut Option<Folder>,
        buffer: &mut [u8],
    ) -> Result<(), Failure> {
        let parts = parts_of(&found.name, members.what)?;
        let listed = self.wanted.is_none_or(|wanted| wanted.came(&found.name));
        match found.kind {
            EntryType::Directory => self.directory(&parts, &found),
            _ if parts.is_empty() => {
                Err(Failure::new(Status::Data, format!("{} holds a file without a name", members.what)))
            }
            _ if self.is_held(&found.name) => self.hold(members, found, buffer),
            EntryType::Regular | EntryType::Continuous if listed => self.file(members, &found, &parts, folder, buffer),
            EntryType::Symlink if listed => self.link(&parts, &found),
            EntryType::Link => {
                let name = String::from_utf8_lossy(&found.name);
                Err(Failure::new(
                    Status::Data,
                    format!("{} holds the hard link {name}, which is refused", members.what),
                ))
            }
            kind => {
                if listed && !matches!(kind, EntryType::Regular | EntryType::Continuous | EntryType::Symlink) {
                    warn(format_args!(
                        "{} is neither file, directory nor link; left out",
                        String::from_utf8_lossy(&found.name)
                    ));
                }
                members.skip(found.size, buffer)
            }
        }
    }

    fn is_held(&self, name: &[u8]) -> bool {
        self.held.lock().control.is_some()
            && ["global/pg_control", "backup_label", "tablespace_map"].iter().any(|held| is(name, held))
    }

    /// Keeps a file that comes last; `pg_control` is there already.
    fn hold(&self, members: &mut Members<'_>, found: Found, buffer: &mut [u8]) -> Result<(), Failure> {
        let content = small(members, &found, buffer)?;
        let slashed = usize::from(found.name.starts_with(b"/"));
        let mut held = self.held.lock();
        if is(&found.name, "backup_label") {
            held.label[slashed] = Some(HeldFile { content, found });
        } else if is(&found.name, "tablespace_map") {
            held.map[slashed] = Some(HeldFile { content, found });
        }
        Ok(())
    }

    fn directory(&self, parts: &[&str], found: &Found) -> Result<(), Failure> {
        let fd = self.place.directory(parts)?;
        if found.mode & 0o700 != 0o700 {
            self.modes.lock().unwrap_or_else(PoisonError::into_inner).push((parts.join("/"), found.mode));
        }
        self.place.dress(fd, found.mode | 0o700, Some((found.uid, found.gid)), parts)
    }

    fn file(
        &self,
        members: &mut Members<'_>,
        found: &Found,
        parts: &[&str],
        folder: &mut Option<Folder>,
        buffer: &mut [u8],
    ) -> Result<(), Failure> {
        let above = &parts[..parts.len() - 1];
        let there =
            folder.as_ref().is_some_and(|folder| folder.parts.iter().map(String::as_str).eq(above.iter().copied()));
        if !there {
            let fd = self.place.directory(above)?;
            *folder = Some(Folder { parts: above.iter().map(|&part| part.to_owned()).collect(), fd });
        }
        let Some(folder) = folder else { return Ok(()) };
        let mut file = self.place.create(&folder.fd, parts)?;
        let shown = || self.place.root().join(parts.join("/"));
        let cannot = |e: &std::io::Error| Failure::io(format_args!("cannot write {}", shown().display()), e);
        make_room(&file, found.size).map_err(|e| cannot(&e))?;
        members.pour(found.size, &mut file, buffer, |bytes| self.progress.add(bytes), cannot)?;
        self.place.dress(&file, found.mode, Some((found.uid, found.gid)), parts)
    }

    fn link(&self, parts: &[&str], found: &Found) -> Result<(), Failure> {
        let target = Path::new(std::ffi::OsStr::from_bytes(&found.target));
        let name = parts.join("/");
        if parts.first() == Some(&"pg_tblspc") {
            let why = format!("the backup holds the tablespace link {name} without what it leads to");
            return Err(Failure::new(Status::Data, why)
                .hint("wal-g before 0.2.13 did not store tablespaces; such a backup cannot be restored."));
        }
        if Some(&target.as_os_str()) == parts.last().map(std::ffi::OsStr::new).as_ref() {
            warn(format_args!("the link {name} is left out: the backup does not say where it led"));
            return Ok(());
        }
        self.place.link(parts, target)
    }

    /// The end of a plain tar: durable files.
    pub(crate) fn finish_plain(&self, sync: bool) -> Result<(), Failure> {
        self.set_modes()?;
        if sync { self.place.sync() } else { Ok(()) }
    }

    /// The end of a backup: everything that is listed has come; then the label, then `pg_control`.
    pub(crate) fn finish(&self, drop_map: bool, sync: bool) -> Result<(), Failure> {
        let mut held = std::mem::take(&mut *self.held.lock());
        let Some(control) = held.control.take() else {
            return Err(Failure::new(Status::Bug, "no pg_control was held"));
        };
        let [plain, slashed] = held.label;
        let Some(label) = plain.or(slashed) else {
            return Err(Failure::new(
                Status::Data,
                "no part holds backup_label: such a restore would not be consistent",
            ));
        };
        if let Some(wanted) = self.wanted {
            wanted.came(&control.found.name);
            wanted.all_came()?;
        }
        let owner = (control.found.uid, control.found.gid);
        self.wal_directory(&control, owner)?;
        self.place.own_made(owner)?;
        self.set_modes()?;
        if sync {
            self.place.sync()?;
        }
        let [plain, slashed] = held.map;
        if let Some(map) = plain.or(slashed).filter(|_| !drop_map) {
            self.place.publish(&["tablespace_map"], &map.content, map.found.mode, Some(owner))?;
        }
        self.place.publish(&["backup_label"], &label.content, label.found.mode, Some(owner))?;
        self.place.publish(&["global", "pg_control"], &control.content, control.found.mode, Some(owner))
    }

    /// A WAL directory that was a link is in no backup; the server does not start without it.
    fn wal_directory(&self, control: &HeldFile, owner: (u32, u32)) -> Result<(), Failure> {
        let major = ControlFile::parse(&control.content).ok().and_then(|control| control.major);
        let name = if major == Some(Major::V9_6) { "pg_xlog" } else { "pg_wal" };
        if self.place.root().join(name).exists() {
            return Ok(());
        }
        let fd = self.place.directory(&[name])?;
        self.place.dress(fd, 0o700, Some(owner), &[name])
    }

    fn set_modes(&self) -> Result<(), Failure> {
        for (path, mode) in self.modes.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
            self.place.dress(self.place.directory(&parts)?, mode, None, &parts)?;
        }
        Ok(())
    }
}

/// Makes room for a large file at once, where the file system can.
fn make_room(file: &File, size: u64) -> std::io::Result<()> {
    if size < LARGE {
        return Ok(());
    }
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, size) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => Ok(()),
        other => other.map_err(Into::into),
    }
}
