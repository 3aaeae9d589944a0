//! s3get - write one object of S3 to standard output.

use std::process::ExitCode;

/// Write an object in S3 to standard output
#[derive(clap::Parser)]
struct Words {
    #[command(flatten)]
    verb: verbs::Get,
}

fn main() -> ExitCode {
    tool::run::<Words>("s3get", |words| verbs::get(&words.verb, &s3::open))
}
