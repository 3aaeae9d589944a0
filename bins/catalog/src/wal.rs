//! await: WAL segments that have to be in the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pg::WalName;
use repo::key;
use tool::{Failure, Status};

use crate::Repo;
use crate::programs::Repository;
use crate::snapshot::Snapshot;

/// The words of `catalog await`.
#[derive(clap::Args)]
pub struct Words {
    #[command(flatten)]
    repo: Repo,
    /// How long to wait; 0 looks once (default: WALPIPE_ARCHIVE_TIMEOUT, else 300)
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Wait for the segments from start to stop in DIR/snapshot.json
    #[arg(long, value_name = "DIR", conflicts_with = "names", required_unless_present = "names")]
    snapshot: Option<PathBuf>,
    /// Wait for these WAL files
    #[arg(value_name = "NAME")]
    names: Vec<WalName>,
}

/// The pauses between looks: the first, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// Waits; 75 with the names that did not come.
pub fn run(words: &Words) -> Result<(), Failure> {
    let repository = &words.repo.url;
    let (names, on_standby) = match &words.snapshot {
        Some(dir) => {
            let snapshot = Snapshot::read(dir)?;
            (snapshot.segments().into_iter().map(WalName::Segment).collect(), snapshot.in_recovery)
        }
        None => (words.names.clone(), false),
    };
    let seconds = match words.timeout {
        Some(seconds) => seconds,
        None => tool::settings()?.number("WALPIPE_ARCHIVE_TIMEOUT")?.unwrap_or(300),
    };
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut missing: BTreeSet<String> = names.iter().map(WalName::to_string).collect();
    let mut pause = PAUSES[0];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match look(repository, &mut missing) {
            Ok(()) if missing.is_empty() => return Ok(()),
            Ok(()) if left.is_zero() => return Err(late(&missing, seconds, on_standby)),
            Ok(()) => {}
            // A store that is away for a minute must not cost a backup of many hours.
            Err(failure) if matches!(failure.status().code(), 69 | 75) && !left.is_zero() => pause = PAUSES[1],
            Err(failure) => return Err(failure),
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 3 / 2).min(PAUSES[1]);
    }
}

/// Takes those names off that are in the repository, compressed in any way.
///
/// One listing for each 4 GiB of WAL, of what the names in there have in common.
pub fn look(repository: &Repository, missing: &mut BTreeSet<String>) -> Result<(), Failure> {
    let mut groups: BTreeMap<String, String> = BTreeMap::new(); // timeline and log → what all names begin with
    for name in missing.iter() {
        let group = name.chars().take(16).collect();
        let common = groups.entry(group).or_insert_with(|| name.clone());
        let same = common.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
        common.truncate(same);
    }
    for prefix in groups.values() {
        repository.ls(key::WAL, &["--prefix", prefix], &mut |entry| {
            if entry.size > 0 {
                missing.remove(codec::Method::content_name(&entry.name));
            }
            !missing.is_empty()
        })?;
    }
    Ok(())
}

/// What did not come, and what may be the reason.
fn late(missing: &BTreeSet<String>, seconds: u64, on_standby: bool) -> Failure {
    let hint = if on_standby {
        "A standby cannot switch WAL: SELECT pg_switch_wal() on the primary, and look whether it archives."
    } else {
        "Is archive_command 'walpipe wal-push %p', and does it end with 0?  The server's log and pg_stat_archiver say."
    };
    let text = format!("{} not in the repository after {seconds} s", described(missing));
    Failure::new(Status::Busy, text).hint(hint)
}

/// `WAL segment X is`, or `WAL files X, Y, Z and 4 more are`.
pub fn described(missing: &BTreeSet<String>) -> String {
    let first: Vec<&str> = missing.iter().map(String::as_str).take(3).collect();
    match (missing.len(), missing.len() - first.len()) {
        (1, _) => format!("WAL file {} is", first[0]),
        (_, 0) => format!("WAL files {} are", first.join(", ")),
        (_, more) => format!("WAL files {} and {more} more are", first.join(", ")),
    }
}
