//! select: which backup is meant.

use std::io::Write;

use jiff::Timestamp;
use pg::Lsn;
use repo::{Backup, Target};
use tool::{Failure, Status};

use crate::timeline::{Timeline, Timelines};
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
    /// One that can be recovered along this timeline: a number, or latest
    #[arg(long, value_name = "TLI")]
    timeline: Option<Timeline>,
    /// A name, or LATEST
    #[arg(value_name = "NAME", default_value = "LATEST")]
    name: String,
}

/// Prints the name; a named backup that ended after the target is 64, none that fits 66.
pub fn run(words: &Words) -> Result<(), Failure> {
    let target = words.target_time.map(Target::Time).or(words.target_lsn.map(Target::Lsn));
    let backup = if words.name == "LATEST" {
        latest(words, target)?
    } else {
        let backup = load::one(&words.repo.url, &words.name)?;
        let backups = [backup];
        let backup = repo::select(&backups, Some(&words.name), target).cloned();
        let backup = backup.map_err(|error| load::failure(&error))?;
        if let Some(why) = apart(words, &mut Timelines::of(&words.repo.url), &backup)? {
            let text = format!("backup {} cannot be recovered along that timeline: {why}", backup.name);
            return Err(Failure::new(Status::Usage, text).hint(OWN));
        }
        backup
    };
    if target.is_some() && backup.finish_time().is_none() && words.target_lsn.is_none() {
        tool::note(format_args!("backup {} does not say when it ended; its object's time had to do", backup.name));
    }
    let line = format!("{}\n", backup.name);
    tool::text_stdout()?.write_all(line.as_bytes()).map_err(|e| tool::cannot_write(&e))
}

/// What follows no other timeline than the backup's.
const OWN: &str = "The timeline 'current' is the backup's own; walpipe backup-list shows the others.";

/// The last one that fits the target, and lies on the history of the timeline.
fn latest(words: &Words, target: Option<Target>) -> Result<Backup, Failure> {
    let loaded = load::all(&words.repo.url)?;
    let mut timelines = Timelines::of(&words.repo.url);
    let mut backups = loaded.backups;
    let mut first = None;
    loop {
        let backup = match repo::select(&backups, None, target) {
            Ok(backup) => backup.clone(),
            Err(error) => {
                return Err(match first {
                    Some(why) => Failure::new(Status::NoInput, format!("no backup can be recovered: {why}")).hint(OWN),
                    None => none(&error, loaded.unreadable.len()),
                });
            }
        };
        let Some(why) = apart(words, &mut timelines, &backup)? else { return Ok(backup) };
        tool::note(format_args!("backup {} is passed over: {why}", backup.name));
        backups.retain(|other| other.name != backup.name);
        first.get_or_insert(why);
    }
}

fn apart(words: &Words, timelines: &mut Timelines<'_>, backup: &Backup) -> Result<Option<String>, Failure> {
    words.timeline.map_or(Ok(None), |timeline| timelines.apart(backup, timeline))
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
