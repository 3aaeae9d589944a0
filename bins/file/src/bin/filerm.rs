//! filerm - remove objects from a local directory.

use std::process::ExitCode;

/// Remove the stored files whose names are on standard input; absent is fine
#[derive(clap::Parser)]
struct Words {
    #[command(flatten)]
    verb: verbs::Rm,
    #[command(flatten)]
    root: file::Root,
}

fn main() -> ExitCode {
    tool::run::<Words>("filerm", |words| verbs::rm(&words.verb, &|url| words.root.open(url)))
}
