//! identity: whose repository it is, written down or found out.

use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use jiff::Timestamp;
use pg::ControlFile;
use pg::wal::{LONG_HEADER, SegmentHeader};
use repo::{Identity, Known, key};
use serde_json::json;
use tool::{Child, Failure, Status};

use crate::programs::Repository;
use crate::{Repo, load};

mod adopt;

/// The words of `catalog identity`.
#[derive(clap::Args)]
pub struct Words {
    #[command(flatten)]
    repo: Repo,
    /// Compare with global/pg_control in this data directory; 78 if it is another cluster
    #[arg(long, value_name = "DIR")]
    control: Option<PathBuf>,
    /// Write it down in the repository, where it is not yet
    #[arg(long, requires = "control")]
    add: bool,
    /// Write the cluster down beside those that are known, as after pg_upgrade
    #[arg(long, requires = "control", conflicts_with = "add")]
    adopt: bool,
}

/// Whose it is, and how that is known.
struct Found {
    identity: Identity,
    source: Source,
}

/// What says whose it is.
enum Source {
    /// The object that was written for that: its text.
    Object(String),
    /// The sentinel of that backup.
    Sentinel(String),
    /// The header of that WAL object.
    Segment(String),
}

impl Source {
    /// As a word, and the name that goes with it.
    fn parts(&self) -> (&'static str, Option<&str>) {
        match self {
            Source::Object(_) => ("object", None),
            Source::Sentinel(name) => ("sentinel", Some(name)),
            Source::Segment(name) => ("segment", Some(name)),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Object(_) => f.write_str(key::IDENTITY),
            Source::Sentinel(name) => write!(f, "backup {name}"),
            Source::Segment(name) => write!(f, "segment {name}"),
        }
    }
}

/// Prints one JSON line for each cluster that the repository belongs to, and nothing where that is
/// not known, which is said; compares, and writes down, as the words say.
pub fn run(words: &Words) -> Result<(), Failure> {
    let repository = &words.repo.url;
    let control = words.control.as_deref().map(control).transpose()?;
    let mut found = find(repository)?;
    if let (Some(control), Some(dir)) = (&control, &words.control) {
        if words.adopt {
            found = Some(adopt::adopt(repository, found, dir, control)?);
        }
        if let Some(found) = &found {
            compare(repository, found, dir, control)?;
        }
        let written_down = found.as_ref().is_some_and(|found| matches!(found.source, Source::Object(_)));
        if words.add && !written_down {
            let added = add(repository, control)?;
            compare(repository, &added, dir, control)?;
            found = Some(added);
        }
    }
    let Some(found) = found else {
        tool::note(format_args!("nothing in {} says yet whose repository it is", repository.at("")));
        return Ok(());
    };
    let (source, name) = found.source.parts();
    let line = |known: &Known| {
        let line = json!({
            "system_identifier": known.system_identifier,
            "segment_size": Some(known.segment_size).filter(|&size| size != 0),
            "server_version_num": Some(known.server_version_num).filter(|&version| version != 0),
            "since": known.since.map(repo::time::to_text),
            "create_only": known.create_only,
            "source": source,
            "name": name,
        });
        format!("{line}\n")
    };
    let text: String = found.identity.clusters.iter().map(line).collect();
    tool::text_stdout()?.write_all(text.as_bytes()).map_err(|e| tool::cannot_write(&e))
}

/// The object, else the newest backup that says so, else a stored segment.
fn find(repository: &Repository) -> Result<Option<Found>, Failure> {
    if let Some(found) = object(repository)? {
        return Ok(Some(found));
    }
    let loaded = load::all(repository)?;
    let newest = loaded.backups.iter().rev().find_map(|b| Some((b, b.system_identifier()?)));
    if let Some((backup, system_identifier)) = newest {
        let server_version_num = backup.metadata().pg_version;
        let known = Known {
            system_identifier,
            segment_size: 0,
            server_version_num,
            since: backup.start_time(),
            create_only: None,
        };
        return Ok(Some(Found {
            identity: Identity { clusters: vec![known] },
            source: Source::Sentinel(backup.name.to_string()),
        }));
    }
    segment(repository)
}

