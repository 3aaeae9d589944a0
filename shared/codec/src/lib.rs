//! Compression as streams: what a method is called, how its stream is made and read.
//!
//! A new method is one file beside `lz4.rs` with an [`Encode`] and a [`Decode`], and one arm each in
//! [`encoder`] and [`decoder`].

use std::fmt::{self, Display};
use std::io::{self, Read, Write};

mod lz4;
mod method;
mod none;

pub use method::{Method, looks_encrypted};

/// What can go wrong with a stream, by what a caller would do about it.
#[derive(Debug)]
pub enum Error {
    /// Reading the input failed.
    Input(io::Error),
    /// Writing the output failed.
    Output(io::Error),
    /// The input ends before its format does.
    CutShort,
    /// The input is not what it should be.
    Corrupt(String),
    /// The input is in a form, or the method one, that this build cannot do.
    Unsupported(String),
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(error) | Self::Output(error) => write!(f, "{error}"),
            Self::CutShort => f.write_str("it was cut short"),
            Self::Corrupt(what) | Self::Unsupported(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}

/// A stream that is being compressed.
pub trait Encode {
    /// Compresses all of `input`, to its end.
    ///
    /// # Errors
    /// [`Error::Input`] and [`Error::Output`].
    fn pump(&mut self, input: &mut (dyn Read + Send)) -> Result<(), Error>;

    /// Ends the stream.  Without it a reader finds the stream cut short.
    ///
    /// # Errors
    /// [`Error::Output`].
    fn finish(self: Box<Self>) -> Result<(), Error>;
}

/// Where decompressed bytes go: in blocks that are filled in place.
pub trait Output {
    /// A block of `bytes` bytes to be filled.
    ///
    /// # Errors
    /// What keeps the blocks before from being written.
    fn room(&mut self, bytes: usize) -> io::Result<&mut [u8]>;

    /// Writes the first `bytes` bytes of the block that [`Output::room`] gave last.
    ///
    /// # Errors
    /// What keeps them from being written.
    fn commit(&mut self, bytes: usize) -> io::Result<()>;
}

/// An [`Output`] that keeps one block and writes it.
#[derive(Debug)]
pub struct Blocks<W> {
    output: W,
    block: Vec<u8>,
}

impl<W: Write> Blocks<W> {
    /// Writes to `output`.
    pub const fn new(output: W) -> Self {
        Self { output, block: Vec::new() }
    }
}

impl<W: Write> Output for Blocks<W> {
    fn room(&mut self, bytes: usize) -> io::Result<&mut [u8]> {
        if self.block.len() < bytes {
            self.block = vec![0; bytes]; // fresh from the system: a small object touches little of it
        }
        Ok(&mut self.block[..bytes])
    }

    fn commit(&mut self, bytes: usize) -> io::Result<()> {
        self.output.write_all(&self.block[..bytes])
    }
}

/// A stream that is being decompressed.
pub trait Decode {
    /// Decompresses everything to `output`; the number of bytes written.
    ///
    /// Success means that the stream came to the end that its format marks, with its checks right, and
    /// that nothing but further streams of the same format follows.
    ///
    /// # Errors
    /// Each of [`Error`].  What was written before is right as far as it goes, and not whole.
    fn pump(&mut self, output: &mut dyn Output) -> Result<u64, Error>;
}

/// Compresses to `output` by `method` with up to `threads` threads.
///
/// # Errors
/// [`Error::Unsupported`] for a method that this build cannot do.
pub fn encoder<'a>(
    method: Method,
    threads: usize,
    output: impl Write + Send + 'a,
) -> Result<Box<dyn Encode + 'a>, Error> {
    match method {
        Method::Lz4 => Ok(Box::new(lz4::Encoder::new(output, threads))),
        Method::None => Ok(Box::new(none::Plain(output))),
        other => Err(cannot("compress", other)),
    }
}

/// Decompresses `input` by `method`.
///
/// # Errors
/// [`Error::Unsupported`] for a method that this build cannot do.
pub fn decoder<'a>(method: Method, input: impl Read + 'a) -> Result<Box<dyn Decode + 'a>, Error> {
    match method {
        Method::Lz4 => Ok(Box::new(lz4::Decoder::new(input))),
        Method::None => Ok(Box::new(none::Plain(input))),
        other => Err(cannot("decompress", other)),
    }
}

fn cannot(verb: &str, method: Method) -> Error {
    Error::Unsupported(format!("this version cannot {verb} {method}"))
}

/// Reads until `buffer` is full or the input ends; the number of bytes read.
fn fill(input: &mut (impl Read + ?Sized), buffer: &mut [u8]) -> Result<usize, Error> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::Input(error)),
        }
    }
    Ok(filled)
}
