//! One limit for all streams of a command: tokens in a pipe, as make does with its jobs.
//!
//! One byte in the pipe stands for [`TOKEN`] bytes of data.  The first program of a command fills the pipe
//! at the rate that is set; everything it runs inherits the reading end, named by an environment variable.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::settings::env;
use crate::{Failure, Status, note, reason, settings};

/// Bytes of data that one token allows.
pub const TOKEN: u64 = 64 << 10;

/// The reading ends that children inherit: variable and descriptor number.
static HANDED_ON: Mutex<Vec<(&'static str, OwnedFd)>> = Mutex::new(Vec::new());

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Bytes read from the data directory: `WALG_DISK_RATE_LIMIT`, `WALPIPE_LIMIT_DISK`.
    Disk,
    /// Bytes to and from the store: `WALG_NETWORK_RATE_LIMIT`, `WALPIPE_LIMIT_NET`.
    Net,
}

impl Flow {
    const fn setting(self) -> &'static str {
        match self {
            Self::Disk => "WALG_DISK_RATE_LIMIT",
            Self::Net => "WALG_NETWORK_RATE_LIMIT",
        }
    }

    const fn variable(self) -> &'static str {
        match self {
            Self::Disk => "WALPIPE_LIMIT_DISK",
            Self::Net => "WALPIPE_LIMIT_NET",
        }
    }
}

/// A share in a flow's tokens; without a limit it grants everything at once.
#[derive(Debug)]
pub struct Limit {
    tokens: Option<Mutex<Tokens>>,
}

#[derive(Debug)]
struct Tokens {
    fifo: File,
    granted: u64,
}

impl Limit {
    /// No limit.
    #[must_use]
    pub const fn none() -> Self {
        Self { tokens: None }
    }

    /// The limit on `flow` (none with `WALPIPE_TURBO`): the inherited pipe of tokens, else one of our own at the rate that is set, else none.
    ///
    /// # Errors
    /// 78 if the rate is no positive number of bytes a second; 74 where no pipe can be made.
    pub fn on(flow: Flow) -> Result<Self, Failure> {
        if env("WALPIPE_TURBO").is_some() {
            return Ok(Self::none());
        }
        if let Some(fd) = env(flow.variable()) {
            if let Some(fifo) = inherited(&fd) {
                return Ok(Self::of(fifo));
            }
            note(format_args!("{}={fd} is no pipe of tokens; ignored", flow.variable()));
        }
        match settings()?.number::<u64>(flow.setting())? {
            None => Ok(Self::none()),
            Some(0) => {
                Err(Failure::new(Status::Config, format!("the setting {} is 0; unset it for no limit", flow.setting())))
            }
            Some(rate) => filled_by_us(flow, rate)
                .map_err(|e| Failure::new(Status::Io, format!("cannot make a pipe of tokens: {}", reason(&e)))),
        }
    }

    fn of(fifo: File) -> Self {
        Self { tokens: Some(Mutex::new(Tokens { fifo, granted: 0 })) }
    }

    /// Waits until `bytes` more may flow.
    ///
    /// # Errors
    /// 75 if the program that fills the pipe has ended.
    pub fn take(&self, bytes: u64) -> Result<(), Failure> {
        let Some(tokens) = &self.tokens else { return Ok(()) };
        let mut tokens = tokens.lock().unwrap_or_else(PoisonError::into_inner);
        while tokens.granted < bytes {
            let want = (bytes - tokens.granted).div_ceil(TOKEN).min(64);
            let mut buffer = [0; 64];
            let want = usize::try_from(want).unwrap_or(64);
            let ended = || Failure::new(Status::Busy, "the program that limits the rate has ended");
            match tokens.fifo.read(&mut buffer[..want]) {
                Ok(0) => return Err(ended()),
                Ok(got) => tokens.granted += got as u64 * TOKEN,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return Err(ended()),
            }
        }
        tokens.granted -= bytes;
        Ok(())
    }

    /// Whether there is a limit at all.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        self.tokens.is_some()
    }
}

/// The pipe behind descriptor `fd`, opened anew; without a writer that opening would wait for ever, so not so.
fn inherited(fd: &str) -> Option<File> {
    let number: u32 = fd.parse().ok()?;
    let path = format!("/proc/self/fd/{number}");
    if !std::fs::metadata(&path).ok()?.file_type().is_fifo() {
        return None;
    }
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let fifo = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    rustix::fs::fcntl_setfl(&fifo, OFlags::empty()).ok()?;
    Some(fifo)
}

fn filled_by_us(flow: Flow, rate: u64) -> std::io::Result<Limit> {
    let (reader, writer) = rustix::pipe::pipe()?;
    rustix::io::fcntl_setfd(&writer, rustix::io::FdFlags::CLOEXEC)?;
    let ours = File::from(rustix::io::fcntl_dupfd_cloexec(&reader, 3)?);
    HANDED_ON.lock().unwrap_or_else(PoisonError::into_inner).push((flow.variable(), reader));
    std::thread::Builder::new().name("tokens".into()).stack_size(64 << 10).spawn(move || fill(&writer, rate))?;
    Ok(Limit::of(ours))
}

/// Puts tokens in at `rate` bytes a second, for ever; at most one second's worth lies unused.
fn fill(pipe: &OwnedFd, rate: u64) {
    let burst = (rate / TOKEN).max(1);
    let mut due = 0_f64;
    let mut last = Instant::now();
    #[allow(clippy::cast_precision_loss)] // a rate
    let a_second = rate as f64 / TOKEN as f64;
    let nap = Duration::from_secs_f64((1.0 / a_second).clamp(0.002, 0.1));
    loop {
        std::thread::sleep(nap);
        let now = Instant::now();
        due += now.duration_since(last).as_secs_f64() * a_second;
        last = now;
        while due >= 1.0 {
            due -= 1.0;
            let waiting = rustix::io::ioctl_fionread(pipe.as_fd()).unwrap_or(0);
            if waiting < burst && rustix::io::write(pipe, &[0]).is_err() {
                return;
            }
        }
    }
}

/// The variables by which a child learns of the pipes that it inherits.
pub(crate) fn handed_on() -> Vec<(&'static str, String)> {
    let pipes = HANDED_ON.lock().unwrap_or_else(PoisonError::into_inner);
    pipes.iter().map(|(variable, fd)| (*variable, fd.as_raw_fd().to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_over_two_shares() {
        let limit = filled_by_us(Flow::Disk, 8 << 20).expect("a pipe");
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| limit.take(2 << 20).expect("granted"));
            }
        });
        assert!(start.elapsed() >= Duration::from_millis(300), "4 MiB at 8 MiB/s took {:?}", start.elapsed());
    }

    #[test]
    fn no_limit_grants_at_once() {
        assert!(Limit::none().take(u64::MAX).is_ok());
    }
}
