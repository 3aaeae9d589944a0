//! The comparison of what passes with a file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tool::{Failure, Status};

/// Compares what is written to it with a file.
///
/// A difference is kept until the end: whether the input was whole at all is asked first.
pub struct Comparison {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
    equal: bool,
}

impl Comparison {
    /// With that file.
    pub fn open(path: &Path) -> Result<Comparison, Failure> {
        let file = File::open(path).map_err(|e| Failure::io(format_args!("cannot read {}", path.display()), &e))?;
        Ok(Comparison { path: path.to_owned(), file, buffer: vec![0; tool::CHUNK], equal: true })
    }

    /// Nothing if all was equal and the file has nothing more, else 73.
    pub fn answer(mut self) -> Result<(), Failure> {
        let more = self.file.read(&mut self.buffer[..1]).map_err(|e| self.failure(&e))?;
        if self.equal && more == 0 {
            return Ok(());
        }
        Err(Failure::new(Status::Exists, format!("contents differ from {}", self.path.display())))
    }

    /// A failure to read the file.
    pub fn failure(&self, error: &io::Error) -> Failure {
        Failure::io(format_args!("cannot read {}", self.path.display()), error)
    }
}

impl Write for Comparison {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(self.buffer.len());
        if self.equal {
            let own = &mut self.buffer[..length];
            match self.file.read_exact(own) {
                Ok(()) => self.equal = own == &bytes[..length],
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => self.equal = false,
                Err(e) => return Err(e),
            }
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
