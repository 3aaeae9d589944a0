//! fileget - write one object of a local directory to standard output.

use std::process::ExitCode;

/// Write a stored file to standard output
#[derive(clap::Parser)]
struct Words {
    #[command(flatten)]
    verb: verbs::Get,
    #[command(flatten)]
    root: file::Root,
}

fn main() -> ExitCode {
    tool::run::<Words>("fileget", |words| verbs::get(&words.verb, &|url| words.root.open(url)))
}
