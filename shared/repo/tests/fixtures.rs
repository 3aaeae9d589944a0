//! Every repository that a real wal-g wrote and that is at hand, read and written back.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use repo::{Metadata, Sentinel, key, to_text, visit_files};

/// The repositories under `../shared/fixtures` beside the project, or under `WALPIPE_FIXTURES`.
fn repositories() -> Vec<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures");
    let folder = std::env::var_os("WALPIPE_FIXTURES").map_or(beside, PathBuf::from);
    let Ok(entries) = fs::read_dir(&folder) else {
        assert!(std::env::var_os("WALPIPE_TEST_REQUIRE").is_none(), "no fixtures in {}", folder.display());
        eprintln!("SKIP: no fixtures in {}", folder.display());
        return vec![];
    };
    entries.map(|entry| entry.unwrap().path().join("repo")).filter(|repo| repo.is_dir()).collect()
}

/// The names and texts of the sentinels in a repository.
fn sentinels(repository: &Path) -> Vec<(repo::BackupName, String)> {
    let entries = fs::read_dir(repository.join(key::BACKUPS)).unwrap();
    let names = entries.filter_map(|entry| key::backup_of(entry.unwrap().file_name().to_str()?));
    names.map(|name| (name.clone(), fs::read_to_string(repository.join(key::sentinel(&name))).unwrap())).collect()
}

#[test]
fn what_v3_wrote_is_written_back_byte_for_byte() {
    for repository in repositories() {
        for (name, text) in sentinels(&repository) {
            let sentinel = Sentinel::read(text.as_bytes()).unwrap();
            if sentinel.version != 2 {
                continue; // v0.2.9: another form, with the list of files inside
            }
            assert_eq!(to_text(&sentinel), text, "{}", repository.display());
            let text = fs::read_to_string(repository.join(key::metadata(&name))).unwrap();
            let metadata = Metadata::read(text.as_bytes()).unwrap();
            assert_eq!(to_text(&metadata), text, "{}", repository.display());
            assert_eq!(to_text(&Metadata::of(&sentinel)), text, "{}", repository.display());
        }
    }
}

#[test]
fn every_list_of_files_is_read_wherever_it_stands() {
    for repository in repositories() {
        for (name, text) in sentinels(&repository) {
            let sentinel = Sentinel::read(text.as_bytes()).unwrap();
            let mut versions = 0;
            let mut each = |file: &str, _| versions += usize::from(file.ends_with("PG_VERSION"));
            let count = match fs::read(repository.join(key::files_metadata(&name))) {
                Ok(list) => visit_files(&list[..], &mut each),
                Err(_) => visit_files(text.as_bytes(), &mut each),
            };
            assert_eq!(count.unwrap() == 0, sentinel.files_metadata_disabled, "{} {name}", repository.display());
            assert!(versions > 0 || sentinel.files_metadata_disabled, "{} {name}", repository.display());
        }
    }
}
