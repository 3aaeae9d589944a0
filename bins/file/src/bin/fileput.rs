//! fileput - store one object in a local directory.

use std::process::ExitCode;

/// Store standard input, or what PRODUCER writes, as a file: durable, atomic, all or nothing
#[derive(clap::Parser)]
struct Words {
    #[command(flatten)]
    verb: verbs::Put,
    #[command(flatten)]
    root: file::Root,
}

fn main() -> ExitCode {
    tool::run::<Words>("fileput", |words| verbs::put(&words.verb, &|url| words.root.open(url)))
}
