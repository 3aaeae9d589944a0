//! The backups of a repository, read through the store's programs.

use std::collections::BTreeMap;
use std::io::BufReader;

use jiff::Timestamp;
use repo::{Backup, BackupName, Metadata, Sentinel, key};
use tool::{Failure, Status};

use crate::programs::Repository;

/// Sentinels beyond this many bytes have a list of files inside and are read as they come.
const SMALL: u64 = 1 << 20;

/// How many backups one `get --each` is asked for.
const BATCH: usize = 1000;

/// What a repository has.
pub struct Loaded {
    /// The complete backups, oldest first.
    pub backups: Vec<Backup>,
    /// Sentinels that cannot be read: name, and why.
    pub unreadable: Vec<(BackupName, String)>,
}

/// Reads all complete backups. What cannot be read is said, and hides nothing else.
pub fn all(repository: &Repository) -> Result<Loaded, Failure> {
    let loaded = load(repository, "")?;
    for (name, why) in &loaded.unreadable {
        tool::warn(format_args!("backup {name} cannot be read and is left out: {why}"));
    }
    Ok(loaded)
}

/// Reads the backup of that name; 66 with the nearest names if there is none, 65 if it cannot be read.
pub fn one(repository: &Repository, name: &str) -> Result<Backup, Failure> {
    let loaded = match name.parse::<BackupName>() {
        Ok(name) => load(repository, &format!("{name}{}", key::SENTINEL))?,
        Err(_) => load(repository, "")?, // LATEST, or a name that cannot be
    };
    if let Some((name, why)) = loaded.unreadable.iter().find(|(unreadable, _)| unreadable.as_str() == name) {
        return Err(Failure::new(Status::Data, format!("cannot use backup {name}: {why}")));
    }
    if let Ok(backup) = repo::select(&loaded.backups, Some(name), None) {
        return Ok(backup.clone());
    }
    let loaded = all(repository)?;
    repo::select(&loaded.backups, Some(name), None).cloned().map_err(|error| failure(&error))
}

/// Reads the backups whose sentinels' names begin with `prefix`.
fn load(repository: &Repository, prefix: &str) -> Result<Loaded, Failure> {
    let mut sentinels: BTreeMap<BackupName, (u64, Option<Timestamp>)> = BTreeMap::new();
    repository.ls(key::BACKUPS, &["--delimiter", "/", "--prefix", prefix], &mut |entry| {
        match key::backup_of(&entry.name) {
            Some(name) => drop(sentinels.insert(name, (entry.size, entry.stored()))),
            None if entry.name.ends_with(key::SENTINEL) => {
                tool::warn(format_args!("{:?} is no name of a sentinel and is left out", entry.name));
            }
            None => {} // a backup's folder, or what is no business of ours
        }
        true
    })?;
    let mut loaded = Loaded { backups: Vec::new(), unreadable: Vec::new() };
    let names: Vec<&BackupName> = sentinels.keys().collect();
    for batch in names.chunks(BATCH) {
        let texts = texts(repository, batch, |name| sentinels[name].0 <= SMALL)?;
        for name in batch {
            let (size, stored) = sentinels[*name];
            let sentinel = match texts.get(&format!("{name}{}", key::SENTINEL)) {
                Some(text) => Sentinel::read(text.as_bytes()),
                None if size > SMALL => large(repository, name)?,
                None => continue, // it was deleted meanwhile
            };
            match sentinel {
                Ok(sentinel) => {
                    let metadata = metadata(name, texts.get(&format!("{name}/metadata.json")));
                    loaded.backups.push(Backup { name: (*name).clone(), stored, sentinel, metadata });
                }
                Err(error) => loaded.unreadable.push(((*name).clone(), error.to_string())),
            }
        }
    }
    let by_object = repo::sort(&mut loaded.backups);
    if !by_object.is_empty() && loaded.backups.len() > 1 {
        let names = by_object.join(", ");
        tool::note(format_args!("only the time of its object says when this was taken: {names}"));
    }
    Ok(loaded)
}

/// Sentinels, where `wanted`, and metadata, by their names below the folder of backups; those that are there.
fn texts(
    repository: &Repository,
    names: &[&BackupName],
    wanted: impl Fn(&BackupName) -> bool,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut keys = Vec::new();
    for name in names {
        if wanted(name) {
            keys.push(format!("{name}{}", key::SENTINEL));
        }
        keys.push(format!("{name}/metadata.json"));
    }
    let mut texts = BTreeMap::new();
    repository.each(key::BACKUPS, &keys, &mut |small| {
        if let Some(text) = small.text {
            texts.insert(small.key, text);
        }
        Ok(())
    })?;
    Ok(texts)
}

/// A sentinel with a list of files inside, which is passed over without being kept.
fn large(repository: &Repository, name: &BackupName) -> Result<Result<Sentinel, repo::Error>, Failure> {
    repository.get(&key::sentinel(name), |reader| Ok(Sentinel::read(BufReader::with_capacity(64 << 10, reader))))
}

fn metadata(name: &BackupName, text: Option<&String>) -> Option<Metadata> {
    match Metadata::read(text?.as_bytes()) {
        Ok(metadata) => Some(metadata),
        Err(error) => {
            tool::warn(format_args!("backup {name} goes by its sentinel alone: {error}"));
            None
        }
    }
}

/// What is wrong with a repository, or what was asked of it, as a failure.
pub fn failure(error: &repo::Error) -> Failure {
    match error {
        repo::Error::Corrupt(text) => Failure::new(Status::Data, text),
        repo::Error::Malformed(text) | repo::Error::TooOld(text) => Failure::new(Status::Usage, text),
        repo::Error::Absent { text, near } => match near.as_slice() {
            [] => Failure::new(Status::NoInput, text),
            near => Failure::new(Status::NoInput, text).hint(format!("There is {}.", near.join(", "))),
        },
    }
}
