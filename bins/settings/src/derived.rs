//! What follows from several settings, for scripts, which decide nothing themselves.

use codec::Method;
use tool::{Failure, Settings, Status};

/// The names that [`derived`] knows.
pub(crate) const NAMES: [&str; 8] =
    ["repository", "scheme", "method", "extension", "direct", "jobs", "share", "restore_jobs"];

/// The value of a name in small letters; `None` for a name that is none of these.
pub(crate) fn derived(settings: &Settings, name: &str) -> Option<Result<String, Failure>> {
    Some(match name {
        "repository" => repository(settings),
        "scheme" => scheme(settings).map(str::to_owned),
        "method" => method(settings).map(|m| m.to_string()),
        "extension" => method(settings).map(|m| m.extension().to_owned()),
        "direct" => direct(settings).map(|yes| if yes { "yes" } else { "no" }.to_owned()),
        "jobs" => jobs(settings).map(|n| n.to_string()),
        "share" => share(settings).map(|n| n.to_string()),
        "restore_jobs" => restore_jobs(settings).map(|n| n.to_string()),
        _ => return None,
    })
}

/// The settings that name a repository, in the order in which wal-g looks for one (spec/layout.md §9).
const PLACES: [&str; 4] = ["WALG_S3_PREFIX", "WALE_S3_PREFIX", "WALG_FILE_PREFIX", "WALE_FILE_PREFIX"];

/// The setting that names the repository, and its value.
fn place(settings: &Settings) -> Result<(&'static str, String), Failure> {
    PLACES.into_iter().find_map(|name| settings.get(name).map(|value| (name, value))).ok_or_else(|| {
        let file = tool::variable("WALG_CONFIG_PATH").unwrap_or_else(|| "~/.walg.json".to_owned());
        Failure::new(Status::Config, "no repository is set").hint(format!(
            "Set WALG_FILE_PREFIX to a directory, or WALG_S3_PREFIX to s3://bucket/path, in the environment or in {file}.",
        ))
    })
}

/// What the programs of the repository's store are called by.
fn scheme(settings: &Settings) -> Result<&'static str, Failure> {
    place(settings).map(|(name, _)| if name.contains("S3") { "s3" } else { "file" })
}

/// The repository's URL without a slash at its end.
fn repository(settings: &Settings) -> Result<String, Failure> {
    let (name, value) = place(settings)?;
    let root = if name.contains("S3") { bucket(name, &value)? } else { directory(name, &value)? };
    let below = settings.get("WALG_STORAGE_PREFIX").unwrap_or_default();
    Ok(match below.trim_matches('/') {
        "" if root.is_empty() => "/".to_owned(),
        "" => root,
        below => format!("{root}/{below}"),
    })
}

/// `s3://bucket` or `s3://bucket/path`.
fn bucket(name: &str, value: &str) -> Result<String, Failure> {
    let rest = value.strip_prefix("s3://").map(|rest| rest.trim_matches('/')).filter(|rest| !rest.is_empty());
    let odd = |part: &str| part.is_empty() || part == "." || part == "..";
    match rest {
        Some(rest) if !value.starts_with("s3:///") && !rest.split('/').any(odd) => Ok(format!("s3://{rest}")),
        _ => {
            Err(Failure::new(Status::Config, format!("the setting {name} is {value:?}, which is not s3://bucket/path")))
        }
    }
}

/// A directory: `WALG_FILE_PREFIX` is `/dir` or `file://localhost/dir`.
fn directory(name: &str, value: &str) -> Result<String, Failure> {
    let path = match value.strip_prefix("file://") {
        Some(rest) if rest.starts_with("localhost/") => &rest["localhost".len()..],
        Some(rest) if rest.starts_with('/') => {
            tool::warn(format_args!("{name}={value} is not understood by wal-g; write {rest}"));
            rest
        }
        _ => value,
    };
    if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(Failure::new(
            Status::Config,
            format!("the setting {name} is {value:?}, which is no absolute path"),
        ));
    }
    Ok(path.trim_end_matches('/').to_owned())
}

fn method(settings: &Settings) -> Result<Method, Failure> {
    let name = settings.get("WALG_COMPRESSION_METHOD").unwrap_or_default();
    match Method::named(&name) {
        Some(method) if Method::BUILT.contains(&method) => Ok(method),
        Some(method) => {
            Err(Failure::new(Status::Config, format!("WALG_COMPRESSION_METHOD={method} is not supported yet"))
                .hint("There are lz4 and none."))
        }
        None => Err(Failure::new(Status::Config, format!("WALG_COMPRESSION_METHOD={name} is no compression method"))
            .hint("There are lz4 and none.")),
    }
}

/// Whether objects are files that a tool may open by itself: local ones, without a limit to keep.
fn direct(settings: &Settings) -> Result<bool, Failure> {
    let unlimited =
        tool::variable("WALPIPE_TURBO").is_some() || settings.number::<u64>("WALG_NETWORK_RATE_LIMIT")?.is_none();
    Ok(unlimited && scheme(settings)? == "file")
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn at_least_one(settings: &Settings, name: &str) -> Result<Option<usize>, Failure> {
    match settings.number::<usize>(name)? {
        Some(0) => Err(Failure::new(Status::Config, format!("the setting {name} is 0; it must be 1 at least"))),
        number => Ok(number),
    }
}

/// Uploads in flight over a whole command.
fn flights(settings: &Settings) -> Result<usize, Failure> {
    Ok(at_least_one(settings, "WALG_UPLOAD_CONCURRENCY")?.unwrap_or(16))
}

/// What each of the parts made side by side may have in flight of those.
fn share(settings: &Settings) -> Result<usize, Failure> {
    Ok((flights(settings)? / jobs(settings)?).max(1))
}

/// Parts made side by side.
fn jobs(settings: &Settings) -> Result<usize, Failure> {
    let flight = flights(settings)?;
    Ok(at_least_one(settings, "WALG_UPLOAD_DISK_CONCURRENCY")?.unwrap_or_else(|| cores().min(4)).min(flight))
}

/// Parts restored side by side: more than two a core only cost memory.
fn restore_jobs(settings: &Settings) -> Result<usize, Failure> {
    let asked = at_least_one(settings, "WALG_DOWNLOAD_CONCURRENCY")?.unwrap_or(10);
    Ok(asked.min(2 * cores()))
}
