//! The frame of a program: words, failures, streams, producers, settings, signals, progress, limits.
//!
//! A tool parses its words, checks, streams and finishes; [`run`] alone turns a [`Failure`] into words and an
//! exit status.  What a filter reads it takes through [`Input`], which owns the `-- PRODUCER` rule:
//!
//! ```no_run
//! # #[derive(clap::Parser)] struct Words { #[command(flatten)] input: tool::Input }
//! # fn main() -> std::process::ExitCode {
//! tool::run::<Words>("pass", |words| {
//!     let mut output = tool::stdout()?;                       // refuses a terminal
//!     let mut input = words.input.open()?;                    // standard input, or the producer after `--`
//!     let result = tool::copy_all(&mut input, &mut output);
//!     input.settle(result)?;                                  // the producer has ended with 0; else nothing below happens
//!     Ok(())
//! })
//! # }
//! ```
//!
//! This crate alone prints, exits and reads the environment.

use std::process::ExitCode;

use clap::error::ErrorKind;

mod child;
mod failure;
mod input;
mod limit;
mod message;
mod progress;
mod settings;
mod streams;

pub mod stop;

pub use sys::Lender;

pub use child::{Child, End, command};
pub use failure::{Failure, Status, reason};
pub use input::{Input, Source};
pub use limit::{Flow, Limit, TOKEN};
pub use message::{name, note, seen, warn};
pub use progress::{Mode as ProgressMode, Progress};
pub use settings::{Kind, Name, Origin, Settings, is_internal, kind_of, names, nearest, nearest_of, settings};
pub use streams::{CHUNK, PIPE_BYTES, Side, Stdout, cannot_write, copy, splice_all, stdout, text_stdout, widen};

/// What `--version` prints after the name.
const VERSION: &str = concat!("(walpipe) ", env!("CARGO_PKG_VERSION"));

/// A program: parses its words, runs `body`, and turns what comes of it into words and an exit status.
///
/// `--help` and `--version` go to standard output; a wrong word is one line and 64; a panic is our bug and 70.
pub fn run<W: clap::Parser>(name: &'static str, body: impl FnOnce(W) -> Result<(), Failure>) -> ExitCode {
    message::call_me(name);
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
        let text = panic.payload_as_str().unwrap_or("no words");
        message::print(&format!("{}: a bug in walpipe{place}: {text}\n", message::name()));
        std::process::exit(i32::from(Status::Bug.code()));
    }));
    let result =
        die_with_parent().and_then(|()| stop::install()).and_then(|()| words(name)).and_then(|words| match words {
            Some(words) => body(words),
            None => Ok(()),
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            message::print(&failure.lines(name));
            ExitCode::from(failure.status().code())
        }
    }
}

/// The words of the command line; `None` where help or the version was asked for and printed.
fn words<W: clap::Parser>(name: &'static str) -> Result<Option<W>, Failure> {
    let command = W::command().name(name).bin_name(name).version(VERSION);
    let parsed = command.try_get_matches().and_then(|mut matches| W::from_arg_matches_mut(&mut matches));
    match parsed {
        Ok(words) => Ok(Some(words)),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            use std::io::Write;
            let mut out = text_stdout()?;
            let text = format!("{}\n", error.render().to_string().trim_end());
            out.write_all(text.as_bytes()).map_err(|e| cannot_write(&e))?;
            Ok(None)
        }
        Err(error) => Err(wrong_words(name, &error)),
    }
}

/// What clap says over several lines, in one.
fn wrong_words(name: &str, error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let first = text.split("\n\n").next().unwrap_or(&text);
    let joined = first.split('\n').map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ");
    let words = joined.strip_prefix("error: ").unwrap_or(&joined);
    let failure = Failure::new(Status::Usage, words);
    // below a wrapper the words may be those of a person who never typed this name
    if settings::env("WALPIPE_PARENT").is_some() { failure } else { failure.hint(format!("See {name} --help.")) }
}

/// Ends with the shell or program that started this one, where that is one of ours and said so.
fn die_with_parent() -> Result<(), Failure> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    let Some(parent) = settings::env("WALPIPE_PARENT").and_then(|p| p.parse::<i32>().ok()) else { return Ok(()) };
    let is_parent = || getppid().is_some_and(|p| p.as_raw_nonzero().get() == parent);
    if is_parent() {
        let _ = set_parent_process_death_signal(Some(Signal::TERM));
        if !is_parent() {
            return Err(Failure::new(Status::Passed(143), "the program that started this one has ended"));
        }
    }
    Ok(())
}

/// Whether this program is the producer of another of ours, which then speaks for both.
#[must_use]
pub fn in_chain() -> bool {
    settings::env("WALPIPE_CHAIN").is_some()
}

/// A way to lend memory to standard output, where its reader has promised what that takes.
#[must_use]
pub fn lender() -> Option<Lender> {
    use std::os::fd::AsFd;
    let promised = settings::env(child::READER)?;
    let stdout = std::io::stdout();
    let stat = rustix::fs::fstat(stdout.as_fd()).ok()?;
    if stat.st_ino.to_string() != promised {
        return None;
    }
    Lender::new(stdout.as_fd().try_clone_to_owned().ok()?)
}

/// The value of an environment variable that is neither a setting nor a secret; an empty one counts as not set.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    settings::env(name)
}

/// Copies all of `input` to standard output, or to what else is written for the program's reader.
///
/// # Errors
/// The input's failure with its name; the output's, where a reader that is gone is silent and 141.
pub fn copy_all(input: &mut Source, output: &mut impl std::io::Write) -> Result<u64, Failure> {
    copy(input, output).map_err(|side| match side {
        Side::Input(error) => input.failure(&error),
        Side::Output(error) => cannot_write(&error),
    })
}

/// How many threads a program may use for one stream: `WALPIPE_THREADS` of a program above, else the cores there are.
#[must_use]
pub fn threads() -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    variable("WALPIPE_THREADS").and_then(|n| n.parse().ok()).unwrap_or_else(cores).max(1)
}
