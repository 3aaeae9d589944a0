//! Where things lie in a repository: keys, relative to the storage prefix.

use crate::BackupName;

/// The folder of backups, with its slash.
pub const BACKUPS: &str = "basebackups_005/";

/// The folder of WAL files, with its slash.
pub const WAL: &str = "wal_005/";

/// What the name of a sentinel object ends with, after the backup's name.
pub const SENTINEL: &str = "_backup_stop_sentinel.json";

/// Where the identity of the repository's cluster is written down (contracts.md, "Identity").
pub const IDENTITY: &str = "walpipe/FFFFFFFFFFFFFFFFFFFFFFFF.json";

/// The sentinel: there when the backup is complete, and only then.
pub fn sentinel(name: &BackupName) -> String {
    format!("{BACKUPS}{name}{SENTINEL}")
}

/// The backup's own folder, with its slash.
pub fn folder(name: &BackupName) -> String {
    format!("{BACKUPS}{name}/")
}

/// Times, positions, sizes and permanence.
pub fn metadata(name: &BackupName) -> String {
    format!("{BACKUPS}{name}/metadata.json")
}

/// The list of files.
pub fn files_metadata(name: &BackupName) -> String {
    format!("{BACKUPS}{name}/files_metadata.json")
}

/// The folder of the parts, with its slash.
pub fn parts(name: &BackupName) -> String {
    format!("{BACKUPS}{name}/tar_partitions/")
}

/// The backup whose sentinel the object `file` in the folder of backups is; `None` for any other
/// object, also for one whose rest is no possible name.
///
/// As WAL-G: cut at the first `_backup`.
pub fn backup_of(file: &str) -> Option<BackupName> {
    file.strip_suffix(SENTINEL)?;
    file.split("_backup").next()?.parse().ok()
}

/// Whether a part holds `global/pg_control`, by its object name: `pg_control.tar`, with or without
/// an extension or a dangling dot.
pub fn is_control_part(part: &str) -> bool {
    is_tar_called(part, "pg_control")
}

/// Whether a part holds backup_label and tablespace_map, by its object name (since v3.0.5).
pub fn is_label_part(part: &str) -> bool {
    is_tar_called(part, "backup_label")
}

fn is_tar_called(part: &str, what: &str) -> bool {
    let tar = format!("{what}.tar");
    part.match_indices(&tar).any(|(at, _)| matches!(part.as_bytes().get(at + tar.len()), None | Some(b'.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_backup() {
        let name: BackupName = "base_000000010000000000000003".parse().unwrap();
        assert_eq!(sentinel(&name), "basebackups_005/base_000000010000000000000003_backup_stop_sentinel.json");
        assert_eq!(parts(&name), "basebackups_005/base_000000010000000000000003/tar_partitions/");
        assert_eq!(backup_of("base_000000010000000000000003_backup_stop_sentinel.json"), Some(name));
    }

    #[test]
    fn what_is_no_sentinel_names_no_backup() {
        for file in [
            "",
            "base_0/",
            "x.json",
            "_backup_stop_sentinel.json",
            "base_1_backup_stop_sentinel.json.tmp",
            "\n_backup_stop_sentinel.json",
        ] {
            assert_eq!(backup_of(file), None, "{file:?}");
        }
    }

    #[test]
    fn the_part_with_pg_control_is_known_under_all_its_names() {
        for part in ["pg_control.tar", "pg_control.tar.", "pg_control.tar.lz4", "pg_control.tar.zst"] {
            assert!(is_control_part(part), "{part}");
        }
        for part in ["pg_control.tarx", "part_001.tar.lz4", "pg_control", "backup_label.tar.br"] {
            assert!(!is_control_part(part), "{part}");
        }
        assert!(is_label_part("backup_label.tar.br"));
    }
}
