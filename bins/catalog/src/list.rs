//! list: the complete backups, oldest first.

use std::io::Write;

use jiff::tz::TimeZone;
use tool::Failure;

use crate::load::Loaded;
use crate::record::{Record, unreadable};
use crate::{Repo, load};

mod table;
mod walg;

/// The words of `catalog list`.
#[derive(clap::Args)]
pub struct Words {
    #[command(flatten)]
    repo: Repo,
    /// Names only, one a line
    #[arg(long, conflicts_with_all = ["json", "pretty", "detail", "walg"])]
    names: bool,
    /// One JSON object a line; with --walg an array as wal-g prints it
    #[arg(long)]
    json: bool,
    /// A grid; with --walg --json over several lines
    #[arg(long)]
    pretty: bool,
    /// Times, host, directory, version and positions as well
    #[arg(long)]
    detail: bool,
    /// With --json, what wal-g prints (the tables always are)
    #[arg(long)]
    walg: bool,
}

/// Lists.
pub fn run(words: &Words) -> Result<(), Failure> {
    let repository = &words.repo.url;
    let loaded = load::all(repository)?;
    // wal-g prints the store's times as the store's library gives them: a directory's in the local zone.
    let zone = if repository.is_local() { TimeZone::system() } else { TimeZone::UTC };
    let mut text = match words {
        Words { names: true, .. } => loaded.backups.iter().map(|b| format!("{}\n", b.name)).collect(),
        Words { json: true, walg: false, .. } => lines(&loaded),
        Words { json: true, .. } => walg::json(&loaded.backups, words.detail, words.pretty, &zone),
        _ => walg::table(&loaded.backups, words.detail, words.pretty, &zone),
    };
    let own_json = words.json && !words.walg;
    if loaded.backups.is_empty() && !own_json && !words.names {
        tool::note("no backups found");
        if !words.json {
            text.clear();
        }
    }
    if !own_json {
        for backup in loaded.backups.iter().filter(|b| !b.sentinel.wal_checked) {
            tool::note(format_args!("backup {} was sealed without looking for its WAL", backup.name));
        }
    }
    tool::text_stdout()?.write_all(text.as_bytes()).map_err(|e| tool::cannot_write(&e))
}

fn lines(loaded: &Loaded) -> String {
    let mut text = String::new();
    for backup in &loaded.backups {
        text.push_str(&repo::to_text(&Record::of(backup)));
        text.push('\n');
    }
    for (name, why) in &loaded.unreadable {
        text.push_str(&repo::to_text(&unreadable(name.as_str(), why)));
        text.push('\n');
    }
    text
}
