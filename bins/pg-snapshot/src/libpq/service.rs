//! The service file: named sets of parameters.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tool::{Failure, Status};

use super::{Sources, wrong};

/// The parameters of the service that `PGSERVICE` names; none where it names none.
///
/// Looked for in `PGSERVICEFILE`, else `~/.pg_service.conf`; where that is not there or lacks it, in
/// `PGSYSCONFDIR/pg_service.conf` (Debian's default: /etc/postgresql-common).
///
/// # Errors
/// 78 where the service is in none of them, or a file cannot be understood.
pub fn parameters(sources: &Sources<'_>) -> Result<BTreeMap<String, String>, Failure> {
    let Some(service) = (sources.setting)("PGSERVICE") else { return Ok(BTreeMap::new()) };
    let named = (sources.setting)("PGSERVICEFILE").map(PathBuf::from);
    let own = named.clone().or_else(|| sources.home.as_ref().map(|home| home.join(".pg_service.conf")));
    let system = (sources.setting)("PGSYSCONFDIR").unwrap_or_else(|| "/etc/postgresql-common".into());
    let system = Path::new(&system).join("pg_service.conf");
    for path in own.iter().chain([&system]) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && named.as_ref() != Some(path) => continue,
            Err(e) => {
                let why = format!("cannot read the service file {}: {}", path.display(), tool::reason(&e));
                return Err(Failure::new(Status::Config, why));
            }
        };
        let found = parse(&text, &service)
            .map_err(|line| wrong(format!("line {line} of the service file {} is no NAME=VALUE", path.display())))?;
        if let Some(parameters) = found {
            return Ok(parameters);
        }
    }
    let places: Vec<_> = own.iter().chain([&system]).map(|path| path.display().to_string()).collect();
    Err(wrong(format!("no service {service:?} in {}", places.join(" or "))))
}

/// The parameters of one service in the text of a file, or the number of the line that makes no sense there.
fn parse(text: &str, service: &str) -> Result<Option<BTreeMap<String, String>>, usize> {
    let mut found: Option<BTreeMap<String, String>> = None;
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            if found.is_some() {
                break; // the first of that name counts
            }
            inside = name == service;
            if inside {
                found = Some(BTreeMap::new());
            }
        } else if let (true, Some(found)) = (inside, found.as_mut()) {
            let (name, value) = line.split_once('=').ok_or(index + 1)?;
            found.entry(name.trim().to_owned()).or_insert_with(|| value.trim().to_owned());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_service_is_read_and_the_others_are_not() {
        let text = "# mine\n[a]\nhost=h1\n\n[b]\nhost = h2\nport=1\nport=2\n[c]\nnonsense\n[b]\nuser=x\n";
        let b = parse(text, "b").expect("good").expect("there");
        assert_eq!((b["host"].as_str(), b["port"].as_str(), b.get("user")), ("h2", "1", None));
        assert_eq!(parse(text, "d"), Ok(None));
        assert_eq!(parse(text, "c"), Err(10));
    }
}
