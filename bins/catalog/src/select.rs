//! select: which backup is meant.

use std::io::Write;

use jiff::Timestamp;
use pg::Lsn;
use repo::Target;
use tool::{Failure, Status};

use crate::{Repo, load};

/// The words of `catalog select`.
#[derive(clap::Args)]
pub struct Words {
    #[command(flatten)]
    repo: Repo,
    /// The newest that had ended by this time (RFC 3339 with a zone, as 2026-11-23T02:08:38Z)
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "target_lsn")]
    target_time: Option<Timestamp>,
    /// The newest that ends at or before this position (as 16/B374D848)
    #[arg(long, value_name = "LSN")]
    target_lsn: Option<Lsn>,
    /// A name, or LATEST
    #[arg(value_name = "NAME", default_value = "LATEST")]
    name: String,
}

/// Prints the name; a named backup that ended after the target is 64, none that fits 66.
pub fn run(words: &Words) -> Result<(), Failure> {
    let target = words.target_time.map(Target::Time).or(words.target_lsn.map(Target::Lsn));
    let backup = if words.name == "LATEST" {
        let loaded = load::all(&words.repo.url)?;
        repo::select(&loaded.backups, None, target).cloned().map_err(|error| none(&error, loaded.unreadable.len()))?
    } else {
        let backup = load::one(&words.repo.url, &words.name)?;
        let backups = [backup];
        repo::select(&backups, Some(&words.name), target).cloned().map_err(|error| load::failure(&error))?
    };
    if target.is_some() && backup.finish_time().is_none() && words.target_lsn.is_none() {
        tool::note(format_args!("backup {} does not say when it ended; its object's time had to do", backup.name));
    }
    let line = format!("{}\n", backup.name);
    tool::text_stdout()?.write_all(line.as_bytes()).map_err(|e| tool::cannot_write(&e))
}

/// None among those that can be read, which is another thing than none at all.
fn none(error: &repo::Error, unreadable: usize) -> Failure {
    match (error, unreadable) {
        (repo::Error::Absent { near, .. }, 1..) if near.is_empty() => {
            Failure::new(Status::Data, "there is no backup that can be read")
        }
        _ => load::failure(error),
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "no time with a zone, as 2026-11-23T02:08:38Z or 2026-11-23T03:08:38+01:00".to_owned())
}
