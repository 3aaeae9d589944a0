//! One entry of the list into a part.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::time::Duration;

use rustix::fs::OFlags;
use tar::EntryType;
use tool::{Failure, Limit, Progress, Status};

use super::list::{Entry, Kind};
use super::pages::{PAGE, Pages};
use super::part::Part;
use crate::header::Member;

/// Bytes read at a time: whole pages.
const BLOCK: usize = 256 << 10;
/// Files up to this size, other than a relation's, are read at once: no WAL mends one that changes meanwhile.
const SMALL: u64 = 1 << 20;

/// What storing a file needs besides the file.
pub(crate) struct Means<'a> {
    pub limit: &'a Limit,
    pub progress: &'a Progress,
    /// Whether pages are verified.
    pub verify: bool,
}

/// What became of an entry.
pub(crate) enum Stored {
    /// It is in the part; block numbers of corrupt pages.
    Whole(Vec<u32>),
    /// It is gone since the walk.
    Vanished,
}

/// Owner names by id, looked up once.
#[derive(Default)]
pub(crate) struct Owners {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Owners {
    fn names(&mut self, uid: u32, gid: u32) -> (&str, &str) {
        let user = || uzers::get_user_by_uid(uid).map(|u| u.name().to_string_lossy().into_owned()).unwrap_or_default();
        let group =
            || uzers::get_group_by_gid(gid).map(|g| g.name().to_string_lossy().into_owned()).unwrap_or_default();
        (self.users.entry(uid).or_insert_with(user), self.groups.entry(gid).or_insert_with(group))
    }
}

/// Writes the member for `entry` to `part`; nothing of a file that is gone.
pub(crate) fn store(
    part: &mut Part<'_>,
    entry: &Entry,
    owners: &mut Owners,
    means: &Means<'_>,
) -> Result<Stored, Failure> {
    let (kind, file) = match entry.kind {
        Kind::Directory => (EntryType::Directory, None),
        Kind::Link => (EntryType::Symlink, None),
        Kind::File | Kind::Relation | Kind::Control => match open(entry)? {
            Some(file) => (EntryType::Regular, Some(file)),
            None => return Ok(Stored::Vanished),
        },
    };
    let cannot = |e: &io::Error| Failure::io(format_args!("cannot read {}", entry.source.display()), e);
    let (size, whole) = match &file {
        None => (0, None),
        Some(file) if entry.kind == Kind::File => now(file).map_err(|e| cannot(&e))?,
        Some(file) if entry.kind == Kind::Control => (entry.size, Some(control(entry, file)?)),
        Some(_) => (entry.size, None), // what comes to a relation from now on is in the WAL
    };
    let (owner, group) = owners.names(entry.uid, entry.gid);
    let target = if entry.kind == Kind::Link { entry.source.as_os_str().as_bytes() } else { &[] };
    let member = Member {
        name: &entry.name,
        kind,
        size,
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        owner,
        group,
        mtime: seconds(entry.mtime_ns),
        target,
    };
    part.begin(&member)?;
    let Some(file) = file else { return Ok(Stored::Whole(Vec::new())) };
    if let Some(whole) = whole {
        means.limit.take(size)?;
        part.write(&whole)?;
        means.progress.add(size);
        part.pad(size)?;
        return Ok(Stored::Whole(Vec::new()));
    }
    let base = entry.name.rsplit(|&c| c == b'/').next().unwrap_or_default();
    let mut pages = (means.verify && entry.kind == Kind::Relation).then(|| Pages::of(base));
    content(part, &file, size, pages.as_mut(), means, cannot)?;
    part.pad(size)?;
    Ok(Stored::Whole(pages.map(|p| p.corrupt).unwrap_or_default()))
}

/// How large a file is now, and if it is small all that it holds.
fn now(file: &File) -> io::Result<(u64, Option<Vec<u8>>)> {
    let size = file.metadata()?.len();
    if size > SMALL {
        return Ok((size, None));
    }
    let mut whole = Vec::new();
    file.take(2 * SMALL).read_to_end(&mut whole)?;
    Ok((whole.len() as u64, Some(whole)))
}

/// The file; `None` if it is gone, unless it is one that never goes.
fn open(entry: &Entry) -> Result<Option<File>, Failure> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    match File::options().read(true).custom_flags(flags).open(&entry.source) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_stay(entry) => Ok(None),
        Err(error) => {
            let failure = Failure::io(format_args!("cannot read {}", entry.source.display()), &error);
            Err(match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    failure.hint("A backup reads every file; run it as the server's user.")
                }
                _ => failure,
            })
        }
    }
}

/// Files without which a cluster is none.
fn must_stay(entry: &Entry) -> bool {
    entry.kind == Kind::Control
        || [&b"PG_VERSION"[..], b"pg_filenode.map"].iter().any(|base| entry.name.ends_with(base)) && {
            // a database may be dropped meanwhile, the cluster's own files may not
            entry.name == b"/PG_VERSION" || entry.name.starts_with(b"/global/")
        }
}

/// Whole seconds, to the nearest, as the header says it.
fn seconds(ns: i128) -> u64 {
    u64::try_from((ns + 500_000_000).div_euclid(1_000_000_000)).unwrap_or(0)
}

/// Exactly `size` bytes: a file that has grown is cut (WAL has the rest), one that has shrunk filled with zeros.
fn content(
    part: &mut Part<'_>,
    file: &File,
    size: u64,
    mut pages: Option<&mut Pages>,
    means: &Means<'_>,
    cannot: impl Fn(&io::Error) -> Failure,
) -> Result<(), Failure> {
    let mut left = size;
    let mut ended = false;
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        means.limit.take(want as u64)?;
        part.fill(want, |block| {
            let filled = if ended { 0 } else { fill(file, block).map_err(|e| cannot(&e))? };
            block[filled..].fill(0);
            ended |= filled < want;
            if let Some(pages) = pages.as_deref_mut() {
                pages.look(&mut block[..filled - filled % PAGE], file).map_err(|e| cannot(&e))?;
            }
            Ok(())
        })?;
        means.progress.add(want as u64);
        left -= want as u64;
    }
    Ok(())
}

fn fill(mut file: &File, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match file.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// `pg_control`, read until its own check is right: the server may be writing it.
fn control(entry: &Entry, file: &File) -> Result<Vec<u8>, Failure> {
    let shown = entry.source.display();
    let mut content = vec![0; usize::try_from(entry.size).unwrap_or(usize::MAX).min(1 << 20)];
    for _ in 0..50 {
        file.read_exact_at(&mut content, 0).map_err(|e| Failure::io(format_args!("cannot read {shown}"), &e))?;
        if pg::ControlFile::parse(&content).is_ok() {
            return Ok(content);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(Failure::new(Status::Data, format!("{shown} does not match its own checksum")))
}
