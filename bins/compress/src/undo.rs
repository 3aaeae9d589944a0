//! The way back: which method it was, and the stream's content.

use std::io::{self, Cursor, Read};

use codec::{Blocks, Method, Output};
use tool::{Failure, Source, Status};

use crate::{Words, failure, named};

/// Bytes looked at before anything is decided.
const START: usize = 32;

pub(crate) fn decompress(words: &Words) -> Result<(), Failure> {
    let asked = match (&words.method, &words.name) {
        (Some(method), _) => Some(named(method)?),
        (None, Some(name)) => Some(of_object(name)?),
        (None, None) => None,
    };
    let mut output = tool::text_stdout()?;
    tool::widen(&output);
    let pass = asked == Some(Method::None);
    let file = words.file.as_deref();
    let mut input = if pass { words.input.open_to_pass(file)? } else { words.input.open_or_file(file)? };
    if pass {
        let result = crate::pass(&mut input, &mut output);
        return input.settle(result);
    }
    let mut start = [0; START];
    let result = match input.fill(&mut start) {
        Err(error) => Err(input.failure(&error)),
        Ok(filled) => decide(asked, words, &start[..filled], &input).and_then(|method| {
            let mut whole = Looked { start: Cursor::new(&start[..filled]), rest: &mut input };
            let result = codec::decoder(method, &mut whole).and_then(|mut stream| match tool::lender() {
                Some(lender) => stream.pump(&mut Lent(lender)),
                None => stream.pump(&mut Blocks::new(&mut output)),
            });
            result.map_err(|e| failure(&e, Some(&input)))
        }),
    };
    input.settle(result.map(drop))
}

/// The method by an object's name.
fn of_object(name: &str) -> Result<Method, Failure> {
    let method = Method::of_object(name).ok_or_else(|| {
        Failure::new(Status::Config, format!("the name {name} says no compression method that is known"))
    })?;
    named_or_refused(method)
}

fn named_or_refused(method: Method) -> Result<Method, Failure> {
    if Method::BUILT.contains(&method) { Ok(method) } else { named(&method.to_string()) }
}

/// The method, now that the beginning is there: what was asked for, else by the file's name, else by the beginning.
fn decide(asked: Option<Method>, words: &Words, start: &[u8], input: &Source) -> Result<Method, Failure> {
    let label = input.label();
    if start.is_empty() {
        return Err(Failure::new(Status::Data, format!("cannot decompress {label}: it is empty")));
    }
    let by_start = Method::sniff(start);
    if by_start.is_none() && asked != Some(Method::None) && codec::looks_encrypted(start) {
        return Err(Failure::new(Status::Config, format!("cannot decompress {label}: it is encrypted (OpenPGP)"))
            .hint("Decrypt it first; this version has no decryption of its own yet."));
    }
    let by_name = words.file.as_ref().and_then(|f| f.file_name()).and_then(|n| Method::of_object(&n.to_string_lossy()));
    match asked.or_else(|| by_name.filter(|m| *m != Method::None)).or(by_start) {
        Some(method) => named_or_refused(method),
        None => Err(Failure::new(Status::Data, format!("cannot decompress {label}: it is in no known compression"))
            .hint("Name the method with -m; brotli has no mark of its own.")),
    }
}

/// Blocks that are lent to the pipe that is our standard output.
struct Lent(tool::Lender);

impl Output for Lent {
    fn room(&mut self, bytes: usize) -> io::Result<&mut [u8]> {
        self.0.room(bytes)
    }

    fn commit(&mut self, bytes: usize) -> io::Result<()> {
        self.0.commit(bytes)
    }
}

/// The beginning that was looked at, and the rest.
struct Looked<'a> {
    start: Cursor<&'a [u8]>,
    rest: &'a mut Source,
}

impl Read for Looked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.start.read(buffer)? {
            0 => self.rest.read(buffer),
            n => Ok(n),
        }
    }
}
