//! TERM, INT and HUP: end the children, remove what is half done, leave with 128+n.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::Failure;

/// How long children get to clean up after a signal was handed on.
const PATIENCE: Duration = Duration::from_secs(20);

static STATE: Mutex<State> =
    Mutex::new(State { children: BTreeMap::new(), files: BTreeSet::new(), partings: BTreeMap::new() });

struct State {
    /// Process id → whether the signal goes to its whole group.
    children: BTreeMap<i32, bool>,
    files: BTreeSet<PathBuf>,
    /// What else is to be done, by a number of its own.
    partings: BTreeMap<u64, Work>,
}

/// What is done at the end.
type Work = Box<dyn FnOnce() + Send>;

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Installs the handlers, also where the signal was ignored: sh starts what it puts into the background so.
///
/// # Errors
/// What sigaction(2) answers.
pub(crate) fn install() -> Result<(), Failure> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(|e| Failure::io("cannot handle signals", &e))?;
    std::thread::Builder::new()
        .name("signals".into())
        .stack_size(64 << 10)
        .spawn(move || {
            if let Some(signal) = signals.forever().next() {
                leave(signal);
            }
        })
        .map_err(|e| Failure::io("cannot handle signals", &e))?;
    Ok(())
}

/// Ends children, removes files, leaves.  The state stays locked, so that nothing new is begun.
fn leave(signal: i32) -> ! {
    let mut state = state();
    for (&pid, &group) in &state.children {
        tell(pid, group, Signal::TERM);
    }
    let until = Instant::now() + PATIENCE;
    for (&pid, &group) in &state.children {
        while alive(pid) {
            if Instant::now() > until {
                tell(pid, group, Signal::KILL);
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    for file in std::mem::take(&mut state.files) {
        let _ = std::fs::remove_file(file);
    }
    for work in std::mem::take(&mut state.partings).into_values() {
        work();
    }
    std::process::exit(128 + signal)
}

fn tell(pid: i32, group: bool, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = if group { kill_process_group(pid, signal) } else { kill_process(pid, signal) };
    }
}

/// Whether a child has not ended yet; its status is left for whoever waits for it.
fn alive(pid: i32) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Pid::from_raw(pid).is_some_and(|pid| matches!(waitid(WaitId::Pid(pid), options), Ok(None)))
}

/// A child process that is told when this program is; until dropped.
#[derive(Debug)]
pub struct Child(i32);

impl Child {
    /// Registers the child with process id `pid`; with `group`, the process group that it leads.
    #[must_use]
    pub fn new(pid: u32, group: bool) -> Self {
        let pid = pid.cast_signed();
        state().children.insert(pid, group);
        Self(pid)
    }

    /// Sends it, or its group, SIGTERM.
    pub fn end(&self) {
        let group = state().children.get(&self.0).copied().unwrap_or(false);
        tell(self.0, group, Signal::TERM);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        state().children.remove(&self.0);
    }
}

/// A file that is removed if a signal ends this program; until dropped.
#[derive(Debug)]
pub struct HalfDone(PathBuf);

impl HalfDone {
    /// Registers `path`.  Do so before the file is created: removing what is not there is no error.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        state().files.insert(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for HalfDone {
    fn drop(&mut self) {
        state().files.remove(&self.0);
    }
}

/// Something that is done if a signal ends this program; until dropped.
#[derive(Debug)]
pub struct Parting(u64);

impl Parting {
    /// Registers `work`, which has to be short: it keeps the program from leaving.
    #[must_use]
    pub fn new(work: Work) -> Self {
        let mut state = state();
        let number = state.partings.last_key_value().map_or(0, |(last, _)| last + 1);
        state.partings.insert(number, work);
        Self(number)
    }
}

impl Drop for Parting {
    fn drop(&mut self) {
        state().partings.remove(&self.0);
    }
}
