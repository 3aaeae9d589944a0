//! s3rm - remove objects from S3.

use std::process::ExitCode;

/// Remove the objects in S3 whose names are on standard input; absent is fine
#[derive(clap::Parser)]
struct Words {
    #[command(flatten)]
    verb: verbs::Rm,
    /// Instead abort uploads that were begun and not finished, and print which, as {"name","upload_id","initiated"}
    #[arg(long, requires = "older_than", conflicts_with = "nul")]
    unfinished: bool,
    /// Only those begun at least so long ago: 90s, 15m, 24h, 7d
    #[arg(long, value_name = "TIME", requires = "unfinished")]
    older_than: Option<s3::Age>,
}

fn main() -> ExitCode {
    tool::run::<Words>("s3rm", |words| match (words.unfinished, words.older_than) {
        (true, Some(age)) => s3::abort(&words.verb.url, age),
        _ => verbs::rm(&words.verb, &s3::open),
    })
}
