//! tarpart - files into tar parts of bounded size, and tar parts back into files.

use std::process::ExitCode;

mod create;
mod extract;
mod header;

/// Make tar parts of a list of files, or files of tar parts
#[derive(clap::Parser)]
struct Words {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Create(create::Words),
    Extract(extract::Words),
}

fn main() -> ExitCode {
    tool::run::<Words>("tarpart", |words| match &words.verb {
        Verb::Create(words) => create::create(words),
        Verb::Extract(words) => extract::extract(words),
    })
}
