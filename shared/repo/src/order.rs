//! The order of backups: by when they were taken, never by when their objects were last touched.

use std::cmp::Ordering;

use pg::Lsn;

use crate::Backup;

/// Sorts backups, oldest first; the names of those that only an object's time could place.
///
/// A start time counts first. A backup without one (v0.2.9 wrote none) goes by its timeline and
/// position before the first one that is further on; one that has no position either goes by the
/// time at which its sentinel was stored, which copying changes. Equal ones are told apart by what
/// comes next in that list, and in the end by their names. The result does not depend on the order
/// that is given.
pub fn sort(backups: &mut Vec<Backup>) -> Vec<String> {
    let (mut timed, rest): (Vec<_>, Vec<_>) = backups.drain(..).partition(|b| b.start_time().is_some());
    let (mut placed, mut lost): (Vec<_>, Vec<_>) = rest.into_iter().partition(|b| position(b).is_some());
    timed.sort_by(|a, b| a.start_time().cmp(&b.start_time()).then_with(|| by_position(a, b)));
    placed.sort_by(by_position);
    lost.sort_by(by_stored);
    let names = lost.iter().map(|b| b.name.to_string()).collect();
    let known = merge(timed, placed, |a, b| position(a).cmp(&position(b)));
    *backups = merge(known, lost, |a, b| a.stored.cmp(&b.stored));
    names
}

fn position(backup: &Backup) -> Option<(u32, Lsn)> {
    Some((backup.timeline()?, backup.start_lsn()?))
}

fn by_position(a: &Backup, b: &Backup) -> Ordering {
    position(a).cmp(&position(b)).then_with(|| by_stored(a, b))
}

fn by_stored(a: &Backup, b: &Backup) -> Ordering {
    a.stored.cmp(&b.stored).then_with(|| a.name.cmp(&b.name))
}

/// Keeps the order of `main` and of `others`, and puts each of `others` before the first of `main`
/// that is greater.
fn merge(main: Vec<Backup>, others: Vec<Backup>, compare: impl Fn(&Backup, &Backup) -> Ordering) -> Vec<Backup> {
    let mut merged = Vec::with_capacity(main.len() + others.len());
    let mut others = others.into_iter().peekable();
    for next in main {
        while let Some(other) = others.next_if(|other| compare(other, &next).is_lt()) {
            merged.push(other);
        }
        merged.push(next);
    }
    merged.extend(others);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::tests::backup;
    use jiff::Timestamp;

    fn sorted(mut backups: Vec<Backup>) -> Vec<String> {
        let lost = sort(&mut backups);
        backups
            .iter()
            .map(|b| format!("{}{}", b.name, if lost.contains(&b.name.to_string()) { "?" } else { "" }))
            .collect()
    }

    #[test]
    fn the_start_counts_and_not_the_time_of_the_object() {
        let (mut first, mut second) = (backup(1, 0x300_0028, Some(1)), backup(1, 0x700_0028, Some(2)));
        first.stored = Timestamp::from_second(2_000_000_000).ok(); // copied later
        second.stored = Timestamp::from_second(1_900_000_000).ok();
        let names = [first.name.to_string(), second.name.to_string()];
        assert_eq!(sorted(vec![second, first]), names);
    }

    #[test]
    fn a_backup_of_an_abandoned_timeline_stands_where_it_was_taken() {
        let (one, two, late) =
            (backup(1, 0x900_0028, Some(5)), backup(2, 0x500_0028, Some(6)), backup(1, 0xA00_0028, Some(7)));
        let names = [&one, &two, &late].map(|b| b.name.to_string());
        assert_eq!(sorted(vec![late, one, two]), names);
    }

    #[test]
    fn backups_without_times_go_by_position_between_those_that_have_them() {
        let (old, older) = (backup(1, 0x500_0028, None), backup(1, 0x200_0028, None));
        let (first, second) = (backup(1, 0x300_0028, Some(1)), backup(1, 0x700_0028, Some(2)));
        let names = [&older, &first, &old, &second].map(|b| b.name.to_string());
        assert_eq!(sorted(vec![second, old, first, older]), names);
    }

    #[test]
    fn only_a_backup_without_time_and_position_goes_by_its_object_and_that_is_said() {
        let mut bare = backup(1, 0x900_0028, None);
        bare.sentinel.lsn = None;
        bare.stored = Timestamp::from_second(1_800_000_000 + 3600).ok();
        let (mut first, mut second) = (backup(1, 0x300_0028, Some(0)), backup(1, 0x700_0028, Some(2)));
        first.stored = first.finish_time();
        second.stored = second.finish_time();
        let names = [first.name.to_string(), format!("{}?", bare.name), second.name.to_string()];
        assert_eq!(sorted(vec![bare, second, first]), names);
    }

    #[test]
    fn the_result_does_not_depend_on_the_order_given() {
        let mut pool = Vec::new();
        for (index, (timeline, lsn)) in [(1, 3), (1, 7), (2, 5), (2, 9), (1, 8), (3, 2)].into_iter().enumerate() {
            let hour = [Some(4), None, Some(2), None, Some(9), Some(2)][index];
            let mut one = backup(timeline, lsn << 24 | 0x28, hour);
            if index == 3 {
                one.sentinel.lsn = None;
            }
            one.stored = Timestamp::from_second(1_800_000_000 + 7000 * index as i64).ok();
            pool.push(one);
        }
        let expected = sorted(pool.clone());
        let mut state = 1_u64;
        for _ in 0..500 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            pool.swap((state >> 33) as usize % 6, (state >> 43) as usize % 6);
            assert_eq!(sorted(pool.clone()), expected);
        }
    }
}
