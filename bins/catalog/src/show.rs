//! show: all of one backup, its parts, its list of files.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use repo::{Backup, key};
use serde_json::Value;
use tool::{Failure, Status};

use crate::programs::Repository;
use crate::record::Record;
use crate::{Repo, load};

/// The words of `catalog show`.
#[derive(clap::Args)]
pub struct Words {
    #[command(flatten)]
    repo: Repo,
    /// Print these values only, one a line, in this order; what is not known is an empty line
    #[arg(long, value_name = "KEY", conflicts_with_all = ["parts", "files", "spec", "restore"])]
    field: Vec<String>,
    /// Print the object names of its parts, one a line, backup_label next to last, pg_control last
    #[arg(long, conflicts_with_all = ["files", "spec", "restore"])]
    parts: bool,
    /// Write its list of files here; where it has none, no file is made and that is said
    #[arg(long, value_name = "FILE")]
    files: Option<PathBuf>,
    /// Write its tablespaces here, as they stand in its sentinel; where it has none, no file is made
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// It is to be restored: refuse (78) what this version cannot; print server_version_num and uncompressed_size
    #[arg(long)]
    restore: bool,
    /// Its name, or LATEST
    #[arg(value_name = "NAME")]
    name: String,
}

/// Shows.
pub fn run(words: &Words) -> Result<(), Failure> {
    let repository = &words.repo.url;
    let backup = load::one(repository, &words.name)?;
    if words.parts {
        return print(&parts(repository, &backup)?);
    }
    if words.restore && backup.base().is_some() {
        let text = format!(
            "cannot restore {}: it is a delta backup, on top of {}",
            backup.name,
            backup.base().unwrap_or_default()
        );
        return Err(Failure::new(Status::Config, text).hint("This version restores full backups only."));
    }
    if let Some(path) = &words.files {
        files(repository, &backup, path)?;
    }
    if let (Some(path), Some(spec)) = (&words.spec, &backup.sentinel.spec) {
        let written = fs::write(path, repo::to_text(spec));
        written.map_err(|e| Failure::io(format_args!("cannot write {}", path.display()), &e))?;
    }
    if words.restore {
        let metadata = backup.metadata();
        return print(&[metadata.pg_version.to_string(), metadata.uncompressed_size.to_string()]);
    }
    match (words.files.is_some() || words.spec.is_some(), words.field.is_empty()) {
        (true, _) => Ok(()),
        (false, true) => print(&[repo::to_text(&Record::of(&backup))]),
        (false, false) => print(&fields(&backup, &words.field)?),
    }
}

fn fields(backup: &Backup, keys: &[String]) -> Result<Vec<String>, Failure> {
    let record = serde_json::to_value(Record::of(backup)).unwrap_or_default();
    let value = |key: &String| match record.get(key) {
        None => Err(Failure::new(Status::Usage, format!("a backup has no '{key}'"))
            .hint("The keys are those that catalog show prints without --field.")),
        Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Ok(repo::to_text(other)),
    };
    keys.iter().map(value).collect()
}

/// Every object in the folder of parts: a reader must take all of them, whatever their numbers.
fn parts(repository: &Repository, backup: &Backup) -> Result<Vec<String>, Failure> {
    let (mut names, mut stored, mut list) = (Vec::new(), 0, !backup.sentinel.files_metadata_disabled);
    repository.ls(&key::parts(&backup.name), &["--delimiter", "/"], &mut |entry| {
        if !entry.name.ends_with('/') {
            stored += entry.size;
            names.push(entry.name);
        }
        true
    })?;
    let corrupt = |text: String| Failure::new(Status::Data, format!("backup {} {text}", backup.name));
    if names.is_empty() {
        return Err(corrupt("has no parts in the store".to_owned()));
    }
    let wal_e = backup.base().is_none() && backup.name.is_wal_e();
    if !wal_e && !names.iter().any(|name| key::is_control_part(name)) {
        return Err(corrupt("has no part with pg_control".to_owned()));
    }
    // wal-g counts what it stored a little low at times, never high.
    let said = backup.metadata().compressed_size;
    if stored < said {
        list = list && !repository.lacks(&key::files_metadata(&backup.name))?;
        let text = format!("has {stored} bytes of parts in the store, and had {said} when it was made");
        if !list {
            return Err(corrupt(text));
        }
        tool::warn(format_args!("backup {} {text}; its list of files will tell", backup.name));
    }
    names.sort_by_key(|name| (key::is_control_part(name), key::is_label_part(name)));
    Ok(names)
}

fn print(lines: &[String]) -> Result<(), Failure> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    tool::text_stdout()?.write_all(text.as_bytes()).map_err(|e| tool::cannot_write(&e))
}

/// Fetches files_metadata.json, or an old sentinel with the list inside, and checks it.
fn files(repository: &Repository, backup: &Backup, path: &Path) -> Result<(), Failure> {
    let none = |why: &str| tool::note(format_args!("backup {} has no list of its files{why}", backup.name));
    let side = key::files_metadata(&backup.name);
    let object = if backup.sentinel.files_metadata_disabled {
        none(", on purpose");
        return Ok(());
    } else if !repository.lacks(&side)? {
        side
    } else {
        key::sentinel(&backup.name)
    };
    let said = |e: &io::Error| Failure::io(format_args!("cannot write {}", path.display()), e);
    let fetched = repository.get(&object, |reader| {
        let mut file = BufWriter::with_capacity(256 << 10, File::create(path).map_err(|e| said(&e))?);
        io::copy(reader, &mut file).map_err(|e| said(&e))?;
        file.flush().map_err(|e| said(&e))
    });
    let counted = fetched.and_then(|()| {
        let file = File::open(path).map_err(|e| said(&e))?;
        let count = repo::visit_files(BufReader::with_capacity(256 << 10, file), &mut |_, _| {});
        count.map_err(|e| Failure::new(Status::Data, format!("cannot use {}: {e}", repository.at(&object))))
    });
    match counted {
        Ok(1..) => return Ok(()),
        Ok(0) if backup.base().is_none() => none(""),
        _ => {}
    }
    let _ = fs::remove_file(path);
    match counted? {
        0 if backup.base().is_some() => {
            let text = format!("backup {} is a delta and has no list of its files: it cannot be restored", backup.name);
            Err(Failure::new(Status::Data, text))
        }
        _ => Ok(()),
    }
}
