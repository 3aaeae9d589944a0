//! A list of files into parts, several at a time, each handed to a filter that stores it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use std::io::Write;

use serde_json::json;
use tool::{Failure, Flow, Input, Limit, Progress, ProgressMode, Status, note, settings, warn};

mod label;
mod list;
mod metadata;
mod pages;
mod part;
mod store;

use list::{Entry, Kind, List};
use metadata::Metadata;
use part::{Filter, Part};
use store::{Means, Owners, Stored};

/// Make tar parts of the files that are listed on standard input (see pg-snapshot), each written to a command
#[derive(clap::Args)]
pub(crate) struct Words {
    /// Run this by `sh -c` for each part, which it reads on standard input; TARPART_NAME is the part's name
    #[arg(long, value_name = "CMD")]
    filter: String,
    /// What the stored name has behind the part's, as .lz4
    #[arg(long, default_value = "")]
    suffix: String,
    /// CMD reads its standard input, and splices it into files at most: lend it the memory instead of copying
    #[arg(long)]
    lend: bool,
    /// Make N parts side by side
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Close a part when its files have more than BYTES
    #[arg(long, value_name = "BYTES", default_value_t = 1_073_741_823)]
    size: u64,
    /// Write files_metadata.json to FILE
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    /// Make backup_label.tar of DIR/backup_label and DIR/tablespace_map instead, and complete the metadata
    #[arg(long, value_name = "DIR")]
    label: Option<PathBuf>,
    /// How progress is shown on standard error
    #[arg(long, value_name = "HOW")]
    progress: Option<ProgressMode>,
    #[command(flatten)]
    input: Input,
}

pub(crate) fn create(words: &Words) -> Result<(), Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let filter = Filter {
        command: &words.filter,
        suffix: &words.suffix,
        threads: if words.label.is_some() { 1 } else { (cores / usize::from(words.jobs)).max(1) },
        lend: words.lend,
        output: Mutex::new(tool::text_stdout()?),
    };
    match &words.label {
        Some(directory) => label::label(words, &filter, directory),
        None => Work::begin(words, &filter)?.run(),
    }
}

/// Everything that the workers share.
struct Work<'a> {
    filter: &'a Filter<'a>,
    size: u64,
    jobs: u16,
    list: Mutex<Option<List>>,
    metadata: Option<Metadata>,
    limit: Limit,
    progress: Progress,
    verify: bool,
    strict: bool,
    number: AtomicU64,
    stop: AtomicBool,
    sum: Mutex<Sum>,
    first: Mutex<Option<Failure>>,
}

/// What the last line on standard output says.
#[derive(Default)]
struct Sum {
    parts: u64,
    members: u64,
    bytes: u64,
    vanished: u64,
    corrupt_blocks: u64,
    corrupt_files: u64,
}

impl Sum {
    fn print(&self, filter: &Filter<'_>) -> Result<(), Failure> {
        let line = json!({
            "parts": self.parts, "files": self.members, "bytes": self.bytes, "vanished": self.vanished,
            "corrupt_files": self.corrupt_files, "corrupt_blocks": self.corrupt_blocks,
        });
        let mut output = filter.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.write_all(format!("{line}\n").as_bytes()).map_err(|e| tool::cannot_write(&e))
    }
}

impl<'a> Work<'a> {
    fn begin(words: &Words, filter: &'a Filter<'a>) -> Result<Self, Failure> {
        let settings = settings()?;
        let strict = match settings.get("WALPIPE_CORRUPT_PAGES").as_deref() {
            None | Some("warn") => false,
            Some("fail") => true,
            Some(other) => {
                let why = format!("the setting WALPIPE_CORRUPT_PAGES is {other:?}, which is neither warn nor fail");
                return Err(Failure::new(Status::Config, why));
            }
        };
        let mode = ProgressMode::chosen(words.progress)?;
        let metadata = match &words.metadata {
            Some(path) => Some(Metadata::begin(path, settings.flag("WALG_STORE_ALL_CORRUPT_BLOCKS")?)?),
            None => None,
        };
        let verify = settings.flag("WALG_VERIFY_PAGE_CHECKSUMS")? && checksums_on()?;
        let limit = Limit::on(Flow::Disk)?;
        let _handed_on = Limit::on(Flow::Net)?; // for the filters: one limit for all of them
        let spool = match &words.metadata {
            Some(path) => path.with_extension("list"),
            None => std::env::temp_dir().join(format!("tarpart.{}", std::process::id())),
        };
        let list = List::take(words.input.open()?, &spool)?;
        let progress = Progress::new(mode, "backed up", list.bytes);
        Ok(Self {
            filter,
            size: words.size,
            jobs: words.jobs,
            list: Mutex::new(Some(list)),
            metadata,
            limit,
            progress,
            verify,
            strict,
            number: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            sum: Mutex::new(Sum::default()),
            first: Mutex::new(None),
        })
    }

