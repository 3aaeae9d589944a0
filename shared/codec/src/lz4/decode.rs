//! Reading frames.

use std::hash::Hasher;
use std::io::Read;

use lz4_flex::block::{decompress_into, decompress_into_with_dict};
use twox_hash::XxHash32;

use super::{LEGACY, MAGIC, SKIPPABLE, STORED, header_check};
use crate::{Decode, Error, Output, fill};

/// How far back a linked block may refer.
const WINDOW: usize = 64 << 10;

/// So many bytes are gathered before they are written, so that short blocks are not many short writes.
const BATCH: usize = 1 << 20;

/// A stream of one or more frames.
pub(crate) struct Decoder<R> {
    input: R,
    packed: Vec<u8>,
    history: Vec<u8>,
}

/// What a frame's header says.
struct Frame {
    linked: bool,
    block_check: bool,
    content_check: bool,
    size: Option<u64>,
    block: usize,
}

fn corrupt<T>(what: &str) -> Result<T, Error> {
    Err(Error::Corrupt(what.to_owned()))
}

impl<R: Read> Decoder<R> {
    pub(crate) const fn new(input: R) -> Self {
        Self { input, packed: Vec::new(), history: Vec::new() }
    }

    /// Exactly `buffer`, or cut short.
    fn exact(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        if fill(&mut self.input, buffer)? == buffer.len() { Ok(()) } else { Err(Error::CutShort) }
    }

    fn word(&mut self) -> Result<u32, Error> {
        let mut word = [0; 4];
        self.exact(&mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    /// The next frame's header; `None` at the end of the input.
    fn header(&mut self, first: bool) -> Result<Option<Frame>, Error> {
        loop {
            let mut word = [0; 4];
            match fill(&mut self.input, &mut word)? {
                4 => {}
                0 if !first => return Ok(None),
                _ if first => return Err(Error::CutShort),
                _ => return corrupt("something that is no lz4 frame follows its end"),
            }
            match u32::from_le_bytes(word) {
                MAGIC => return self.descriptor().map(Some),
                magic if magic & !0xf == SKIPPABLE => self.skip()?,
                LEGACY => {
                    let why = "it is a legacy lz4 frame, whose end cannot be told from a cut";
                    return Err(Error::Unsupported(why.to_owned()));
                }
                _ if first => return corrupt("it is no lz4 frame"),
                _ => return corrupt("something that is no lz4 frame follows its end"),
            }
        }
    }

    fn skip(&mut self) -> Result<(), Error> {
        let length = u64::from(self.word()?);
        let skipped = std::io::copy(&mut self.input.by_ref().take(length), &mut std::io::sink());
        if skipped.map_err(Error::Input)? == length { Ok(()) } else { Err(Error::CutShort) }
    }

    fn descriptor(&mut self) -> Result<Frame, Error> {
        let mut bytes = [0; 11];
        self.exact(&mut bytes[..2])?;
        let [flags, sizes, ..] = bytes;
        if flags >> 6 != 1 || flags & 2 != 0 || sizes & 0x8f != 0 || sizes >> 4 < 4 {
            return corrupt("the lz4 frame's header says what this version of the format does not have");
        }
        if flags & 1 != 0 {
            return Err(Error::Unsupported("the lz4 frame needs a dictionary".to_owned()));
        }
        let length = if flags & 8 == 0 { 2 } else { 10 };
        self.exact(&mut bytes[2..=length])?;
        if header_check(&bytes[..length]) != bytes[length] {
            return corrupt("the lz4 frame's header does not match its check");
        }
        let size = (length == 10).then(|| u64::from_le_bytes(std::array::from_fn(|i| bytes[2 + i])));
        Ok(Frame {
            linked: flags & 0x20 == 0,
            block_check: flags & 0x10 != 0,
            content_check: flags & 4 != 0,
            size,
            block: 1 << (8 + 2 * (sizes >> 4)),
        })
    }

    /// The blocks of one frame, and its end; the number of bytes written.
    fn frame(&mut self, frame: &Frame, output: &mut dyn Output) -> Result<u64, Error> {
        self.history.clear();
        let mut check = XxHash32::with_seed(0);
        let mut written = 0;
        let size = frame.block + BATCH;
        let mut room = output.room(size).map_err(Error::Output)?;
        let mut at = 0;
        loop {
            let next = self.word().and_then(|word| match word {
                0 => Ok(None),
                word => self.block(frame, word, &mut room[at..at + frame.block]).map(Some),
            });
            let length = match next {
                Ok(Some(length)) => length,
                Ok(None) => break,
                Err(error) => {
                    output.commit(at).map_err(Error::Output)?; // what came before is right as far as it goes
                    return Err(error);
                }
            };
            let plain = &room[at..at + length];
            if frame.content_check {
                check.write(plain);
            }
            if frame.linked {
                remember(&mut self.history, plain);
            }
            at += length;
            written += length as u64;
            if at >= BATCH {
                output.commit(at).map_err(Error::Output)?;
                room = output.room(size).map_err(Error::Output)?;
                at = 0;
            }
        }
        output.commit(at).map_err(Error::Output)?;
        if frame.content_check && self.word()? != check.finish_32() {
            return corrupt("the content does not match the lz4 frame's checksum");
        }
        if frame.size.is_some_and(|size| size != written) {
            return corrupt("the content is not as long as the lz4 frame says");
        }
        Ok(written)
    }

    /// One block into `plain`, which has room for the frame's longest; its length there.
    fn block(&mut self, frame: &Frame, word: u32, plain: &mut [u8]) -> Result<usize, Error> {
        let length = usize::try_from(word & !STORED).unwrap_or(usize::MAX);
        if length > frame.block {
            return corrupt("a block is longer than the lz4 frame allows");
        }
        let mut packed = std::mem::take(&mut self.packed);
        packed.resize(length, 0);
        self.exact(&mut packed)?;
        if frame.block_check && self.word()? != XxHash32::oneshot(0, &packed) {
            return corrupt("a block does not match its checksum");
        }
        let length = if word & STORED == 0 {
            let unpacked = if self.history.is_empty() {
                decompress_into(&packed, plain)
            } else {
                decompress_into_with_dict(&packed, plain, &self.history)
            };
            unpacked.or_else(|_| corrupt("a block cannot be decompressed"))?
        } else {
            plain[..length].copy_from_slice(&packed);
            length
        };
        self.packed = packed;
        Ok(length)
    }
}

/// Keeps the last [`WINDOW`] bytes of all that was decoded.
fn remember(history: &mut Vec<u8>, plain: &[u8]) {
    let keep = WINDOW.saturating_sub(plain.len()).min(history.len());
    history.drain(..history.len() - keep);
    history.extend_from_slice(&plain[plain.len().saturating_sub(WINDOW)..]);
}

impl<R: Read> Decode for Decoder<R> {
    fn pump(&mut self, output: &mut dyn Output) -> Result<u64, Error> {
        let mut written = 0;
        let mut first = true;
        while let Some(frame) = self.header(first)? {
            first = false;
            written += self.frame(&frame, output)?;
        }
        Ok(written)
    }
}
