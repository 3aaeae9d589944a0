//! Where tablespaces go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use repo::Spec;
use tool::{Failure, Status};

use super::Words;

/// The directory of each tablespace by OID, and whether `tablespace_map` is to be left out because they moved.
///
/// # Errors
/// 64 for a word that fits no tablespace; 65 for a spec that is none.
pub(super) fn locations(words: &Words) -> Result<(BTreeMap<String, PathBuf>, bool), Failure> {
    let mut locations = BTreeMap::new();
    let mut was = BTreeMap::new();
    if let Some(path) = &words.spec {
        for tablespace in read(path)?.tablespaces {
            was.insert(tablespace.name.clone(), tablespace.location.clone());
            locations.insert(tablespace.name, PathBuf::from(tablespace.location));
        }
    }
    if let Some(path) = &words.restore_spec {
        for tablespace in read(path)?.tablespaces {
            if words.spec.is_some() && !was.contains_key(&tablespace.name) {
                let why = format!(
                    "{} places the tablespace {}, which the backup does not have",
                    path.display(),
                    tablespace.name
                );
                return Err(Failure::new(Status::Usage, why));
            }
            locations.insert(tablespace.name, PathBuf::from(tablespace.location));
        }
    }
    for word in &words.tablespaces {
        let Some((old, new)) = word.split_once('=') else {
            return Err(Failure::new(Status::Usage, format!("--tablespace takes OLD=NEW, not {word}")));
        };
        let oid = was
            .iter()
            .find(|(oid, location)| *oid == old || location.trim_end_matches('/') == old.trim_end_matches('/'));
        let Some((oid, _)) = oid else {
            let have: Vec<_> = was.iter().map(|(oid, location)| format!("{location} ({oid})")).collect();
            let have = if have.is_empty() { "none".to_owned() } else { have.join(", ") };
            return Err(Failure::new(Status::Usage, format!("the backup has no tablespace {old}"))
                .hint(format!("It has {have}.")));
        };
        locations.insert(oid.clone(), PathBuf::from(new));
    }
    check(&locations, &words.directory)?;
    Ok((locations, words.restore_spec.is_some() || !words.tablespaces.is_empty()))
}

fn read(path: &Path) -> Result<Spec, Failure> {
    let text = std::fs::read(path).map_err(|e| Failure::io(format_args!("cannot read {}", path.display()), &e))?;
    Spec::parse(&text).map_err(|e| Failure::new(Status::Data, format!("{}: {e}", path.display())))
}

/// Names must be OIDs; places absolute, apart from each other and from the destination.
fn check(locations: &BTreeMap<String, PathBuf>, directory: &Path) -> Result<(), Failure> {
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    for (oid, path) in locations {
        if oid.is_empty() || !oid.bytes().all(|c| c.is_ascii_digit()) {
            return Err(Failure::new(Status::Data, format!("{oid:?} is no tablespace's OID")));
        }
        if !path.is_absolute() {
            return Err(Failure::new(
                Status::Usage,
                format!("the tablespace {oid} goes to {}, which is not absolute", path.display()),
            ));
        }
        let others = locations.iter().filter(|(other, _)| *other != oid).map(|(_, path)| path);
        if let Some(other) = others.chain([&directory]).find(|other| path.starts_with(other) || other.starts_with(path))
        {
            let why = format!("the tablespace {oid} goes to {}, which overlaps {}", path.display(), other.display());
            return Err(Failure::new(Status::Usage, why));
        }
    }
    Ok(())
}
