//! One line of progress, drawn by the program that knows the total.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::message::{name, note, seen};
use crate::settings::env;
use crate::{Failure, Status, settings};

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// A line that is drawn anew where a person sees standard error; else nothing.
    Auto,
    /// That line.
    Bar,
    /// A plain line every minute, and one at the end.
    Lines,
    /// Nothing.
    None,
}

impl Mode {
    /// What the words say, else `WALPIPE_PROGRESS`.
    ///
    /// # Errors
    /// 78 if the setting is none of these.
    pub fn chosen(word: Option<Self>) -> Result<Self, Failure> {
        match (word, settings()?.get("WALPIPE_PROGRESS")) {
            (Some(mode), _) => Ok(mode),
            (None, None) => Ok(Self::Auto),
            (None, Some(text)) => <Self as clap::ValueEnum>::from_str(&text, true).map_err(|_| {
                let why = format!("the setting WALPIPE_PROGRESS is {text:?}, which is none of auto, bar, lines, none");
                Failure::new(Status::Config, why)
            }),
        }
    }
}

/// What is done of a total, in bytes.
#[derive(Debug, Clone)]
pub struct Progress(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    bar: Option<ProgressBar>,
    verb: &'static str,
    total: u64,
    done: AtomicU64,
    start: Instant,
    said: Mutex<Instant>,
    over: AtomicBool,
}

impl Progress {
    /// Begins to show how `verb` ("backed up") goes over `total` bytes (0: not known).
    ///
    /// Below a program that draws already (`WALPIPE_BELOW`) nothing is shown.
    #[must_use]
    pub fn new(mode: Mode, verb: &'static str, total: u64) -> Self {
        let bar = match mode {
            _ if env("WALPIPE_BELOW").is_some() => return Self(None),
            Mode::None => return Self(None),
            Mode::Auto if !seen() => return Self(None),
            Mode::Lines => None,
            Mode::Auto | Mode::Bar => Some(bar(total)),
        };
        let now = Instant::now();
        let said = Mutex::new(now);
        let (done, over) = (AtomicU64::new(0), AtomicBool::new(false));
        Self(Some(Arc::new(Inner { bar, verb, total, done, start: now, said, over })))
    }

    /// `bytes` more are done.
    pub fn add(&self, bytes: u64) {
        let Some(inner) = &self.0 else { return };
        let done = inner.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        match &inner.bar {
            Some(bar) => bar.set_position(done),
            None => {
                let mut said = inner.said.lock().unwrap_or_else(PoisonError::into_inner);
                if said.elapsed() >= Duration::from_secs(60) {
                    *said = Instant::now();
                    note(inner.line(done));
                }
            }
        }
    }

    /// All is done; the last line stays.
    pub fn finish(&self) {
        let Some(inner) = &self.0 else { return };
        if inner.over.swap(true, Ordering::Relaxed) {
            return;
        }
        let line = inner.line(inner.done.load(Ordering::Relaxed));
        if let Some(bar) = &inner.bar {
            bar.finish_and_clear();
        }
        note(line);
    }
}

impl Inner {
    fn line(&self, done: u64) -> String {
        let seconds = self.start.elapsed().as_secs_f64().max(0.001);
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // for people
        let rate = (done as f64 / seconds) as u64;
        let mut line =
            format!("{} of {} {}, {}/s", HumanBytes(done), HumanBytes(self.total), self.verb, HumanBytes(rate));
        if let Some(left) = self.total.checked_sub(done).filter(|left| *left > 0 && rate > 0) {
            line.push_str(&format!(", {} left", HumanDuration(Duration::from_secs(left / rate))));
        }
        line
    }
}

fn bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(5));
    let form = "{prefix}: {wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(form) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(name());
    bar
}
