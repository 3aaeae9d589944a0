//! Members of a tar stream, read header by header so that the stream stands exactly at each content
//! (spec/tar.md §3): ustar, PAX and GNU, with or without the blocks of zeros at the end.

use std::io::{Read, Write};

use tar::{EntryType, Header};
use tool::{Failure, Source, Status};

use crate::header::{BLOCK, padding};

/// The longest extension record that is read into memory, in bytes.
const LONGEST: u64 = 1 << 20;

/// A member; its content comes next in the stream.
#[derive(Debug)]
pub(crate) struct Found {
    pub name: Vec<u8>,
    pub kind: EntryType,
    pub size: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// What a link leads to.
    pub target: Vec<u8>,
}

/// A tar that is being read.
pub(crate) struct Members<'a> {
    pub input: &'a mut Source,
    /// What it is, for messages.
    pub what: &'a str,
}

/// From this size on a content is moved inside the kernel, in bytes.
const SPLICED: u64 = 16 << 10;
/// How much of it before somebody hears of it, in bytes.
const AT_ONCE: u64 = 8 << 20;

/// What extension records say of the member that follows.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Members<'_> {
    fn corrupt<T>(&self, why: impl std::fmt::Display) -> Result<T, Failure> {
        Err(Failure::new(Status::Data, format!("{} is corrupt: {why}", self.what)))
    }

    fn cut<T>(&self) -> Result<T, Failure> {
        Err(Failure::new(Status::Data, format!("{} was cut short", self.what)))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        self.input.fill(buffer).map_err(|e| self.input.failure(&e))
    }

    /// The next member; `None` at the end, which has been read to.
    pub(crate) fn next(&mut self) -> Result<Option<Found>, Failure> {
        let mut extensions = Extensions::default();
        loop {
            let mut block = [0; BLOCK];
            match self.fill(&mut block)? {
                BLOCK => {}
                0 => return Ok(None), // remote backups end so
                _ => return self.cut(),
            }
            if block.iter().all(|&byte| byte == 0) {
                return self.rest().map(|()| None);
            }
            let header = Header::from_byte_slice(&block).clone();
            if !sound(&header) {
                return self.corrupt("a header does not match its checksum");
            }
            let size = match header.entry_size() {
                Ok(size) => size,
                Err(error) => return self.corrupt(error),
            };
            match header.entry_type() {
                EntryType::XHeader => {
                    let body = self.body(size)?;
                    if self.pax(&body, &mut extensions).is_none() {
                        return self.corrupt("an extension record is none");
                    }
                }
                EntryType::XGlobalHeader => drop(self.body(size)?),
                EntryType::GNULongName => extensions.name = Some(without_nul(self.body(size)?)),
                EntryType::GNULongLink => extensions.target = Some(without_nul(self.body(size)?)),
                kind => return self.found(&header, kind, size, extensions).map(Some),
            }
        }
    }

    fn found(&self, header: &Header, kind: EntryType, size: u64, with: Extensions) -> Result<Found, Failure> {
        let number = |value: std::io::Result<u64>| value.ok().and_then(|n| u32::try_from(n).ok());
        let ids = (with.uid.or_else(|| number(header.uid())), with.gid.or_else(|| number(header.gid())));
        let (Ok(mode), (Some(uid), Some(gid))) = (header.mode(), ids) else {
            return self.corrupt("a header holds no numbers where it should");
        };
        let target = with.target.or_else(|| header.link_name_bytes().map(|n| n.to_vec())).unwrap_or_default();
        let name = with.name.unwrap_or_else(|| header.path_bytes().to_vec());
        let content = matches!(kind, EntryType::Regular | EntryType::Continuous);
        let size = if content { with.size.unwrap_or(size) } else { 0 };
        Ok(Found { name, kind, size, mode: mode & 0o777, uid, gid, target })
    }

    /// A short content with its padding.
    fn body(&mut self, size: u64) -> Result<Vec<u8>, Failure> {
        if size > LONGEST {
            return self.corrupt("an extension record is too long");
        }
        let mut body = vec![0; usize::try_from(size).unwrap_or(0) + padding(size)];
        if self.fill(&mut body)? < body.len() {
            return self.cut();
        }
        body.truncate(usize::try_from(size).unwrap_or(0));
        Ok(body)
    }

    /// PAX records: `LENGTH KEY=VALUE\n`, the length in decimal, of all of it.
    fn pax(&self, mut body: &[u8], into: &mut Extensions) -> Option<()> {
        while !body.is_empty() {
            let space = body.iter().position(|&c| c == b' ')?;
            let length: usize = std::str::from_utf8(&body[..space]).ok()?.parse().ok()?;
            let record = body.get(space + 1..length)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|&c| c == b'=')?;
            let value = &record[equals + 1..];
            let number = || std::str::from_utf8(value).ok()?.parse::<u64>().ok();
            match &record[..equals] {
                b"path" => into.name = Some(value.to_vec()),
                b"linkpath" => into.target = Some(value.to_vec()),
                b"size" => into.size = Some(number()?),
                b"uid" => into.uid = u32::try_from(number()?).ok(),
                b"gid" => into.gid = u32::try_from(number()?).ok(),
                _ => {}
            }
            body = &body[length..];
        }
        Some(())
    }

    /// Hands the content of a member to `each`, piece by piece, and passes over its padding.
    pub(crate) fn content(
        &mut self,
        size: u64,
        buffer: &mut [u8],
        each: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.pieces(size, buffer, each)?;
        self.pad(size)
    }

    fn pieces(
        &mut self,
        size: u64,
        buffer: &mut [u8],
        mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut left = size;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(buffer.len()).min(buffer.len());
            let got = self.input.read(&mut buffer[..want]).map_err(|e| self.input.failure(&e))?;
            if got == 0 {
                return self.cut();
            }
            each(&buffer[..got])?;
            left -= got as u64;
        }
        Ok(())
    }

    /// Moves the content of a member into `file`, inside the kernel where that can be done; `each` hears how much.
    pub(crate) fn pour(
        &mut self,
        size: u64,
        file: &mut std::fs::File,
        buffer: &mut [u8],
        mut each: impl FnMut(u64),
        cannot: impl Fn(&std::io::Error) -> Failure,
    ) -> Result<(), Failure> {
        let mut left = size;
        while left >= SPLICED {
            let step = left.min(AT_ONCE);
            match self.input.splice_into(&*file, step).map_err(|e| cannot(&e))? {
                None => break,
                Some(moved) => {
                    each(moved);
                    left -= moved;
                    if moved < step {
                        return self.cut();
                    }
                }
            }
        }
        self.pieces(left, buffer, |piece| {
            each(piece.len() as u64);
            file.write_all(piece).map_err(|e| cannot(&e))
        })?;
        self.pad(size)
    }

    /// Passes over the padding behind `size` bytes; the last one may be missing.
    pub(crate) fn pad(&mut self, size: u64) -> Result<(), Failure> {
        let mut padding = vec![0; padding(size)];
        self.fill(&mut padding)?;
        Ok(())
    }

    /// Passes over a content nobody wants.
    pub(crate) fn skip(&mut self, size: u64, buffer: &mut [u8]) -> Result<(), Failure> {
        self.content(size, buffer, |_| Ok(()))
    }

    /// Behind the logical end there are zeros only.
    fn rest(&mut self) -> Result<(), Failure> {
        let mut block = [0; 8 * BLOCK];
        loop {
            let filled = self.fill(&mut block)?;
            if block[..filled].iter().any(|&byte| byte != 0) {
                return self.corrupt("something follows its end");
            }
            if filled < block.len() {
                return Ok(());
            }
        }
    }
}

/// Whether the header's checksum is right: the sum of its bytes with the checksum's own as blanks.
fn sound(header: &Header) -> bool {
    let sum = header.as_bytes().iter().enumerate();
    let sum: u32 = sum.map(|(at, &byte)| if (148..156).contains(&at) { 32 } else { u32::from(byte) }).sum();
    header.cksum().is_ok_and(|stored| stored == sum)
}

fn without_nul(mut name: Vec<u8>) -> Vec<u8> {
    while name.last() == Some(&0) {
        name.pop();
    }
    name
}
