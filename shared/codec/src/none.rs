//! No compression: the bytes as they are.

use std::io::{Read, Write};

use crate::{Decode, Encode, Error, fill};

/// How many bytes are moved at a time.
const CHUNK: usize = 256 << 10;

/// A stream that is passed on as it is; its end is the input's.
pub(crate) struct Plain<S>(pub S);

fn copy(input: &mut (impl Read + ?Sized), output: &mut (impl Write + ?Sized)) -> Result<u64, Error> {
    let mut buffer = vec![0; CHUNK];
    let mut copied = 0;
    loop {
        let filled = fill(input, &mut buffer)?;
        output.write_all(&buffer[..filled]).map_err(Error::Output)?;
        copied += filled as u64;
        if filled < buffer.len() {
            return Ok(copied);
        }
    }
}

impl<W: Write> Encode for Plain<W> {
    fn pump(&mut self, input: &mut (dyn Read + Send)) -> Result<(), Error> {
        copy(input, &mut self.0).map(drop)
    }

    fn finish(mut self: Box<Self>) -> Result<(), Error> {
        self.0.flush().map_err(Error::Output)
    }
}

impl<R: Read> Decode for Plain<R> {
    fn pump(&mut self, output: &mut dyn Write) -> Result<u64, Error> {
        copy(&mut self.0, output)
    }
}
