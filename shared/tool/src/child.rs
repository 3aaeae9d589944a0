//! Programs that this program runs: tied to its life, told of its signals, their end in words.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::{Failure, Status, stop};

/// Tells a child that the pipe with this inode number, if it is its standard output, is read and not spliced on.
pub(crate) const READER: &str = "WALPIPE_READER";

/// A program that this one runs.  Dropped while it runs, it is ended.
#[derive(Debug)]
pub struct Child {
    program: String,
    inner: std::process::Child,
    guard: stop::Child,
    ended: bool,
}

impl Child {
    /// Starts `command`; it ends when the calling thread does, and hears of our signals.
    ///
    /// # Errors
    /// 127 if there is no such program, 126 if it cannot be run, as sh says it.
    pub fn start(command: &mut Command) -> Result<Self, Failure> {
        Self::launch(command, false, None)
    }

    /// As [`Child::start`], with its standard output a pipe whose reading end is returned.
    ///
    /// With `promise`, whoever reads it *reads*, or splices into a file, and never splices it on: then the child may
    /// lend its memory to the pipe ([`crate::lender`]).
    ///
    /// # Errors
    /// As [`Child::start`]; 74 where no pipe can be made.
    pub fn start_reading(command: &mut Command, promise: bool) -> Result<(Self, OwnedFd), Failure> {
        let cannot = |e: rustix::io::Errno| Failure::io("cannot make a pipe", &e.into());
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(cannot)?;
        crate::widen(&reader);
        let name = rustix::fs::fstat(&writer).map_err(cannot)?.st_ino.to_string();
        command.stdout(std::process::Stdio::from(writer));
        let child = Self::launch(command, false, promise.then_some(name));
        command.stdout(std::process::Stdio::null()); // the writing end is the child's alone
        child.map(|child| (child, reader))
    }

    /// As [`Child::start`], the leader of a process group of its own, which is ended as a whole.
    ///
    /// # Errors
    /// As [`Child::start`].
    pub fn start_group(command: &mut Command) -> Result<Self, Failure> {
        use std::os::unix::process::CommandExt;
        Self::launch(command.process_group(0), true, None)
    }

    fn launch(command: &mut Command, group: bool, reader: Option<String>) -> Result<Self, Failure> {
        let program = command.get_program().to_string_lossy().into_owned();
        sys::end_with_parent(command);
        command.env("WALPIPE_PARENT", std::process::id().to_string()).envs(crate::limit::handed_on());
        match reader {
            Some(pipe) => command.env(READER, pipe),
            None => command.env_remove(READER),
        };
        let inner = command.spawn().map_err(|error| {
            let code = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
            Failure::new(Status::Passed(code), format!("cannot run {program}: {}", crate::reason(&error)))
        })?;
        let guard = stop::Child::new(inner.id(), group);
        Ok(Self { program, inner, guard, ended: false })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.inner.id()
    }

    /// The name it was started by.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The writing end of its standard input, where it was asked to be a pipe; once.
    pub fn stdin(&mut self) -> Option<std::process::ChildStdin> {
        self.inner.stdin.take()
    }

    /// The reading end of its standard output, where it was asked to be a pipe; once.
    pub fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.inner.stdout.take()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// What waitpid(2) answers, as 74.
    pub fn wait(&mut self) -> Result<End, Failure> {
        let status =
            self.inner.wait().map_err(|e| Failure::io(format_args!("cannot wait for {}", self.program), &e))?;
        self.ended = true;
        Ok(End { program: self.program.clone(), status })
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub fn try_wait(&mut self) -> Result<Option<End>, Failure> {
        let status =
            self.inner.try_wait().map_err(|e| Failure::io(format_args!("cannot wait for {}", self.program), &e))?;
        self.ended |= status.is_some();
        Ok(status.map(|status| End { program: self.program.clone(), status }))
    }

    /// Asks it to end (SIGTERM), waits, and after ten seconds does not ask any more.
    pub fn end(&mut self) {
        if self.ended {
            return;
        }
        self.guard.end();
        let until = Instant::now() + Duration::from_secs(10);
        while let Ok(None) = self.inner.try_wait() {
            if Instant::now() > until {
                let _ = self.inner.kill();
                let _ = self.inner.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.ended = true;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.inner.stdin.take());
        drop(self.inner.stdout.take());
        self.end();
    }
}

/// How a program ended.
#[derive(Debug)]
pub struct End {
    program: String,
    status: ExitStatus,
}

impl End {
    /// Its status as sh says it: 128+n where signal n ended it.
    #[must_use]
    pub fn code(&self) -> u8 {
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
            (None, Some(signal)) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            (None, None) => Status::Bug.code(),
        }
    }

    /// Whether a signal ended it, so that it could say nothing.
    #[must_use]
    pub fn killed(&self) -> bool {
        self.status.signal().is_some()
    }

    /// Nothing, if it ended with 0; else its status, passed on, and what happened in words.
    ///
    /// # Errors
    /// The program's own status.
    pub fn success(&self) -> Result<(), Failure> {
        match (self.code(), self.status.signal()) {
            (0, _) => Ok(()),
            (code, Some(signal)) => {
                Err(Failure::new(Status::Passed(code), format!("{} was ended by signal {signal}", self.program)))
            }
            (code, None) => {
                Err(Failure::new(Status::Passed(code), format!("{} ended with status {code}", self.program)))
            }
        }
    }
}

/// A command line, ready to be run: the program, then its words.
///
/// # Errors
/// 64 if there are no words at all.
pub fn command<S: AsRef<OsStr>>(words: &[S]) -> Result<Command, Failure> {
    let (program, words) = words.split_first().ok_or_else(|| Failure::new(Status::Usage, "no command to run"))?;
    let mut command = Command::new(program);
    command.args(words);
    Ok(command)
}
