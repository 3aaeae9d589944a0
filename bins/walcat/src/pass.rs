//! From the input to the output, with a look at what passes.

use std::io::Read;

use pg::SegmentName;
use rustix::fs::FileType;
use tool::{Failure, Source, Status};

use crate::check::{Expected, judged};
use crate::output::Output;

/// How much of a segment is looked at before any of it passes, in bytes: the largest WAL page.
const FIRST: usize = 64 << 10;

/// The largest history or backup file that is read, in bytes; real ones have some hundred.
const TEXT: u64 = 16 << 20;

/// A segment: its first page is checked before anything passes, its size at the end, and that of a
/// file beforehand as well.
pub fn segment(
    expected: &Expected,
    segment: SegmentName,
    mut input: Source,
    mut output: Output,
) -> Result<(), Failure> {
    let label = input.label();
    let file_size = file_size(&input)?;
    let mut pass = || {
        let mut first = vec![0; FIRST];
        let read = input.fill(&mut first).map_err(|e| input.failure(&e))?;
        let size = judged(&label, expected.segment(segment, &first[..read]))?.bytes();
        let wrong = |found: u64| {
            Failure::new(Status::Data, format!("{label}: WAL segment has {found} bytes and should have {size}"))
        };
        if let Some(found) = file_size.filter(|&found| found != size) {
            return Err(wrong(found));
        }
        output.write(&first[..read])?;
        match read as u64 + output.take(&mut input, file_size.is_some())? {
            found if found == size => Ok(()),
            found => Err(wrong(found)),
        }
    };
    let result = pass();
    input.settle(result)?; // the producer has ended with 0; else nothing is published
    output.finish()
}

/// A history or backup file: small, so it is read and checked as a whole before any of it passes.
pub fn text(expected: &Expected, mut input: Source, mut output: Output) -> Result<(), Failure> {
    let label = input.label();
    let mut content = Vec::new();
    let read = (&mut input).take(TEXT + 1).read_to_end(&mut content).map_err(|e| input.failure(&e));
    let result = read.and_then(|_| match content.len() as u64 {
        0 => Err(Failure::new(Status::Data, format!("{label}: it is empty"))),
        size if size > TEXT => {
            Err(Failure::new(Status::Data, format!("{label}: more than {TEXT} bytes, too many for such a file")))
        }
        _ => judged(&label, expected.text(&content)),
    });
    input.settle(result)?;
    output.write(&content)?;
    output.finish()
}

/// What is only compared.
pub fn anything(mut input: Source, mut output: Output) -> Result<(), Failure> {
    let result = output.take(&mut input, false);
    input.settle(result)?;
    output.finish()
}

/// The size of an input that is a regular file, which has one before it is read.
fn file_size(input: &Source) -> Result<Option<u64>, Failure> {
    let stat = rustix::fs::fstat(input).map_err(|e| input.failure(&e.into()))?;
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    Ok(regular.then_some(stat.st_size as u64))
}
