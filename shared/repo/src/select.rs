//! Which backup is meant.

use jiff::Timestamp;
use pg::Lsn;

use crate::{Backup, Error};

/// How far a restore is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// To that time.
    Time(Timestamp),
    /// To that position in the WAL.
    Lsn(Lsn),
}

/// Chooses among backups in their order (see [`crate::sort`]), oldest first.
///
/// By name; or the newest for `None` and `LATEST`, with a target the newest that ends at or before
/// it. [`Error::Absent`] where there is none, [`Error::TooOld`] where the named one ends after the
/// target.
pub fn select<'a>(backups: &'a [Backup], name: Option<&str>, target: Option<Target>) -> Result<&'a Backup, Error> {
    let reaches = |backup: &Backup| match target {
        None => true,
        Some(Target::Time(time)) => backup.usable_from().is_some_and(|usable| usable <= time),
        Some(Target::Lsn(lsn)) => backup.finish_lsn().is_some_and(|end| end <= lsn),
    };
    let Some(name) = name.filter(|name| *name != "LATEST") else {
        return backups.iter().rev().find(|b| reaches(b)).ok_or_else(|| none_fits(backups, target));
    };
    let found = backups
        .iter()
        .find(|b| b.name.as_str() == name)
        .ok_or_else(|| Error::Absent { text: format!("there is no backup '{name}'"), near: nearest(backups, name) })?;
    if reaches(found) { Ok(found) } else { Err(Error::TooOld(too_old(found, target))) }
}

fn none_fits(backups: &[Backup], target: Option<Target>) -> Error {
    let Some(target) = target.filter(|_| !backups.is_empty()) else {
        return Error::Absent { text: "there is no backup".to_owned(), near: vec![] };
    };
    let text = match target {
        Target::Time(time) => format!("no backup ended at or before {time}"),
        Target::Lsn(lsn) => format!("no backup ended at or before {lsn}"),
    };
    Error::Absent { text, near: backups.iter().map(describe).take(3).collect() }
}

fn too_old(backup: &Backup, target: Option<Target>) -> String {
    let end = match target {
        Some(Target::Lsn(_)) => backup.finish_lsn().map(|lsn| lsn.to_string()),
        _ => backup.usable_from().map(|time| time.to_string()),
    };
    let target = match target {
        Some(Target::Lsn(lsn)) => lsn.to_string(),
        Some(Target::Time(time)) => time.to_string(),
        None => String::new(),
    };
    match end {
        Some(end) => format!("target {target} is older than backup {}, which ended at {end}", backup.name),
        None => format!("backup {} does not say when it ended, so it cannot be restored to {target}", backup.name),
    }
}

/// A backup in a hint: its name and from where on it can be used.
fn describe(backup: &Backup) -> String {
    let name = &backup.name;
    match (backup.usable_from(), backup.finish_lsn()) {
        (Some(time), Some(lsn)) => format!("{name} (ended {time} at {lsn})"),
        (Some(time), None) => format!("{name} (ended {time})"),
        (None, Some(lsn)) => format!("{name} (ended at {lsn})"),
        (None, None) => name.to_string(),
    }
}

/// The three names that are most like `wanted`, best first.
fn nearest(backups: &[Backup], wanted: &str) -> Vec<String> {
    let mut names: Vec<_> = backups.iter().map(|b| (distance(wanted, b.name.as_str()), b.name.to_string())).collect();
    names.sort();
    names.into_iter().map(|(_, name)| name).take(3).collect()
}

/// How many letters to change, drop or add (Levenshtein) between the first 100 of each.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(100).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(100).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::tests::backup;

    fn three() -> Vec<Backup> {
        vec![backup(1, 0x300_0028, Some(1)), backup(1, 0x700_0028, Some(2)), backup(2, 0x500_0028, Some(3))]
    }

    fn chosen(name: Option<&str>, target: Option<Target>) -> Result<String, Error> {
        select(&three(), name, target).map(|b| b.name.to_string())
    }

    fn at(hour: i64, second: i64) -> Option<Target> {
        Timestamp::from_second(1_800_000_000 + 3600 * hour + second).ok().map(Target::Time)
    }

    #[test]
    fn latest_is_the_last_of_the_list() {
        for name in [None, Some("LATEST")] {
            assert_eq!(chosen(name, None), Ok("base_000000020000000000000005".to_owned()));
        }
        assert!(matches!(select(&[], None, at(1, 0)), Err(Error::Absent { near, .. }) if near.is_empty()));
    }

    #[test]
    fn a_time_chooses_the_last_backup_that_had_ended_by_then() {
        let name = |hour, second| chosen(Some("LATEST"), at(hour, second)).ok();
        assert_eq!(name(1, 59), None);
        assert_eq!(name(1, 60).as_deref(), Some("base_000000010000000000000003"), "its very end counts");
        assert_eq!(name(2, 59).as_deref(), Some("base_000000010000000000000003"), "the second runs still");
        assert_eq!(name(9, 0).as_deref(), Some("base_000000020000000000000005"));
        assert!(matches!(chosen(None, at(0, 0)), Err(Error::Absent { near, .. }) if near.len() == 3));
    }

    #[test]
    fn a_position_chooses_the_last_backup_that_ends_before_it() {
        assert_eq!(chosen(None, Some(Target::Lsn(Lsn(0x300_0128)))), Ok("base_000000010000000000000003".to_owned()));
        assert!(matches!(chosen(None, Some(Target::Lsn(Lsn(0x300_0127)))), Err(Error::Absent { .. })));
    }

    #[test]
    fn a_named_backup_must_have_ended_before_the_target() {
        let name = Some("base_000000010000000000000007");
        assert!(chosen(name, at(2, 60)).is_ok());
        assert!(matches!(chosen(name, at(2, 59)), Err(Error::TooOld(_))));
        assert!(matches!(chosen(name, Some(Target::Lsn(Lsn(0x700_0028)))), Err(Error::TooOld(_))));
    }

    #[test]
    fn a_name_with_a_slip_is_answered_with_the_nearest_ones() {
        let Err(Error::Absent { near, .. }) = chosen(Some("base_00000001000000000000007"), None) else { panic!() };
        assert_eq!(near[0], "base_000000010000000000000007");
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
