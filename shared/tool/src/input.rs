//! Where a filter's or a sink's bytes come from: standard input, a file, or a producer that it runs itself.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;

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
        match (path, self.producer.is_empty()) {
            (Some(_), false) => Err(Failure::new(Status::Usage, "the input is either a file or a producer, not both")),
            (Some(path), true) => Source::file(path),
            (None, false) => Source::producer(&self.producer),
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
        let mut command = child::command(words)?;
        command.stdout(Stdio::piped()).env("WALPIPE_CHAIN", "1");
        Self::of(Child::start(&mut command)?)
    }

    /// The standard output, a pipe, of a child that runs already.
    ///
    /// # Errors
    /// 70 if its output is no pipe.
    pub fn of(mut child: Child) -> Result<Self, Failure> {
        let out = child.stdout().ok_or_else(|| Failure::new(Status::Bug, "a producer without a pipe"))?;
        let fd = OwnedFd::from(out);
        streams::widen(&fd);
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
