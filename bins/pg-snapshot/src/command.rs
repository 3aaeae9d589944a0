//! COMMAND: run with the list on its standard input, for as long as the session lives.

use std::ffi::OsString;
use std::io::PipeWriter;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tool::{Child, End, Failure, Status};

use crate::session::Session;

/// How long the server is listened to between two looks at COMMAND.
const TICK: Duration = Duration::from_millis(10);

/// What COMMAND is told in its environment.
#[derive(Debug)]
pub struct Told<'a> {
    /// `WALPIPE_BACKUP`.
    pub name: &'a str,
    /// `WALPIPE_SNAPSHOT`.
    pub start: &'a Path,
    /// Whether it says itself why it fails, and needs no other to.
    pub speaks: bool,
}

/// Runs COMMAND in a process group of its own while `list` writes to it and the session is kept alive; what `list` gave.
///
/// COMMAND must read the list to its end and end with 0.  It is ended where the session is lost or the list fails.
///
/// # Errors
/// COMMAND's own status; 65 where it ended with 0 and had not read the list; the session's or the list's failure.
pub fn run<T: Send>(
    words: &[OsString],
    told: &Told<'_>,
    session: &mut Session,
    alive: Option<Duration>,
    list: impl FnOnce(PipeWriter) -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    // The reading end stays open here as well, never read: so what COMMAND left unread can be counted.
    let (unread, writer) = std::io::pipe().map_err(|e| Failure::io("cannot make a pipe", &e))?;
    tool::widen(&writer);
    let stdin = unread.try_clone().map_err(|e| Failure::io("cannot make a pipe", &e))?;
    let mut command = tool::command(words)?;
    command.stdin(stdin).env("WALPIPE_BACKUP", told.name).env("WALPIPE_SNAPSHOT", told.start).env_remove("PGPASSWORD");
    let mut child = Child::start_group(&mut command)?;
    command.stdin(Stdio::null()); // its copy of the reading end
    let broken = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let listing = scope.spawn(|| {
            let result = list(writer);
            broken.store(result.is_err(), Ordering::Release);
            result
        });
        let end = watch(&mut child, session, alive, &broken);
        if end.is_err() || broken.load(Ordering::Acquire) {
            child.end();
        }
        let left = rustix::io::ioctl_fionread(&unread).unwrap_or(0);
        drop(unread); // a list that is still being written ends with a broken pipe
        let listed = listing.join().unwrap_or_else(|_| Err(Failure::new(Status::Bug, "the walk died")));
        judge(end, left, listed, told.speaks)
    })
}

/// Waits until COMMAND has ended, or may not go on: then without its end.
fn watch(
    child: &mut Child,
    session: &mut Session,
    alive: Option<Duration>,
    broken: &AtomicBool,
) -> Result<Option<End>, Failure> {
    loop {
        if let Some(end) = child.try_wait()? {
            return Ok(Some(end));
        }
        if broken.load(Ordering::Acquire) {
            return Ok(None);
        }
        session.rest(TICK)?;
        session.ping(alive)?;
    }
}

/// The first cause, not the last consequence.
fn judge<T>(
    end: Result<Option<End>, Failure>,
    left: u64,
    listed: Result<T, Failure>,
    speaks: bool,
) -> Result<T, Failure> {
    let cut = |e: &Failure| e.status() == Status::ReaderGone;
    let Some(end) = end? else {
        return listed;
    };
    match (end.success(), listed) {
        (_, Err(failure)) if !cut(&failure) => Err(failure),
        (Err(failure), _) if speaks && end.killed() => Err(failure), // it could not
        (Err(failure), _) if speaks => Err(Failure::silent(failure.status())),
        (Err(failure), _) => {
            let text = format!("{}; there is no backup", failure.text());
            Err(Failure::new(failure.status(), text))
        }
        (Ok(()), Ok(value)) if left == 0 => Ok(value),
        (Ok(()), _) => {
            Err(Failure::new(Status::Data, "the command ended with 0 without having read the whole list of files")
                .hint("It must read its standard input to the end; there is no backup."))
        }
    }
}
