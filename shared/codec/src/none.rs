//! No compression: the bytes as they are.

use std::io::{Read, Write};

use crate::{Decode, Encode, Error, Output, fill};

/// How many bytes are moved at a time.
const CHUNK: usize = 256 << 10;

/// A stream that is passed on as it is; its end is the input's.
pub(crate) struct Plain<S>(pub S);

impl<W: Write> Encode for Plain<W> {
    fn pump(&mut self, input: &mut (dyn Read + Send)) -> Result<(), Error> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let filled = fill(input, &mut buffer)?;
            self.0.write_all(&buffer[..filled]).map_err(Error::Output)?;
            if filled < buffer.len() {
                return Ok(());
            }
        }
    }

    fn finish(mut self: Box<Self>) -> Result<(), Error> {
        self.0.flush().map_err(Error::Output)
    }
}

impl<R: Read> Decode for Plain<R> {
    fn pump(&mut self, output: &mut dyn Output) -> Result<u64, Error> {
        let mut copied = 0;
        loop {
            let filled = fill(&mut self.0, output.room(CHUNK).map_err(Error::Output)?)?;
            output.commit(filled).map_err(Error::Output)?;
            copied += filled as u64;
            if filled < CHUNK {
                return Ok(copied);
            }
        }
    }
}
