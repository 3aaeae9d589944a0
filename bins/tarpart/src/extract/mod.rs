//! Parts back into files: everything that the backup lists, `pg_control` last, or no success.

use std::collections::VecDeque;
use std::io::BufRead;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tool::{Failure, Flow, Input, Limit, Progress, ProgressMode, Source, Status, note};

mod files;
mod members;
mod place;
mod tablespaces;
mod wanted;

use files::{Held, Restore};
use members::Members;
use place::Place;
use wanted::Wanted;

/// Make files of the tar parts whose names are on standard input, or of one tar
#[derive(clap::Args)]
pub(crate) struct Words {
    /// Restore into this directory, which must be empty or absent
    #[arg(short = 'C', long = "directory", value_name = "DIR")]
    directory: PathBuf,
    /// Run this by `sh -c` for each part, to write its tar; TARPART_NAME is the stored name.  Names come on standard input
    #[arg(long, value_name = "CMD", conflicts_with = "producer")]
    source: Option<String>,
    /// Restore N parts side by side
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// The backup's list of files, files_metadata.json: all of them must be there, nothing else is restored
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    /// The backup's tablespaces, as the Spec of its sentinel; each goes to where it was
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// Other places for the tablespaces, in the form of wal-g's restore spec
    #[arg(long, value_name = "FILE")]
    restore_spec: Option<PathBuf>,
    /// Restore the tablespace that was in OLD (or has the OID OLD) into the directory NEW
    #[arg(long = "tablespace", value_name = "OLD=NEW")]
    tablespaces: Vec<String>,
    /// How many bytes are expected, for progress
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    total: u64,
    /// How progress is shown on standard error
    #[arg(long, value_name = "HOW")]
    progress: Option<ProgressMode>,
    /// Do not wait until the files are durable
    #[arg(long)]
    no_sync: bool,
    #[command(flatten)]
    input: Input,
}

pub(crate) fn extract(words: &Words) -> Result<(), Failure> {
    let (locations, drop_map) = tablespaces::locations(words)?;
    let wanted = match &words.metadata {
        Some(path) => Wanted::read(path)?,
        None => None,
    };
    if words.source.is_some() && wanted.is_none() {
        note("the backup has no list of its files: each part must be whole, but a part that is missing is not noticed");
    }
    let mode = ProgressMode::chosen(words.progress)?;
    let progress = Progress::new(mode, "restored", words.total);
    let _handed_on = Limit::on(Flow::Net)?; // for the sources: one limit for all of them
    let held = Held::default();
    match &words.source {
        None => {
            let place = Place::prepare(&words.directory, &locations)?;
            let restore = Restore::new(&place, wanted.as_ref(), &progress, &held);
            let mut input = words.input.open()?;
            let what = input.label();
            let result = restore.part(&mut Members { input: &mut input, what: &what });
            input.settle(result)?;
            progress.finish();
            restore.finish_plain(!words.no_sync)
        }
        Some(source) => {
            let names = names()?;
            // Before anything is written: the part that comes last is whole, and can be decoded and understood.
            for name in &names.control {
                held.take_control(open(source, name)?, name)?;
            }
            let place = Place::prepare(&words.directory, &locations)?;
            let restore = Restore::new(&place, wanted.as_ref(), &progress, &held);
            all(words.jobs, source, &names.others, &restore)?;
            progress.finish();
            restore.finish(drop_map, !words.no_sync)
        }
    }
}

/// The parts, as they are to be restored.
struct Names {
    others: Vec<String>,
    control: Vec<String>,
}

/// Reads the names of the parts; refuses what cannot be restored before anything is written.
fn names() -> Result<Names, Failure> {
    let mut names = Names { others: Vec::new(), control: Vec::new() };
    for name in std::io::stdin().lock().lines() {
        let name = name.map_err(|e| Failure::io("cannot read names from standard input", &e))?;
        if name.is_empty() || name.contains('/') {
            return Err(Failure::new(Status::Data, format!("{name:?} is no name of a part")));
        }
        match codec::Method::of_object(&name) {
            Some(method) if codec::Method::BUILT.contains(&method) => {}
            Some(method) => {
                return Err(Failure::new(
                    Status::Config,
                    format!("cannot restore {name}: this version cannot decompress {method}"),
                ));
            }
            None => {
                return Err(Failure::new(
                    Status::Config,
                    format!("cannot restore {name}: its compression is not known"),
                ));
            }
        }
        match is_control(&name) {
            true => names.control.push(name),
            false => names.others.push(name),
        }
    }
    if names.control.is_empty() {
        return Err(Failure::new(Status::Data, "the backup has no part pg_control.tar: it is not complete"));
    }
    Ok(names)
}

/// `pg_control.tar` with whatever extension (spec/layout.md §3.5).
fn is_control(name: &str) -> bool {
    name.find("pg_control.tar").is_some_and(|at| {
        let rest = &name[at + "pg_control.tar".len()..];
        rest.is_empty() || rest.starts_with('.')
    })
}

/// Starts the source of the part `name`.
fn open(source: &str, name: &str) -> Result<Source, Failure> {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", source]).stdin(std::process::Stdio::null());
    command.env("TARPART_NAME", name).env("WALPIPE_BELOW", "1").env_remove("PGPASSWORD");
    Source::of(&mut command, true)
}

/// Restores all parts, `jobs` at a time; the first failure ends the others.
fn all(jobs: u16, source: &str, names: &[String], restore: &Restore<'_>) -> Result<(), Failure> {
    let queue = Mutex::new(VecDeque::from_iter(names));
    let stop = AtomicBool::new(false);
    let first = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(name) = next else { return };
                    let result = open(source, name).and_then(|mut input| {
                        let result = restore.part_until(&mut Members { input: &mut input, what: name }, &stop);
                        input.settle(result)
                    });
                    if let Err(failure) = result {
                        stop.store(true, Ordering::Relaxed);
                        let failure = failure.passed_on(format_args!("{name} is not restored"));
                        first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
                    }
                }
            });
        }
    });
    match first.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}
