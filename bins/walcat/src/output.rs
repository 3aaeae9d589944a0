//! Where the bytes go: standard output, a file, or nowhere but into a comparison.

use std::io::{self, Write};

use sha2::{Digest, Sha256};
use tool::{Failure, Side, Source};

use crate::Words;
use crate::compare::Comparison;
use crate::file::NewFile;

/// Takes the bytes as they pass. Nothing that lasts is made before [`Output::finish`].
pub enum Output {
    /// Whatever reads it must not take its end for success: that is this program's status.
    Stdout(tool::Stdout),
    /// A file that appears at the end.
    File(NewFile),
    /// Another file that they should be equal to.
    Compare(Comparison),
    /// Their SHA-256 and number, which standard output gets at the end.
    Digest(Sha256, u64),
}

impl Output {
    /// As the words say.
    pub fn open(words: &Words) -> Result<Output, Failure> {
        Ok(match (&words.output, &words.compare) {
            (Some(path), _) => Output::File(NewFile::create(path, words.sync)?),
            _ if words.digest => Output::Digest(Sha256::new(), 0),
            (_, Some(path)) => Output::Compare(Comparison::open(path)?),
            _ => {
                let stdout = tool::stdout()?;
                tool::widen(&stdout);
                Output::Stdout(stdout)
            }
        })
    }

    /// Takes these bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.write_all(bytes).map_err(|e| self.failure(&e))
    }

    /// Takes all that `input` still has; the number of bytes.
    ///
    /// Inside the kernel where no pipe is spliced into another one: what the stage before has lent
    /// to its pipe must be read or be in a file when the pipe is empty (crates.md).
    pub fn take(&mut self, input: &mut Source, from_file: bool) -> Result<u64, Failure> {
        let spliced = match self {
            Output::Stdout(stdout) if from_file => tool::splice_all(&*input, &*stdout),
            Output::File(file) if !from_file => tool::splice_all(&*input, &*file),
            _ => Ok(None),
        };
        match spliced {
            Ok(Some(moved)) => return Ok(moved),
            Ok(None) => {}
            Err(error) => return Err(self.failure(&error)),
        }
        tool::copy(input, self).map_err(|side| match side {
            Side::Input(error) => input.failure(&error),
            Side::Output(error) => self.failure(&error),
        })
    }

    /// Everything was right: the file appears, the comparison answers.
    pub fn finish(self) -> Result<(), Failure> {
        match self {
            Output::Stdout(mut stdout) => stdout.flush().map_err(|e| tool::cannot_write(&e)),
            Output::File(file) => file.publish(),
            Output::Compare(comparison) => comparison.answer(),
            Output::Digest(sum, size) => {
                let hex: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
                let line = format!("{hex}:{size}\n");
                tool::text_stdout()?.write_all(line.as_bytes()).map_err(|e| tool::cannot_write(&e))
            }
        }
    }

    fn failure(&self, error: &io::Error) -> Failure {
        match self {
            Output::Stdout(_) | Output::Digest(..) => tool::cannot_write(error),
            Output::File(file) => file.failure(error),
            Output::Compare(comparison) => comparison.failure(error),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::Stdout(stdout) => stdout.write(bytes),
            Output::File(file) => file.write(bytes),
            Output::Compare(comparison) => comparison.write(bytes),
            Output::Digest(sum, size) => {
                sum.update(bytes);
                *size += bytes.len() as u64;
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
