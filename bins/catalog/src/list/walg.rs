//! Backups as `wal-g backup-list` prints them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use repo::{Backup, Metadata, first_segment};
use serde::Serialize;

use super::table::{Table, columns, grid};

/// What stands where a name has no segment: such backups sort last.
const NO_SEGMENT: &str = "ZZZZZZZZZZZZZZZZZZZZZZZZ";

#[derive(Serialize)]
struct Row<'a> {
    backup_name: &'a str,
    time: String,
    wal_file_name: &'a str,
    storage_name: &'static str,
    #[serde(flatten)]
    detail: Option<Metadata>,
}

/// The array of `--json`, with all metadata by `detail`, over several lines by `pretty`.
pub fn json(backups: &[Backup], detail: bool, pretty: bool, zone: &TimeZone) -> String {
    let time = |time: Timestamp| repo::time::exact(time, zone.to_offset(time));
    let mut rows = Vec::with_capacity(backups.len());
    for backup in backups {
        rows.push(Row {
            backup_name: backup.name.as_str(),
            time: backup.stored.map_or_else(|| repo::time::UNSET.to_owned(), time),
            wal_file_name: segment(backup),
            storage_name: "default",
            detail: detail.then(|| backup.metadata()),
        });
    }
    let text = if pretty { repo::to_indented_text(&rows) } else { repo::to_text(&rows) };
    text + "\n"
}

/// The table, with more columns by `detail`, as a grid by `pretty`.
pub fn table(backups: &[Backup], detail: bool, pretty: bool, zone: &TimeZone) -> String {
    let heads: &[[&str; 2]] = &[
        ["backup_name", "BACKUP NAME"],
        ["modified", "MODIFIED"],
        ["wal_file_name", "WAL FILE NAME"],
        ["storage_name", "STORAGE NAME"],
        ["start_time", "START TIME"],
        ["finish_time", "FINISH TIME"],
        ["hostname", "HOSTNAME"],
        ["data_dir", "DATADIR"],
        ["pg_version", "PG VERSION"],
        ["start_lsn", "START LSN"],
        ["finish_lsn", "FINISH LSN"],
        ["is_permanent", "PERMANENT"],
    ];
    let heads = if detail { heads } else { &heads[..4] };
    let time = |time: Option<Timestamp>, zone: &TimeZone| {
        time.map_or_else(|| "-".to_owned(), |time| if pretty { rfc850(time, zone) } else { rfc3339(time, zone) })
    };
    let row = |backup: &Backup| {
        let mut row =
            vec![backup.name.to_string(), time(backup.stored, zone), segment(backup).to_owned(), "default".to_owned()];
        if detail {
            let metadata = backup.metadata();
            row.extend([
                time(metadata.start_time, &TimeZone::UTC),
                time(metadata.finish_time, &TimeZone::UTC),
                metadata.hostname,
                metadata.data_dir,
                metadata.pg_version.to_string(),
                metadata.start_lsn.to_string(),
                metadata.finish_lsn.to_string(),
                metadata.is_permanent.to_string(),
            ]);
        }
        row
    };
    let rows = backups.iter().map(row).collect();
    let head = heads.iter().map(|[plain, grid]| if pretty { *grid } else { *plain }).collect();
    let table = Table { head, rows };
    if pretty { grid(&table) } else { columns(&table) }
}

fn segment(backup: &Backup) -> &str {
    first_segment(backup.name.as_str()).unwrap_or(NO_SEGMENT)
}

/// In seconds, `Z` where the zone is at UTC.
fn rfc3339(time: Timestamp, zone: &TimeZone) -> String {
    let local = time.to_zoned(zone.clone());
    let form = if local.offset().is_zero() { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%:z" };
    local.strftime(form).to_string()
}

/// `Sunday, 22-Nov-26 12:08:01 UTC`.
fn rfc850(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%A, %d-%b-%y %H:%M:%S %Z").to_string()
}
