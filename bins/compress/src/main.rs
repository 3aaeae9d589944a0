//! compress - compress or decompress one stream.

use std::path::PathBuf;
use std::process::ExitCode;

use codec::Method;
use tool::{Failure, Input, Source, Status};

mod undo;

/// Compress standard input, FILE, or what PRODUCER writes, to standard output; -d decompresses
#[derive(clap::Parser)]
struct Words {
    /// Decompress
    #[arg(short, long)]
    decompress: bool,
    /// The method: lz4 or none (with -d: by FILE's name, or by how the stream begins)
    #[arg(short, long, value_name = "METHOD")]
    method: Option<String>,
    /// With -d, take the method from this object name's extension
    #[arg(long = "as", value_name = "NAME", requires = "decompress", conflicts_with = "method")]
    name: Option<String>,
    /// Compress with up to N threads (default: the number of cores)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Read this file instead of standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    input: Input,
}

fn main() -> ExitCode {
    tool::run::<Words>("compress", |words| if words.decompress { undo::decompress(&words) } else { compress(&words) })
}

fn compress(words: &Words) -> Result<(), Failure> {
    let method = named(words.method.as_deref().unwrap_or("lz4"))?;
    let mut output = tool::stdout()?;
    if method == Method::None {
        let mut input = words.input.open_to_pass(words.file.as_deref())?;
        let result = pass(&mut input, &mut output);
        return input.settle(result);
    }
    let mut input = words.input.open_or_file(words.file.as_deref())?;
    let threads = words.threads.map_or_else(tool::threads, usize::from);
    let mut stream = codec::encoder(method, threads, output).map_err(|e| failure(&e, None))?;
    let result = stream.pump(&mut input).map_err(|e| failure(&e, Some(&input)));
    input.settle(result)?; // the producer has ended with 0; else the stream stays without its end
    stream.finish().map_err(|e| failure(&e, None))
}

/// Moves the bytes as they are, inside the kernel where that can be done.
fn pass(input: &mut Source, output: &mut tool::Stdout) -> Result<(), Failure> {
    match tool::splice_all(&*input, &*output) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => tool::copy_all(input, output).map(drop),
        Err(error) => Err(tool::cannot_write(&error)),
    }
}

/// The method that the words ask for, if this build has it.
fn named(name: &str) -> Result<Method, Failure> {
    let known = Method::named(name).ok_or_else(|| {
        Failure::new(Status::Usage, format!("no compression method {name}")).hint("There are lz4 and none.")
    })?;
    if Method::BUILT.contains(&known) {
        return Ok(known);
    }
    Err(Failure::new(Status::Config, format!("this version cannot compress or decompress {known}"))
        .hint("There are lz4 and none."))
}

/// A codec's error in words; `input` is what was being read.
fn failure(error: &codec::Error, input: Option<&Source>) -> Failure {
    let label = input.map_or_else(|| "the input".to_owned(), Source::label);
    match error {
        codec::Error::Input(error) => Failure::io(format_args!("cannot read {label}"), error),
        codec::Error::Output(error) => tool::cannot_write(error),
        codec::Error::CutShort => Failure::new(Status::Data, format!("cannot decompress {label}: {error}")),
        codec::Error::Corrupt(_) => Failure::new(Status::Data, format!("cannot decompress {label}: {error}")),
        codec::Error::Unsupported(_) => Failure::new(Status::Config, error.to_string()),
    }
}
