//! catalog - list, choose, seal and tell apart the backups of a repository.

use std::process::ExitCode;

mod identity;
mod list;
mod load;
mod programs;
mod record;
mod seal;
mod select;
mod show;
mod snapshot;
mod timeline;
mod wal;

/// List, choose, seal and tell apart the backups of a repository
#[derive(clap::Parser)]
struct Words {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the complete backups, oldest first
    List(list::Words),
    /// Say all of one backup; or name its parts, or fetch its list of files
    Show(show::Words),
    /// Print the name of the backup that is meant
    Select(select::Words),
    /// Make a backup visible whose parts are all stored: its lists, and last its sentinel
    Seal(seal::Words),
    /// Wait until WAL segments are in the repository
    Await(wal::Words),
    /// Say whether TEXT is JSON that a backup can keep
    CheckJson {
        /// What --user-data would get
        #[arg(value_name = "TEXT", value_parser = seal::json)]
        text: serde_json::Value,
    },
    /// Say whose repository it is, or compare that with a cluster
    Identity(identity::Words),
}

/// The word that all of them take.
#[derive(clap::Args)]
struct Repo {
    /// The repository: a directory, or a URL whose scheme names the store's programs
    #[arg(long = "repo", value_name = "URL")]
    url: programs::Repository,
}

fn main() -> ExitCode {
    tool::run::<Words>("catalog", |words| match words.command {
        Command::List(words) => list::run(&words),
        Command::Show(words) => show::run(&words),
        Command::Select(words) => select::run(&words),
        Command::Seal(words) => seal::run(&words),
        Command::Await(words) => wal::run(&words),
        Command::CheckJson { text } => {
            drop(text); // its reading is the check
            Ok(())
        }
        Command::Identity(words) => identity::run(&words),
    })
}
