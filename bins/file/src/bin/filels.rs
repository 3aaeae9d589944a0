//! filels - list objects in a local directory.

use std::process::ExitCode;

/// List stored files in the order of their names' bytes
#[derive(clap::Parser)]
struct Words {
    #[command(flatten)]
    verb: verbs::Ls,
    #[command(flatten)]
    root: file::Root,
}

fn main() -> ExitCode {
    tool::run::<Words>("filels", |words| verbs::ls(&words.verb, &|url| words.root.open(url)))
}
