//! One part: a tar that is written to the filter that stores it.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use tool::{Child, Failure, Lender, Status};

use super::metadata::quoted;
use crate::header::{END, Member, padding};

/// What all parts have in common.
pub(crate) struct Filter<'a> {
    /// The command, for `sh -c`.
    pub command: &'a str,
    /// What the stored name has behind the part's (`.lz4`).
    pub suffix: &'a str,
    /// How many threads a filter should use.
    pub threads: usize,
    /// Whether memory may be lent to it: it reads what it gets, or splices it into files, and never into another pipe.
    pub lend: bool,
    /// Standard output, where whole lines of the filters go.
    pub output: Mutex<tool::Stdout>,
}

/// A part that is open.
pub(crate) struct Part<'a> {
    filter: &'a Filter<'a>,
    /// Its name, without the suffix.
    pub name: String,
    child: Child,
    pipe: Option<Pipe>,
    lines: Option<JoinHandle<io::Result<Vec<u8>>>>,
    /// Names of its members, JSON strings joined by commas.
    members: String,
    /// Bytes of content so far.
    pub bytes: u64,
    /// Members so far.
    pub count: u64,
}

/// The way to the filter.
enum Pipe {
    Copied(ChildStdin, Vec<u8>),
    Lent(Lender),
}

impl Pipe {
    fn new(stdin: ChildStdin, lend: bool) -> Result<Self, Failure> {
        tool::widen(&stdin);
        if !lend {
            return Ok(Self::Copied(stdin, Vec::new()));
        }
        let lender = Lender::new(OwnedFd::from(stdin));
        lender.map(Self::Lent).ok_or_else(|| Failure::new(Status::Bug, "a filter's standard input that is no pipe"))
    }

    fn room(&mut self, size: usize) -> io::Result<&mut [u8]> {
        match self {
            Self::Copied(_, buffer) => {
                if buffer.len() < size {
                    buffer.resize(size, 0);
                }
                Ok(&mut buffer[..size])
            }
            Self::Lent(lender) => lender.room(size),
        }
    }

    fn commit(&mut self, size: usize) -> io::Result<()> {
        match self {
            Self::Copied(stdin, buffer) => stdin.write_all(&buffer[..size]),
            Self::Lent(lender) => lender.commit(size),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Copied(stdin, _) => stdin.write_all(bytes),
            Self::Lent(lender) => lender.write_all(bytes),
        }
    }
}

/// Bytes of output that a filter may write, at most.
const OUTPUT: u64 = 1 << 20;

impl<'a> Part<'a> {
    /// Starts the filter of the part `name`.
    pub(crate) fn open(filter: &'a Filter<'a>, name: String) -> Result<Self, Failure> {
        let mut command = Command::new("sh");
        command.args(["-c", filter.command]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env("TARPART_NAME", &name).env("WALPIPE_BELOW", "1").env("WALPIPE_THREADS", filter.threads.to_string());
        command.env_remove("PGPASSWORD");
        let mut child = Child::start(&mut command)?;
        let pipe = child.stdin().map(|stdin| Pipe::new(stdin, filter.lend)).transpose()?;
        let lines = child.stdout().map(|out| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                out.take(OUTPUT).read_to_end(&mut text).map(|_| text)
            })
        });
        let members = String::new();
        Ok(Self { filter, name, child, pipe, lines, members, bytes: 0, count: 0 })
    }

    /// The name under which it is stored.
    pub(crate) fn object(&self) -> String {
        format!("{}{}", self.name, self.filter.suffix)
    }

    /// The names of its members.
    pub(crate) fn members(&self) -> &str {
        &self.members
    }

    /// Begins a member: its header, and its name in the list.
    pub(crate) fn begin(&mut self, member: &Member<'_>) -> Result<(), Failure> {
        if !self.members.is_empty() {
            self.members.push(',');
        }
        self.members.push_str(&quoted(member.name));
        self.bytes += member.size;
        self.count += 1;
        self.write(&member.blocks())
    }

    /// Writes a piece of the member's content.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.pipe()?.write(bytes);
        written.map_err(|error| self.broken(&error))
    }

    /// Writes `size` bytes that `fill` puts in place.
    pub(crate) fn fill(
        &mut self,
        size: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self.pipe()?.room(size) {
            Ok(room) => fill(room)?,
            Err(error) => return Err(self.broken(&error)),
        }
        let written = self.pipe()?.commit(size);
        written.map_err(|error| self.broken(&error))
    }

    fn pipe(&mut self) -> Result<&mut Pipe, Failure> {
        self.pipe.as_mut().ok_or_else(|| Failure::new(Status::Bug, "a part without a pipe"))
    }

    /// Ends a member of `size` bytes.
    pub(crate) fn pad(&mut self, size: u64) -> Result<(), Failure> {
        self.write(&END[..padding(size)])
    }

    /// Why the filter does not read any more: what its end says, if it has ended.
    fn broken(&mut self, error: &io::Error) -> Failure {
        drop(self.pipe.take());
        let name = self.object();
        let early = || Failure::new(Status::Data, format!("the filter of {name} ended before it had read all"));
        match self.child.wait().and_then(|end| end.success()) {
            Err(failure) => failure.passed_on(format_args!("{name} is not stored")),
            Ok(()) if error.kind() == io::ErrorKind::BrokenPipe => early(),
            Ok(()) => Failure::io(format_args!("cannot write {name}"), error),
        }
    }

    /// Writes the end of the tar, waits for the filter, passes its lines on.
    pub(crate) fn close(mut self) -> Result<(), Failure> {
        self.write(&END)?;
        drop(self.pipe.take());
        let text = match self.lines.take().map(JoinHandle::join) {
            Some(Ok(text)) => text.map_err(|e| Failure::io("cannot read what a filter says", &e))?,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Vec::new(),
        };
        let name = self.object();
        self.child.wait()?.success().map_err(|f| f.passed_on(format_args!("{name} is not stored")))?;
        let mut output = self.filter.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.write_all(&text).map_err(|e| tool::cannot_write(&e))
    }
}
