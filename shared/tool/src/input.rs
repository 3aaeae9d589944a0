//! Where a filter's or a sink's bytes come from: standard input, a file, or a producer that it runs itself.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Child, Failure, Status, child, streams};

/// The words of every filter and sink that say where its input comes from (design.md, "Composition").
#[derive(Debug, Default, clap::Args)]
pub struct Input {
    /// Take the input from this command, which is run, and count its failure as one's own
    #[arg(last = true, value_name = "PRODUCER")]
    producer: Vec<OsString>,
}

impl Input {
    /// Standard input, or the producer, which is started.
    ///
    /// # Errors
    /// 126 and 127 where the producer cannot be run.
    pub fn open(&self) -> Result<Source, Failure> {
        self.open_or_file(None)
    }

    /// As [`Input::open`], or the file `path` if one is given.
    ///
    /// # Errors
    /// 64 if there are both a file and a producer; the file's own error; 126 and 127 as above.
    pub fn open_or_file(&self, path: Option<&Path>) -> Result<Source, Failure> {
        self.choose(path, true)
    }

    /// As [`Input::open_or_file`], for a program that may splice what comes on into another pipe.
    ///
    /// # Errors
    /// The same.
    pub fn open_to_pass(&self, path: Option<&Path>) -> Result<Source, Failure> {
        self.choose(path, false)
    }

    /// As [`Input::open`], without `secrets` in the environment of the producer, unless `needs` says of one of its words
    /// that it names a program which needs them.
    ///
    /// # Errors
    /// The same.
    pub fn open_without(&self, secrets: &[&str], needs: &dyn Fn(&str) -> bool) -> Result<Source, Failure> {
        if self.producer.is_empty() || self.producer.iter().filter_map(|word| word.to_str()).any(needs) {
            return self.open();
        }
        let mut command = child::command(&self.producer)?;
        for secret in secrets {
            command.env_remove(secret);
        }
        Source::of(command.env("WALPIPE_CHAIN", "1"), true)
    }

    fn choose(&self, path: Option<&Path>, promise: bool) -> Result<Source, Failure> {
        match (path, self.producer.is_empty()) {
            (Some(_), false) => Err(Failure::new(Status::Usage, "the input is either a file or a producer, not both")),
            (Some(path), true) => Source::file(path),
            (None, false) => Source::chained(&self.producer, promise),
            (None, true) => Source::stdin(),
        }
    }

    /// Whether a producer is given.
    #[must_use]
    pub fn has_producer(&self) -> bool {
        !self.producer.is_empty()
    }
}

/// An input that is being read.
///
/// Whoever reads it ends with [`Source::settle`]: only then is known whether all that was read was all
/// that should have come.
#[derive(Debug)]
pub struct Source {
    fd: OwnedFd,
    child: Option<Child>,
    path: Option<PathBuf>,
    ended: bool,
}

