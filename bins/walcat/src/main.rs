//! walcat - check a WAL file and pass it on.

use std::path::PathBuf;
use std::process::ExitCode;

use pg::WalName;
use tool::{Failure, Input, Status};

mod check;
mod compare;
mod file;
mod output;
mod pass;

/// Check standard input, FILE, or what PRODUCER writes, as the WAL file NAME, and pass it on if it is right
#[derive(clap::Parser)]
struct Words {
    /// What it must be: a segment, or SEGMENT.partial, SEGMENT.OFFSET.backup, TIMELINE.history
    #[arg(long, value_name = "NAME", required_unless_present = "compare")]
    check: Option<String>,
    /// The system identifier that a segment must have
    #[arg(long, value_name = "N")]
    system_id: Option<u64>,
    /// The size that a segment must have, in bytes (default: what its header says)
    #[arg(long, value_name = "BYTES", value_parser = segment_size)]
    segment_size: Option<pg::SegmentSize>,
    /// Take both from global/pg_control in this data directory, if it can be read
    #[arg(long, value_name = "DIR")]
    control: Option<PathBuf>,
    /// Write to this file, which is there when everything was right or not at all, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// With --output, return when the file is on the disk
    #[arg(long, requires = "output")]
    sync: bool,
    /// Write nothing; compare with this file: 0 if equal, 73 if not
    #[arg(long, value_name = "FILE", conflicts_with = "output")]
    compare: Option<PathBuf>,
    /// Write nothing but its SHA-256 and length, as HEX:N
    #[arg(long, conflicts_with_all = ["output", "compare"])]
    digest: bool,
    /// Read this file instead of standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    input: Input,
}

fn main() -> ExitCode {
    tool::run::<Words>("walcat", |words| {
        let expected = check::Expected::of(&words)?;
        let output = output::Output::open(&words)?;
        let input = words.input.open_or_file(words.file.as_deref())?;
        match expected.name {
            None => pass::anything(input, output),
            Some(WalName::Segment(segment) | WalName::Partial(segment)) => {
                pass::segment(&expected, segment, input, output)
            }
            Some(_) => pass::text(&expected, input, output),
        }
    })
}

fn segment_size(text: &str) -> Result<pg::SegmentSize, String> {
    let bytes = text.parse().map_err(|_| "not a number of bytes".to_owned())?;
    pg::SegmentSize::new(bytes).map_err(|e| e.to_string())
}

/// What is wrong with a file, as a failure: the words, the bytes, or this build.
fn failure(label: &str, error: &pg::Error) -> Failure {
    match error {
        pg::Error::Malformed { .. } => Failure::new(Status::Data, format!("{label}: {error}")),
        pg::Error::Corrupt(text) | pg::Error::Foreign(text) => Failure::new(Status::Data, format!("{label}: {text}")),
        pg::Error::Unsupported(text) => Failure::new(Status::Config, format!("{label}: {text}"))
            .hint("A newer walpipe may know this version of PostgreSQL."),
    }
}
