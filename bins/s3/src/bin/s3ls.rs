//! s3ls - list objects in S3.

use std::process::ExitCode;

/// List objects in S3 in the order of their names' bytes
#[derive(clap::Parser)]
struct Words {
    #[command(flatten)]
    verb: verbs::Ls,
    /// List uploads that were begun and not finished, as {"name","upload_id","initiated"}
    #[arg(long, conflicts_with_all = ["names", "prefix", "delimiter", "json", "nul"])]
    unfinished: bool,
}

fn main() -> ExitCode {
    tool::run::<Words>("s3ls", |words| match words.unfinished {
        true => s3::unfinished(&words.verb.url),
        false => verbs::ls(&words.verb, &s3::open),
    })
}
