//! s3put - store one object in S3.

use std::process::ExitCode;

/// Store standard input, or what PRODUCER writes, as an object in S3: all or nothing
#[derive(clap::Parser)]
struct Words {
    #[command(flatten)]
    verb: verbs::Put,
}

fn main() -> ExitCode {
    tool::run::<Words>("s3put", |words| verbs::put(&words.verb, &s3::open))
}
