//! Bytes out, and bytes from one descriptor to another.

use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::{Failure, Status};

/// How many bytes a pipe between our tools holds, where the system grants it.
pub const PIPE_BYTES: usize = 1 << 20;

/// How many bytes are moved at a time where a program has no better unit.
pub const CHUNK: usize = 256 << 10;

/// Makes a pipe hold [`PIPE_BYTES`]; what is no pipe, or is refused more, stays as it is.
pub fn widen(fd: impl AsFd) {
    let _ = rustix::pipe::fcntl_setpipe_size(fd, PIPE_BYTES);
}

/// Standard output, for data: unbuffered, whole blocks at a time.
#[derive(Debug)]
pub struct Stdout(OwnedFd);

/// Standard output for binary data.
///
/// # Errors
/// 64 at a terminal, which binary data would only confuse; 74 where it is closed.
pub fn stdout() -> Result<Stdout, Failure> {
    if io::stdout().is_terminal() {
        return Err(Failure::new(Status::Usage, "refusing to write binary data to a terminal")
            .hint("Redirect the output to a file or a pipe."));
    }
    let out = text_stdout()?;
    widen(&out.0);
    Ok(out)
}

/// Standard output for text, which a terminal may show.
///
/// # Errors
/// 74 where it is closed.
pub fn text_stdout() -> Result<Stdout, Failure> {
    let fd = io::stdout().as_fd().try_clone_to_owned();
    fd.map(Stdout).map_err(|e| Failure::io("cannot write to standard output", &e))
}

/// Turns an error of writing to standard output into a failure; a reader that is gone is silent.
#[must_use]
pub fn cannot_write(error: &io::Error) -> Failure {
    Failure::io("cannot write to standard output", error)
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Stdout {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Which side of a copy failed: they are said differently.
#[derive(Debug)]
pub enum Side {
    /// Reading did.
    Input(io::Error),
    /// Writing did.
    Output(io::Error),
}

/// Copies everything from `input` to `output` through one buffer of [`CHUNK`] bytes; the number of bytes.
///
/// # Errors
/// The side that failed, with its error.
pub fn copy(input: &mut impl Read, output: &mut impl Write) -> Result<u64, Side> {
    let mut buffer = vec![0; CHUNK];
    let mut copied = 0;
    loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Side::Input(e)),
        };
        output.write_all(&buffer[..read]).map_err(Side::Output)?;
        copied += read as u64;
    }
}

/// Moves everything from `input` to `output` inside the kernel while one of them is a pipe; `None` if that cannot be
/// done here and nothing was moved (the caller copies then).
///
/// # Errors
/// What splice(2) answers in the middle.
pub fn splice_all(input: impl AsFd, output: impl AsFd) -> io::Result<Option<u64>> {
    let mut moved: u64 = 0;
    loop {
        let flags = rustix::pipe::SpliceFlags::MOVE;
        match rustix::pipe::splice(&input, None, &output, None, PIPE_BYTES, flags) {
            Ok(0) => return Ok(Some(moved)),
            Ok(n) => moved += n as u64,
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::INVAL) if moved == 0 => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}
