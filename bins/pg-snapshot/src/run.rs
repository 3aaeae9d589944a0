//! The two things that pg-snapshot does, step by step.

use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use pg::{Lsn, SegmentSize};
use tool::{Failure, Status};

use crate::backup::{self, lsn};
use crate::checks;
use crate::cluster::Tablespace;
use crate::command::{self, Told};
use crate::dialect::Dialect;
use crate::duration;
use crate::session::{Session, get};
use crate::snapshot::{Out, Snapshot, Space};
use crate::{Words, walk};

/// A backup: check, start, run COMMAND over the list, stop, write down.
///
/// # Errors
/// As each step says; without snapshot.json whatever it is.
pub fn backup(words: &Words) -> Result<(), Failure> {
    let out = Out::open(words.out.as_deref().unwrap_or(Path::new("")))?;
    let alive = duration::setting("WALG_ALIVE_CHECK_INTERVAL")?;
    let patience = duration::setting("WALG_STOP_BACKUP_TIMEOUT")?;
    let mut session = Session::open()?;
    let dialect = Dialect::of(session.major);
    checks::rights(&mut session, dialect.backup_rights)?;
    if let Some(text) = &words.alone {
        checks::alone(&mut session, text)?;
    }
    let cluster = checks::cluster(&mut session, words.data.as_deref())?;
    if !words.no_archive_check {
        checks::archiving(&mut session)?;
    }
    checks::whole_pages(&mut session)?;
    apart(&out, &cluster.root, &cluster.spaces()?)?;

    let began = now();
    let start = backup::start(&mut session, &format!("walpipe {began}"), cluster.control.segment_size)?;
    // Again, for those made since: the map of this backup has them.
    let tablespaces = cluster.spaces()?;
    let mut snapshot = Snapshot {
        backup_name: format!("base_{}", start.segment),
        start_lsn: start.lsn.to_string(),
        stop_lsn: None,
        timeline: start.timeline,
        start_time: began.to_string(),
        finish_time: None,
        system_identifier: cluster.control.system_identifier,
        server_version_num: session.version_num,
        segment_size: cluster.control.segment_size.bytes(),
        block_size: cluster.control.block_size,
        data_checksums: cluster.control.data_checksum_version != 0,
        data_directory: utf8(&cluster.root)?,
        hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        in_recovery: start.in_recovery,
        catalog_size: None,
        tablespaces: tablespaces.iter().map(|t| Space { oid: t.oid, location: t.location.clone() }).collect(),
    };
    let path = out.start(&snapshot)?;
    let oids = tablespaces.iter().map(|t| t.oid).collect();
    let told = Told { name: &snapshot.backup_name, start: &path, speaks: words.command_speaks };
    let size = command::run(&words.command, &told, &mut session, alive, |list| {
        walk::walk(&cluster.root, &oids, &cluster.version_directory, list)
    })?;

    let stop = backup::stop(&mut session, &start, patience)?;
    let ended = now();
    if ended < began {
        tool::warn(format_args!("the clock of this machine went back during the backup, from {began} to {ended}"));
    }
    snapshot.stop_lsn = Some(stop.lsn.to_string());
    snapshot.finish_time = Some(ended.to_string());
    snapshot.catalog_size = Some(size);
    out.finish(&snapshot, &stop.label, &stop.map)
}

/// On a primary: a restore point, so that there is something to switch from, and the switch; prints the segment that was
/// closed.  On a standby nothing.
///
/// # Errors
/// 77 without the right, 78 where archiving is off or the directory is another server's.
pub fn switch_wal(words: &Words) -> Result<(), Failure> {
    let mut session = Session::open()?;
    let size = match &words.data {
        Some(data) => checks::cluster(&mut session, Some(data))?.control.segment_size,
        None => segment_size(&mut session)?,
    };
    if session.in_recovery {
        return Ok(());
    }
    if !words.no_archive_check {
        checks::archiving(&mut session)?;
    }
    let dialect = Dialect::of(session.major);
    checks::rights(&mut session, dialect.switch_rights)?;
    let point = format!("walpipe {}", now());
    session.ask("cannot write a restore point", "SELECT pg_create_restore_point($1)::text", &[&point])?;
    let row = session.ask("cannot switch to the next WAL segment", &dialect.switch_sql(), &[])?;
    let end = lsn(&get::<String>(&row, 0)?)?;
    let timeline = u32::from_str_radix(&get::<String>(&row, 1)?, 16);
    let timeline = timeline.map_err(|e| Failure::new(Status::Bug, format!("the server's answer: {e}")))?;
    let name = closed(size, timeline, end);
    let mut stdout = tool::text_stdout()?;
    stdout.write_all(format!("{name}\n").as_bytes()).map_err(|e| tool::cannot_write(&e))
}

/// The segment that a switch closed, from the position that it gave: behind the last byte of what is in the segment.
/// If somebody else switched right after the restore point, it is the start of the next one: the one before was closed
/// then as well.
fn closed(size: SegmentSize, timeline: u32, end: Lsn) -> String {
    size.file_name(timeline, Lsn(end.0.saturating_sub(1)))
}

fn segment_size(session: &mut Session) -> Result<SegmentSize, Failure> {
    let sql = "SELECT bytes_per_wal_segment FROM pg_control_init()";
    let bytes: i32 = get(&session.ask("cannot ask for the size of WAL segments", sql, &[])?, 0)?;
    SegmentSize::new(u64::from(bytes.cast_unsigned()))
        .map_err(|e| Failure::new(Status::Config, format!("the server's answer: {e}")))
}

/// Nothing is ever written into what is backed up.
fn apart(out: &Out, root: &Path, tablespaces: &[Tablespace]) -> Result<(), Failure> {
    let within = |dir: &Path| dir.canonicalize().is_ok_and(|dir| out.path().starts_with(dir));
    if within(root) || tablespaces.iter().any(|t| within(Path::new(&t.location))) {
        let text = format!("the directory {} is inside the cluster that is backed up", out.path().display());
        return Err(Failure::new(Status::Usage, text));
    }
    Ok(())
}

fn utf8(path: &Path) -> Result<String, Failure> {
    let wrong = || {
        let text =
            format!("the data directory {} has a name that is not UTF-8, which no backup can record", path.display());
        Failure::new(Status::Config, text)
    };
    path.to_str().map(str::to_owned).ok_or_else(wrong)
}

/// The time to microseconds, as metadata has it.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_on_a_border_closes_the_segment_before_it() {
        let name = |lsn| closed(SegmentSize::DEFAULT, 2, Lsn(lsn));
        assert_eq!(name(0x300_0028), "000000020000000000000003");
        assert_eq!(name(0x300_0000), "000000020000000000000002");
    }
}