fn object(repository: &Repository) -> Result<Option<Found>, Failure> {
    let Some(text) = repository.small(key::IDENTITY)? else { return Ok(None) };
    let identity = Identity::read(text.as_bytes()).map_err(|error| unreadable(repository, &error))?;
    Ok(Some(Found { identity, source: Source::Object(text) }))
}

fn unreadable(repository: &Repository, error: &repo::Error) -> Failure {
    Failure::new(Status::Data, format!("cannot use {}: {error}", repository.at(key::IDENTITY)))
}

/// By the header of the first segment in the archive, if one can be decoded.
fn segment(repository: &Repository) -> Result<Option<Found>, Failure> {
    let mut object = None;
    repository.ls(key::WAL, &[], &mut |entry| {
        let name = codec::Method::content_name(&entry.name);
        if name.parse::<pg::SegmentName>().is_ok() {
            object = Some(entry.name);
        }
        object.is_none()
    })?;
    let Some(object) = object else { return Ok(None) };
    let Some(header) = first_page(repository, &object) else { return Ok(None) };
    let known = Known {
        system_identifier: header.system_identifier,
        segment_size: header.segment_size.bytes(),
        server_version_num: header.major.version_num(),
        since: None,
        create_only: None,
    };
    Ok(Some(Found { identity: Identity { clusters: vec![known] }, source: Source::Segment(object) }))
}

/// The beginning of a stored segment; `None` where it cannot be decoded here, as one that is encrypted.
fn first_page(repository: &Repository, object: &str) -> Option<SegmentHeader> {
    let mut command = repository.decoded_wal(object).ok()?;
    let mut child = Child::start(command.stderr(Stdio::null())).ok()?;
    let mut header = [0; LONG_HEADER];
    child.stdout()?.read_exact(&mut header).ok()?;
    SegmentHeader::parse(&header).ok()
}

fn control(dir: &Path) -> Result<ControlFile, Failure> {
    let shown = dir.join("global/pg_control");
    ControlFile::read(dir).map_err(|e| Failure::io(format_args!("cannot use {}", shown.display()), &e))
}

/// 78 where the cluster is none of the repository's.
fn compare(repository: &Repository, found: &Found, dir: &Path, control: &ControlFile) -> Result<(), Failure> {
    if found.identity.has(control.system_identifier) {
        return Ok(());
    }
    let text = format!(
        "{} belongs to the cluster with system identifier {} (by {}); that of {} is {}",
        repository.at(""),
        numbers(&found.identity, "or"),
        found.source,
        dir.display(),
        control.system_identifier
    );
    Err(Failure::new(Status::Config, text)
        .hint("Use another prefix for another cluster; if it is the same after pg_upgrade: walpipe adopt."))
}

/// The clusters' system identifiers, with that word between them.
fn numbers(identity: &Identity, word: &str) -> String {
    let numbers: Vec<_> = identity.clusters.iter().map(|known| known.system_identifier.to_string()).collect();
    numbers.join(&format!(" {word} "))
}

/// What is written down of a cluster.
fn known(repository: &Repository, control: &ControlFile) -> Result<Known, Failure> {
    Ok(Known {
        system_identifier: control.system_identifier,
        segment_size: control.segment_size.bytes(),
        server_version_num: control.major.map_or(0, pg::Major::version_num),
        since: Some(Timestamp::now()),
        create_only: repository.probe()?,
    })
}

/// Writes the object. If somebody else was quicker, theirs holds.
fn add(repository: &Repository, control: &ControlFile) -> Result<Found, Failure> {
    let identity = Identity { clusters: vec![known(repository, control)?] };
    let text = repo::to_text(&identity);
    match repository.put(key::IDENTITY, &mut text.as_bytes(), text.len() as u64, true) {
        Ok(()) => Ok(Found { identity, source: Source::Object(text) }),
        Err(failure) if failure.status().code() == Status::Exists.code() => object(repository)?.ok_or(failure),
        Err(failure) => Err(failure),
    }
}
