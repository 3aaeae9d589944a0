//! adopt: a cluster that pg_upgrade made goes on in the repository of the one before it.

use std::path::Path;

use pg::ControlFile;
use repo::{Identity, key};
use tool::{Failure, Status};

use super::{Found, Source, known, numbers, object, unreadable};
use crate::programs::Repository;

/// Writes the cluster down beside those of `found`; where it is there already nothing changes, which is said.
///
/// The object is read, added to and replaced: whoever does the same at this moment may win, which is seen.
///
/// # Errors
/// 66 where nothing says whose the repository is, 75 where somebody else was quicker, 78 for a cluster
/// that pg_upgrade cannot have made of one that is known, and the store's.
pub fn adopt(
    repository: &Repository,
    found: Option<Found>,
    dir: &Path,
    control: &ControlFile,
) -> Result<Found, Failure> {
    let shown = repository.at("");
    let Some(found) = found else {
        let text = format!("nothing in {shown} says yet whose repository it is");
        return Err(Failure::new(Status::NoInput, text)
            .hint("Is it the right one?  In an empty repository the first backup-push says whose it is."));
    };
    let number = control.system_identifier;
    if found.identity.has(number) {
        tool::note(format_args!("{shown} is already that of the cluster with system identifier {number}"));
        return Ok(found);
    }
    fits(repository, &found, dir, control)?;
    let (text, create_only) = match &found.source {
        Source::Object(text) => (text.clone(), false),
        Source::Sentinel(_) | Source::Segment(_) => (repo::to_text(&found.identity), true),
    };
    let text = Identity::text_with(&text, &known(repository, control)?).map_err(|e| unreadable(repository, &e))?;
    repository.put(key::IDENTITY, &mut text.as_bytes(), text.len() as u64, create_only)?;
    match object(repository)? {
        Some(now) if now.identity.has(number) => {
            tool::note(format_args!(
                "{shown} is now also that of the cluster with system identifier {number}, beside {}",
                numbers(&found.identity, "and")
            ));
            Ok(now)
        }
        _ => Err(Failure::new(Status::Busy, format!("somebody else has changed {}", repository.at(key::IDENTITY)))
            .hint("Nothing is lost: try again.")),
    }
}

/// 78 for a cluster whose WAL cannot stand beside what is stored: its segments have another size, or names that
/// are taken.
///
/// pg_upgrade keeps the size, and begins (`pg_resetwal -l`) behind all segments of the old cluster.
fn fits(repository: &Repository, found: &Found, dir: &Path, control: &ControlFile) -> Result<(), Failure> {
    let refuse = |why: String| {
        let text = format!("the cluster in {} cannot go on in {}: {why}", dir.display(), repository.at(""));
        Err(Failure::new(Status::Config, text)
            .hint("pg_upgrade does not make such a cluster: give it a prefix of its own."))
    };
    let size = control.segment_size;
    let sizes = || found.identity.clusters.iter().map(|known| known.segment_size).filter(|&size| size != 0);
    if let Some(other) = sizes().find(|&other| other != size.bytes()) {
        return refuse(format!("its WAL segments have {} bytes, those that are stored {other}", size.bytes()));
    }
    let first = size.name(control.timeline, control.redo).to_string();
    let mut taken = None;
    repository.ls(key::WAL, &["--prefix", &first[..8]], &mut |entry| {
        let name = codec::Method::content_name(&entry.name);
        if name >= first.as_str() && name.parse::<pg::SegmentName>().is_ok() {
            taken = Some(name.to_owned());
        }
        taken.is_none()
    })?;
    match taken {
        Some(name) => refuse(format!("its WAL goes on at {first}, and {name} is stored already")),
        None => Ok(()),
    }
}
