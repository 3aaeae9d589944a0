//! What follows from several settings, for scripts, which decide nothing themselves.

use codec::Method;
use tool::{Failure, Settings, Status};

/// The names that [`derived`] knows.
pub(crate) const NAMES: [&str; 7] = ["repository", "scheme", "method", "extension", "direct", "jobs", "restore_jobs"];

/// The value of a name in small letters; `None` for a name that is none of these.
pub(crate) fn derived(settings: &Settings, name: &str) -> Option<Result<String, Failure>> {
    Some(match name {
        "repository" => repository(settings),
        "scheme" => Ok("file".to_owned()),
        "method" => method(settings).map(|m| m.to_string()),
        "extension" => method(settings).map(|m| m.extension().to_owned()),
        "direct" => direct(settings).map(|yes| if yes { "yes" } else { "no" }.to_owned()),
        "jobs" => jobs(settings).map(|n| n.to_string()),
        "restore_jobs" => restore_jobs(settings).map(|n| n.to_string()),
        _ => return None,
    })
}

/// The repository's URL without a slash at its end: `WALG_FILE_PREFIX` is `/dir` or `file://localhost/dir`.
fn repository(settings: &Settings) -> Result<String, Failure> {
    let found = ["WALG_FILE_PREFIX", "WALE_FILE_PREFIX"].into_iter().find_map(|n| settings.get(n).map(|v| (n, v)));
    let Some((name, value)) = found else {
        return Err(Failure::new(Status::Config, "no repository is set")
            .hint("Set WALG_FILE_PREFIX to a directory, in the environment or in ~/.walg.json."));
    };
    let path = match value.strip_prefix("file://") {
        Some(rest) if rest.starts_with("localhost/") => &rest["localhost".len()..],
        Some(rest) if rest.starts_with('/') => {
            tool::warn(format_args!("{name}={value} is not understood by wal-g; write {rest}"));
            rest
        }
        _ => value.as_str(),
    };
    if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(Failure::new(
            Status::Config,
            format!("the setting {name} is {value:?}, which is no absolute path"),
        ));
    }
    let root = path.trim_end_matches('/');
    let below = settings.get("WALG_STORAGE_PREFIX").unwrap_or_default();
    Ok(match below.trim_matches('/') {
        "" if root.is_empty() => "/".to_owned(),
        "" => root.to_owned(),
        below => format!("{root}/{below}"),
    })
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
    Ok(tool::variable("WALPIPE_TURBO").is_some() || settings.number::<u64>("WALG_NETWORK_RATE_LIMIT")?.is_none())
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

/// Parts made side by side.
fn jobs(settings: &Settings) -> Result<usize, Failure> {
    let flight = at_least_one(settings, "WALG_UPLOAD_CONCURRENCY")?.unwrap_or(16);
    Ok(at_least_one(settings, "WALG_UPLOAD_DISK_CONCURRENCY")?.unwrap_or_else(|| cores().min(4)).min(flight))
}

/// Parts restored side by side: more than two a core only cost memory.
fn restore_jobs(settings: &Settings) -> Result<usize, Failure> {
    let asked = at_least_one(settings, "WALG_DOWNLOAD_CONCURRENCY")?.unwrap_or(10);
    Ok(asked.min(2 * cores()))
}
