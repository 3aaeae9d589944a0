//! pg-snapshot: one backup session of a running server, open exactly as long as a command runs.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

mod backup;
mod checks;
mod cluster;
mod command;
mod dialect;
mod duration;
mod libpq;
mod list;
mod run;
mod session;
mod snapshot;
mod walk;

/// Keep a backup of a running PostgreSQL server open while COMMAND runs, and hand COMMAND the list of its files
///
/// The server is found by libpq's variables (PGHOST, PGPORT, PGUSER, PGSERVICE, ~/.pgpass, ...).
#[derive(clap::Parser)]
pub struct Words {
    /// Write start.json, and at the end backup_label, tablespace_map and snapshot.json, into this directory
    #[arg(long, value_name = "DIR", required_unless_present = "switch_wal")]
    out: Option<PathBuf>,
    /// The server's data directory, which is compared with what the server says [default: what it says]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Do not demand that archive_mode is on
    #[arg(long)]
    no_archive_check: bool,
    /// Refuse to run beside another that was told the same TEXT and asks the same server
    #[arg(long, value_name = "TEXT", conflicts_with = "switch_wal")]
    alone: Option<String>,
    /// Only write a restore point, switch to the next WAL segment and print the name of the one that was closed
    #[arg(long, conflicts_with_all = ["out", "command"])]
    switch_wal: bool,
    /// COMMAND says itself why it fails: nothing is added to that, unless it could not
    #[arg(long, conflicts_with = "switch_wal")]
    command_speaks: bool,
    /// What to run; it reads the list on standard input and must end with 0
    #[arg(last = true, value_name = "COMMAND", required_unless_present = "switch_wal")]
    command: Vec<OsString>,
}

fn main() -> ExitCode {
    tool::run::<Words>(
        "pg-snapshot",
        |words| if words.switch_wal { run::switch_wal(&words) } else { run::backup(&words) },
    )
}
