//! What can go wrong, in words and as an exit status.

use std::fmt::Display;
use std::io;

/// Why a program ends, as the number that its caller branches on (sysexits(3), and 141 as a shell says SIGPIPE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 64: wrong words on the command line.
    Usage,
    /// 65: the input is corrupt or was cut short.
    Data,
    /// 66: the named file or object does not exist.
    NoInput,
    /// 69: a server or store is not reachable; try again.
    Unavailable,
    /// 70: our bug.
    Bug,
    /// 73: the target exists already.
    Exists,
    /// 74: an I/O error of this machine.
    Io,
    /// 75: busy or timed out; try again later.
    Busy,
    /// 77: permission denied; fix the grant.
    Permission,
    /// 78: configuration wrong or missing.
    Config,
    /// 141: the reader is gone.  Nothing is said about it.
    ReaderGone,
    /// The status of a program that this one runs, passed on as it is (126 and 127 as sh says them, 128+n for signal n).
    Passed(u8),
}

impl Status {
    /// The exit status, 1 to 255.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Usage => 64,
            Self::Data => 65,
            Self::NoInput => 66,
            Self::Unavailable => 69,
            Self::Bug => 70,
            Self::Exists => 73,
            Self::Io => 74,
            Self::Busy => 75,
            Self::Permission => 77,
            Self::Config => 78,
            Self::ReaderGone => 141,
            Self::Passed(code) => code,
        }
    }

    /// The status that fits an error of the operating system.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        use io::ErrorKind as K;
        match error.kind() {
            K::NotFound => Self::NoInput,
            K::PermissionDenied | K::ReadOnlyFilesystem => Self::Permission,
            K::AlreadyExists => Self::Exists,
            K::InvalidData | K::UnexpectedEof => Self::Data,
            K::BrokenPipe => Self::ReaderGone,
            K::ConnectionRefused
            | K::ConnectionReset
            | K::HostUnreachable
            | K::NetworkUnreachable
            | K::NotConnected => Self::Unavailable,
            K::TimedOut => Self::Busy,
            K::Unsupported => Self::Config,
            _ => Self::Io,
        }
    }
}

/// An end of the program that is not success: a status, what it could not do, and, where known, what to do.
#[derive(Debug)]
pub struct Failure {
    status: Status,
    text: String,
    hint: Option<String>,
}

impl Failure {
    /// A failure in words: what could not be done, to what, and why; lower case, no full stop.
    pub fn new(status: Status, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), hint: None }
    }

    /// A failure about which nothing more is to be said: somebody below has said it.
    #[must_use]
    pub const fn silent(status: Status) -> Self {
        Self { status, text: String::new(), hint: None }
    }

    /// An error of the operating system or of a stream while doing `what` ("cannot read /x").
    ///
    /// A broken pipe is the reader's going, and silent.
    pub fn io(what: impl Display, error: &io::Error) -> Self {
        match Status::of(error) {
            Status::ReaderGone => Self::silent(Status::ReaderGone),
            status => Self::new(status, format!("{what}: {}", reason(error))),
        }
    }

    /// Adds what to do about it, as a sentence.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says before the words what came of it all, where a program that this one runs failed: `what: words`.
    #[must_use]
    pub fn passed_on(mut self, what: impl Display) -> Self {
        if matches!(self.status, Status::Passed(_)) && !self.text.is_empty() {
            self.text = format!("{what}: {}", self.text);
        }
        self
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// The words, without the name of the program; empty for a silent one.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The message as it is printed: one line, and one more with the hint.
    pub(crate) fn lines(&self, name: &str) -> String {
        let mut lines = String::new();
        if !self.text.is_empty() {
            lines.push_str(&format!("{name}: {}\n", one_line(&self.text)));
        }
        if let Some(hint) = &self.hint {
            lines.push_str(&format!("{name}: HINT: {}\n", one_line(hint)));
        }
        lines
    }
}

/// A reason as people read it: without Rust's "(os error 2)", in lower case.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if letters.clone().next().is_some_and(char::is_lowercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

/// Keeps a message on one line whatever names it carries.
fn one_line(text: &str) -> String {
    text.replace('\n', "\\n").replace('\r', "\\r")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_66_and_says_so_in_lower_case() {
        let failure = Failure::io("cannot read /x", &io::Error::from_raw_os_error(2));
        assert_eq!(failure.status().code(), 66);
        assert_eq!(failure.text(), "cannot read /x: no such file or directory");
    }

    #[test]
    fn a_broken_pipe_is_141_and_silent() {
        let failure = Failure::io("cannot write", &io::Error::from_raw_os_error(32));
        assert_eq!((failure.status().code(), failure.text()), (141, ""));
    }

    #[test]
    fn a_name_with_a_newline_stays_on_one_line() {
        let failure = Failure::new(Status::Data, "bad name a\nb").hint("Rename it.");
        assert_eq!(failure.lines("t"), "t: bad name a\\nb\nt: HINT: Rename it.\n");
    }
}
