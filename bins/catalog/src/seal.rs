//! seal: the commit of a backup.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::PathBuf;

use repo::{Metadata, Sentinel, Spec, Tablespace, key};
use serde_json::Value;
use tool::{Failure, Status};

use crate::programs::Repository;
use crate::snapshot::Snapshot;
use crate::{Repo, wal};

mod parts;

use parts::Parts;

/// The words of `catalog seal`.
#[derive(clap::Args)]
pub struct Words {
    #[command(flatten)]
    repo: Repo,
    /// Where pg-snapshot and tarpart left snapshot.json and files_metadata.json
    #[arg(long, value_name = "DIR")]
    snapshot: PathBuf,
    /// What tarpart printed: a line for each part that was stored, and at the end a summary
    #[arg(long, value_name = "FILE")]
    parts: PathBuf,
    /// Never to be deleted by a policy
    #[arg(long)]
    permanent: bool,
    /// Keep this with the backup
    #[arg(long, value_name = "JSON", value_parser = json)]
    user_data: Option<Value>,
    /// Do not look for its WAL in the repository; that is written down in the sentinel and shown by lists
    #[arg(long)]
    no_archive_check: bool,
}

/// Puts files_metadata.json, metadata.json and, last and create-only, the sentinel; prints the name.
///
/// Nothing is put before everything was looked at: 65 for a part that is not as it should be, 73
/// for what is there already, 75 for WAL that is not there yet.
pub fn run(words: &Words) -> Result<(), Failure> {
    let repository = &words.repo.url;
    let snapshot = Snapshot::read(&words.snapshot)?;
    let parts = Parts::read(&words.parts)?;
    look(repository, &snapshot, &parts)?;
    if !words.no_archive_check {
        let mut missing: BTreeSet<String> = snapshot.segments().iter().map(ToString::to_string).collect();
        wal::look(repository, &mut missing)?;
        if !missing.is_empty() {
            let text = format!("{} not in the repository", wal::described(&missing));
            return Err(Failure::new(Status::Busy, text).hint("catalog await waits for them."));
        }
    }
    let list = words.snapshot.join("files_metadata.json");
    let list = if list.exists() { Some(open_list(&list)?) } else { None };
    let sentinel = sentinel(words, &snapshot, &parts, list.is_some());
    if let Some((mut file, size)) = list {
        repository.put(&key::files_metadata(&snapshot.backup_name), &mut file, size, false)?;
    }
    let text = repo::to_text(&Metadata::of(&sentinel));
    repository.put(&key::metadata(&snapshot.backup_name), &mut text.as_bytes(), text.len() as u64, false)?;
    let text = repo::to_text(&sentinel);
    repository.put(&key::sentinel(&snapshot.backup_name), &mut text.as_bytes(), text.len() as u64, true)?;
    let line = format!("{}\n", snapshot.backup_name);
    tool::text_stdout()?.write_all(line.as_bytes()).map_err(|e| tool::cannot_write(&e))
}

fn sentinel(words: &Words, snapshot: &Snapshot, parts: &Parts, has_list: bool) -> Sentinel {
    let tablespaces: Vec<_> = snapshot.tablespaces.iter().map(|t| Tablespace::new(&t.oid, &t.location)).collect();
    let base_prefix = snapshot.data_directory.trim_end_matches('/').to_owned();
    Sentinel {
        lsn: Some(snapshot.start_lsn),
        pg_version: snapshot.server_version_num,
        finish_lsn: Some(snapshot.stop_lsn),
        system_identifier: Some(snapshot.system_identifier),
        uncompressed_size: parts.bytes,
        compressed_size: parts.sizes.values().sum(),
        data_catalog_size: snapshot.catalog_size,
        spec: Some(Spec { base_prefix, tablespaces }).filter(|spec| !spec.tablespaces.is_empty()),
        user_data: words.user_data.clone(),
        files_metadata_disabled: !has_list,
        start_time: Some(snapshot.start_time),
        finish_time: Some(snapshot.finish_time),
        hostname: snapshot.hostname.clone(),
        data_dir: snapshot.data_directory.clone(),
        is_permanent: words.permanent,
        wal_checked: !words.no_archive_check,
        ..Sentinel::default()
    }
}

/// Whether the store has exactly these parts, whole, and no backup of that name yet.
fn look(repository: &Repository, snapshot: &Snapshot, parts: &Parts) -> Result<(), Failure> {
    let name = &snapshot.backup_name;
    if !repository.lacks(&key::sentinel(name))? {
        return Err(Failure::new(Status::Exists, format!("there is a backup {name} already")));
    }
    let mut stored = BTreeMap::new();
    repository.ls(&key::parts(name), &[], &mut |entry| {
        stored.insert(entry.name, entry.size);
        true
    })?;
    let corrupt = |text: String| Failure::new(Status::Data, format!("backup {name} is not sealed: {text}"));
    for (part, size) in &parts.sizes {
        match stored.remove(part) {
            Some(found) if found == *size => {}
            Some(found) => return Err(corrupt(format!("{part} has {found} bytes in the store, {size} were put"))),
            None => return Err(corrupt(format!("{part} is not in the store"))),
        }
    }
    for (what, is_it) in
        [("pg_control", key::is_control_part as fn(&str) -> bool), ("backup_label", key::is_label_part)]
    {
        if !parts.sizes.keys().any(|part| is_it(part)) {
            return Err(corrupt(format!("it has no part with {what}")));
        }
    }
    match stored.first_key_value() {
        None => Ok(()),
        Some((part, _)) => {
            let text = format!("backup {name} is not sealed: {part} is in the store and is no part of it");
            Err(Failure::new(Status::Exists, text).hint(format!(
                "A restore would take it as well. Remove what an earlier run left below {}.",
                repository.at(&key::folder(name))
            )))
        }
    }
}

/// The list of files, looked through once, and its size.
fn open_list(path: &std::path::Path) -> Result<(File, u64), Failure> {
    let said = |e: &std::io::Error| Failure::io(format_args!("cannot read {}", path.display()), e);
    let open = || File::open(path).map_err(|e| said(&e));
    let count = repo::visit_files(BufReader::with_capacity(256 << 10, open()?), &mut |_, _| {});
    match count {
        Ok(1..) => {}
        Ok(0) => return Err(Failure::new(Status::Data, format!("{} lists no files", path.display()))),
        Err(error) => return Err(Failure::new(Status::Data, format!("cannot use {}: {error}", path.display()))),
    }
    let file = open()?;
    let size = file.metadata().map_err(|e| said(&e))?.len();
    Ok((file, size))
}

/// JSON that the user wants to keep with a backup.
pub fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|e| format!("no JSON: {e}"))
}
