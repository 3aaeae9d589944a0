//! What must be there after a restore, and what of it has come.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tool::{Failure, Status};

/// The list of a backup's files; 128 bits of each name, so that a million of them stay small.
pub(crate) struct Wanted {
    path: PathBuf,
    hashers: (RandomState, RandomState),
    seen: Mutex<HashMap<u128, bool>>,
}

/// How a listed name and a member's are compared: as text, without the slash at the beginning or the end that some
/// have, and with what is not UTF-8 replaced, as it is in JSON.
fn form(name: &[u8]) -> String {
    String::from_utf8_lossy(name).trim_matches('/').to_owned()
}

impl Wanted {
    /// The list in files_metadata.json, or in a sentinel of old; `None` if it lists nothing.
    ///
    /// # Errors
    /// 65 where it is no such list; 78 where it is that of a delta.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let shown = path.display();
        let file = File::open(path).map_err(|e| Failure::io(format_args!("cannot read {shown}"), &e))?;
        let hashers = (RandomState::new(), RandomState::new());
        let mut seen = HashMap::new();
        let mut delta = None;
        let count = repo::visit_files(BufReader::with_capacity(tool::CHUNK, file), &mut |name, flags| {
            if flags.incremented || flags.skipped {
                delta.get_or_insert_with(|| name.to_owned());
            }
            seen.insert(hash(&hashers, &form(name.as_bytes())), false);
        });
        let count = count.map_err(|e| Failure::new(Status::Data, format!("{shown}: {e}")))?;
        if let Some(name) = delta {
            let why = format!("{shown} is the list of a delta backup ({name} is in the backup below it)");
            return Err(Failure::new(Status::Config, why).hint("This version restores full backups only."));
        }
        Ok((count > 0).then(|| Self { path: path.to_owned(), hashers, seen: Mutex::new(seen) }))
    }

    /// Notes that `name` has come; whether it is wanted at all.
    pub(crate) fn came(&self, name: &[u8]) -> bool {
        let hash = hash(&self.hashers, &form(name));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get_mut(&hash).map(|seen| *seen = true).is_some()
    }

    /// Demands that everything has come.
    ///
    /// # Errors
    /// 65, with the first names that are missing and their number.
    pub(crate) fn all_came(&self) -> Result<(), Failure> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = seen.values().filter(|seen| !**seen).count();
        if missing == 0 {
            return Ok(());
        }
        let mut names = Vec::new();
        if let Ok(file) = File::open(&self.path) {
            let _ = repo::visit_files(BufReader::new(file), &mut |name, _| {
                if names.len() < 3 && seen.get(&hash(&self.hashers, &form(name.as_bytes()))) == Some(&false) {
                    names.push(name.to_owned());
                }
            });
        }
        let more = if missing > names.len() { ", …" } else { "" };
        let why = format!("{missing} files that the backup lists are in none of its parts: {}{more}", names.join(", "));
        Err(Failure::new(Status::Data, why))
    }
}

fn hash(hashers: &(RandomState, RandomState), name: &str) -> u128 {
    u128::from(hashers.0.hash_one(name)) << 64 | u128::from(hashers.1.hash_one(name))
}
