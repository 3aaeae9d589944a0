//! The few system calls that need `unsafe`, each with the reason why it is sound.
//!
//! Everything else in the workspace forbids `unsafe`; what cannot be said without it stands here.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

mod lend;
mod pages;

pub use lend::Lender;
use pages::Pages;

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

/// Has the child that `command` starts end with SIGTERM when the *thread* that starts it ends.
///
/// So a `kill -9` at the top of a chain leaves nobody writing.  The thread must live as long as the
/// child may (prctl(2), PR_SET_PDEATHSIG); spawning from the main thread, or from a thread that
/// waits for its child, is right.  The child fails to start (`ECHILD`) if its parent is already gone.
pub fn end_with_parent(command: &mut Command) -> &mut Command {
    let parent = getpid();
    // SAFETY: the closure runs between fork and exec.  It allocates nothing, takes no lock and makes
    // two system calls, prctl and getppid, which are async-signal-safe.
    unsafe { command.pre_exec(move || tie_to(parent)) }
}

/// Ends the calling process with SIGTERM when `parent` ends; `ECHILD` if `parent` is not its parent (any more).
///
/// # Errors
/// `ECHILD` as above, or what prctl(2) answers.
fn tie_to(parent: Pid) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    if getppid() == Some(parent) { Ok(()) } else { Err(rustix::io::Errno::CHILD.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_of_a_live_parent_starts() {
        let status = end_with_parent(&mut Command::new("true")).status();
        assert!(status.is_ok_and(|s| s.success()));
    }

    #[test]
    fn a_child_ends_when_the_thread_that_started_it_does() {
        let child = std::thread::spawn(|| end_with_parent(Command::new("sleep").arg("60")).spawn());
        let mut child = child.join().expect("joined").expect("started");
        let status = child.wait().expect("waited");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
    }
}