    fn run(self) -> Result<(), Failure> {
        let mut control = None;
        let (sender, receiver) = sync_channel(256);
        let receiver = Mutex::new(receiver);
        let read = std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| {
                    if let Err(failure) = self.worker(&receiver) {
                        self.fail(failure);
                        // the others are told at once; whoever waits to send finds nobody
                        while receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().is_ok() {}
                    }
                });
            }
            let read = self.feed(sender, &mut control);
            if read.is_err() {
                self.stop.store(true, Ordering::Relaxed);
            }
            read
        });
        if let Some(failure) = self.first.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(failure);
        }
        read?;
        if let Some(entry) = control {
            self.control(&entry)?;
        }
        self.progress.finish();
        if let Some(metadata) = self.metadata {
            metadata.finish()?;
        }
        self.sum.into_inner().unwrap_or_else(PoisonError::into_inner).print(self.filter)
    }

    /// Hands the list to the workers; `pg_control` is kept for the end.
    fn feed(&self, sender: SyncSender<Entry>, control: &mut Option<Entry>) -> Result<(), Failure> {
        let Some(mut list) = self.list.lock().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(()) };
        while let Some(entry) = list.next()? {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            if entry.kind == Kind::Control {
                *control = Some(entry);
            } else if sender.send(entry).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn fail(&self, failure: Failure) {
        self.stop.store(true, Ordering::Relaxed);
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(failure);
    }

    /// One worker: takes the next entry, puts it in its part, closes the part when it is full.
    fn worker(&self, entries: &Mutex<Receiver<Entry>>) -> Result<(), Failure> {
        let means = Means { limit: &self.limit, progress: &self.progress, verify: self.verify };
        let mut part: Option<Part<'_>> = None;
        let mut owners = Owners::default();
        loop {
            let entry = entries.lock().unwrap_or_else(PoisonError::into_inner).recv();
            if self.stop.load(Ordering::Relaxed) {
                return Ok(()); // an open part is dropped with its filter: nothing of it is stored
            }
            let Ok(entry) = entry else { break };
            let open = match &mut part {
                Some(open) => open,
                None => {
                    let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
                    part.insert(Part::open(self.filter, format!("part_{number:03}.tar"))?)
                }
            };
            match store::store(open, &entry, &mut owners, &means)? {
                Stored::Whole(corrupt) => self.stored(&entry, &corrupt)?,
                Stored::Vanished => self.sum.lock().unwrap_or_else(PoisonError::into_inner).vanished += 1,
            }
            if open.bytes > self.size {
                self.close(part.take())?;
            }
        }
        self.close(part)
    }

    fn stored(&self, entry: &Entry, corrupt: &[u32]) -> Result<(), Failure> {
        if let Some(metadata) = &self.metadata {
            metadata.file(&entry.name, entry.mtime_ns, corrupt)?;
        }
        if std::str::from_utf8(&entry.name).is_err() {
            warn(format_args!("{} is not UTF-8: wal-g will not restore it", String::from_utf8_lossy(&entry.name)));
        }
        if corrupt.is_empty() {
            return Ok(());
        }
        let shown: Vec<_> = corrupt.iter().take(10).map(u32::to_string).collect();
        let more = if corrupt.len() > shown.len() { ", …" } else { "" };
        let name = String::from_utf8_lossy(&entry.name);
        let text = format!("{} corrupt pages in {name}: blocks {}{more}", corrupt.len(), shown.join(", "));
        if self.strict {
            return Err(
                Failure::new(Status::Data, text).hint("WALPIPE_CORRUPT_PAGES=warn stores such files all the same.")
            );
        }
        warn(text);
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        sum.corrupt_files += 1;
        sum.corrupt_blocks += corrupt.len() as u64;
        Ok(())
    }

    fn close(&self, part: Option<Part<'_>>) -> Result<(), Failure> {
        let Some(part) = part else { return Ok(()) };
        {
            let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
            sum.parts += 1;
            sum.members += part.count;
            sum.bytes += part.bytes;
        }
        let (object, members) = (part.object(), part.members().to_owned());
        part.close()?;
        match &self.metadata {
            Some(metadata) if object.starts_with("part_") => metadata.set(&object, &members),
            _ => Ok(()),
        }
    }

    /// `pg_control`, alone in a part of its own, after all others.
    fn control(&self, entry: &Entry) -> Result<(), Failure> {
        let mut part = Part::open(self.filter, "pg_control.tar".to_owned())?;
        let means = Means { limit: &self.limit, progress: &self.progress, verify: false };
        match store::store(&mut part, entry, &mut Owners::default(), &means)? {
            Stored::Whole(_) => self.close(Some(part)),
            Stored::Vanished => Err(Failure::new(Status::NoInput, "pg_control is gone")),
        }
    }
}

/// Whether the server of this backup keeps page checksums, by what pg-snapshot wrote down at the start.
fn checksums_on() -> Result<bool, Failure> {
    let Some(path) = tool::variable("WALPIPE_SNAPSHOT") else {
        note("page checksums are not verified: WALPIPE_SNAPSHOT does not say whether the server keeps them");
        return Ok(false);
    };
    let path = Path::new(&path);
    let text =
        std::fs::read_to_string(path).map_err(|e| Failure::io(format_args!("cannot read {}", path.display()), &e))?;
    let json: serde_json::Value = serde_json::from_str(&text)
        .map_err(|e| Failure::new(Status::Data, format!("{} is no JSON: {e}", path.display())))?;
    Ok(json["data_checksums"].as_bool().unwrap_or(false))
}