impl Source {
    /// Standard input.
    ///
    /// # Errors
    /// 64 at a terminal: nobody types a stream of bytes.  74 where it is closed.
    pub fn stdin() -> Result<Self, Failure> {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            return Err(Failure::new(Status::Usage, "no input: standard input is a terminal")
                .hint("Pipe something in, or name a producer after --."));
        }
        let fd = stdin.as_fd().try_clone_to_owned().map_err(|e| Failure::io("cannot read standard input", &e))?;
        streams::widen(&fd);
        Ok(Self { fd, child: None, path: None, ended: false })
    }

    /// The file `path`, which must be a regular file or something that reads like one.
    ///
    /// # Errors
    /// What open(2) answers.
    pub fn file(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|e| Failure::io(format_args!("cannot read {}", path.display()), &e))?;
        if file.metadata().is_ok_and(|m| m.is_dir()) {
            return Err(Failure::new(Status::Usage, format!("cannot read {}: it is a directory", path.display())));
        }
        Ok(Self { fd: file.into(), child: None, path: Some(path.to_owned()), ended: false })
    }

    /// The standard output of `words`, started now.
    ///
    /// # Errors
    /// 126 or 127 where it cannot be run.
    pub fn producer(words: &[OsString]) -> Result<Self, Failure> {
        Self::chained(words, true)
    }

    fn chained(words: &[OsString], promise: bool) -> Result<Self, Failure> {
        let mut command = child::command(words)?;
        Self::of(command.env("WALPIPE_CHAIN", "1"), promise)
    }

    /// The standard output of `command`, started now; with `promise` it is read here, or spliced into files, and
    /// never spliced on into another pipe.
    ///
    /// # Errors
    /// 126 or 127 where it cannot be run.
    pub fn of(command: &mut Command, promise: bool) -> Result<Self, Failure> {
        let (child, fd) = Child::start_reading(command, promise)?;
        Ok(Self { fd, child: Some(child), path: None, ended: false })
    }

    /// What it is, for messages: the file's name, the producer's, or "standard input".
    #[must_use]
    pub fn label(&self) -> String {
        match (&self.path, &self.child) {
            (Some(path), _) => path.display().to_string(),
            (None, Some(child)) => format!("what {} writes", child.program()),
            (None, None) => "standard input".to_owned(),
        }
    }

    /// A failure to read from it or to make sense of it.
    #[must_use]
    pub fn failure(&self, error: &io::Error) -> Failure {
        Failure::io(format_args!("cannot read {}", self.label()), error)
    }

    /// Reads until `buffer` is full or the input ends; the number of bytes read.
    ///
    /// # Errors
    /// What read(2) answers; an interrupted call is repeated.
    pub fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        Ok(filled)
    }

    /// Moves `bytes` bytes into `file` inside the kernel; how many came before the input ended, or `None` if that cannot
    /// be done here and nothing was moved.
    ///
    /// # Errors
    /// What splice(2) answers: most likely the file's fault.
    pub fn splice_into(&mut self, file: impl AsFd, bytes: u64) -> io::Result<Option<u64>> {
        let mut moved = 0;
        while moved < bytes {
            let want = usize::try_from(bytes - moved).unwrap_or(streams::PIPE_BYTES).min(streams::PIPE_BYTES);
            match rustix::pipe::splice(&self.fd, None, &file, None, want, rustix::pipe::SpliceFlags::empty()) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(n) => moved += n as u64,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::INVAL) if moved == 0 => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(moved))
    }

    /// Ends the reading, with what came of it: the one place that decides whether an input was whole.
    ///
    /// After success the producer's rest is read and thrown away, and its 0 demanded.  Where the work failed
    /// because the input is corrupt or cut short, a failure of the producer is the cause and counts instead.
    /// Any other failure ends the producer and stands.
    ///
    /// # Errors
    /// As said.
    pub fn settle<T>(mut self, result: Result<T, Failure>) -> Result<T, Failure> {
        match result {
            Ok(value) => self.finish().map(|()| value),
            Err(failure) if failure.status() == Status::Data && self.ended => match self.finish() {
                Err(cause) if !cause_is_ours(&cause) => Err(cause),
                _ => Err(failure),
            },
            Err(failure) => Err(failure),
        }
    }

    /// Drains the producer and demands its 0; reads nothing more of a file or of standard input.
    fn finish(&mut self) -> Result<(), Failure> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        if !self.ended {
            let mut rest = vec![0; 64 << 10];
            while rustix::io::retry_on_intr(|| rustix::io::read(&self.fd, &mut rest[..])).is_ok_and(|n| n > 0) {}
        }
        let end = child.wait()?;
        end.success().map_err(|failure| {
            // Inside a chain the one at its top says it, once; below a program of ours has said why.
            if crate::in_chain() { Failure::silent(failure.status()) } else { failure }
        })
    }
}

/// Whether a producer's failure follows from our having stopped to read.
fn cause_is_ours(cause: &Failure) -> bool {
    matches!(cause.status().code(), 141 | 143)
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = rustix::io::retry_on_intr(|| rustix::io::read(&self.fd, &mut *buffer))?;
        self.ended |= read == 0 && !buffer.is_empty();
        Ok(read)
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
