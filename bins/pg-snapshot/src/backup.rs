//! Start and stop: what the server says about them, in the words of each version.

use std::time::Duration;

use pg::{BackupLabel, Lsn, SegmentSize};
use tool::{Failure, Status};

use crate::dialect::Dialect;
use crate::session::{Session, get};

/// A backup that the server keeps open for this session.
#[derive(Debug)]
pub struct Start {
    /// Where replay must begin.
    pub lsn: Lsn,
    /// The timeline of that position.
    pub timeline: u32,
    /// The segment that names the backup.
    pub segment: String,
    /// Whether the server is a standby.
    pub in_recovery: bool,
}

/// What the server said when it closed a backup.
#[derive(Debug)]
pub struct Stop {
    /// Where replay must have come before the copy is consistent.
    pub lsn: Lsn,
    /// `backup_label`, byte for byte.
    pub label: Vec<u8>,
    /// `tablespace_map`, byte for byte; empty without tablespaces.
    pub map: Vec<u8>,
}

/// Starts a non-exclusive backup with a fast checkpoint.
///
/// # Errors
/// By the server's own code; 75 for a standby in the middle of a switch of timelines.
pub fn start(session: &mut Session, label: &str, size: SegmentSize) -> Result<Start, Failure> {
    let sql = Dialect::of(session.major).start_sql();
    let row = session.ask("cannot start the backup", &sql, &[&label])?;
    let (lsn, in_recovery) = (lsn(&get::<String>(&row, 0)?)?, get(&row, 1)?);
    session.in_recovery = in_recovery;
    let (timeline, segment) = match get::<Option<String>>(&row, 2)? {
        Some(name) => {
            let parsed = name.parse::<pg::SegmentName>();
            let parsed = parsed.map_err(|e| Failure::new(Status::Bug, format!("the server's answer: {e}")))?;
            (parsed.timeline(), name)
        }
        None => {
            let timeline = standby_timeline(session)?;
            (timeline, size.file_name(timeline, Lsn(lsn.0.saturating_sub(1))))
        }
    };
    Ok(Start { lsn, timeline, segment, in_recovery })
}

/// The timeline of a standby: its last restart point's, which must be the one that it replays.
fn standby_timeline(session: &mut Session) -> Result<u32, Failure> {
    let sql = "SELECT timeline_id, min_recovery_end_timeline FROM pg_control_checkpoint(), pg_control_recovery()";
    let row = session.ask("cannot ask for the standby's timeline", sql, &[])?;
    let (checkpoint, replay): (i32, i32) = (get(&row, 0)?, get(&row, 1)?);
    if replay != 0 && replay != checkpoint {
        let text = format!("the standby follows timeline {replay}, its last restart point is of timeline {checkpoint}");
        return Err(Failure::new(Status::Busy, text).hint("CHECKPOINT on the primary, then on the standby; try again."));
    }
    Ok(checkpoint.cast_unsigned())
}

/// Stops the backup without waiting for the archive, which backup-push looks into itself (9.6 always waits).
///
/// # Errors
/// By the server's own code; 75 after `timeout`; 65 where what it says of the backup is not what it said at the start.
pub fn stop(session: &mut Session, start: &Start, timeout: Option<Duration>) -> Result<Stop, Failure> {
    let what = "cannot stop the backup";
    let timeout = timeout.map_or(0, |t| t.as_millis().clamp(1, i32::MAX as u128));
    session.run(what, &format!("SET statement_timeout = {timeout}"))?;
    let row = session.ask(what, &Dialect::of(session.major).stop_sql(), &[])?;
    let stop = Stop {
        lsn: lsn(&get::<String>(&row, 0)?)?,
        label: get(&row, 1)?,
        map: get::<Option<Vec<u8>>>(&row, 2)?.unwrap_or_default(),
    };
    check(start, &stop)?;
    if start.in_recovery && standby_timeline(session)? != start.timeline {
        return Err(Failure::new(Status::Busy, "the standby went over to another timeline during the backup")
            .hint("Start the backup again."));
    }
    Ok(stop)
}

/// Whether label and positions are those of the backup that was started.
fn check(start: &Start, stop: &Stop) -> Result<(), Failure> {
    let corrupt = |why: String| Failure::new(Status::Data, why);
    let label =
        BackupLabel::parse(&stop.label).map_err(|e| corrupt(format!("the server's answer to the stop: {e}")))?;
    if stop.lsn < start.lsn {
        return Err(corrupt(format!("the backup stops at {}, before its start at {}", stop.lsn, start.lsn)));
    }
    let (segment, timeline) = (label.start_segment.to_string(), label.start_timeline.unwrap_or(start.timeline));
    if (label.start, segment.as_str(), timeline) != (start.lsn, start.segment.as_str(), start.timeline) {
        return Err(corrupt(format!(
            "the backup label says {} in {segment} on timeline {timeline}, the start said {} in {} on timeline {}",
            label.start, start.lsn, start.segment, start.timeline
        )));
    }
    Ok(())
}

/// A position as the server writes it.
///
/// # Errors
/// 70: it always writes it so.
pub fn lsn(text: &str) -> Result<Lsn, Failure> {
    text.parse().map_err(|e| Failure::new(Status::Bug, format!("the server's answer: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_of_another_start_is_no_label_of_this_backup() {
        let text = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nSTART TIMELINE: 1\n";
        let start = |lsn, timeline| Start {
            lsn: Lsn(lsn),
            timeline,
            segment: format!("{timeline:08X}0000000000000002"),
            in_recovery: false,
        };
        let stop = |lsn| Stop { lsn: Lsn(lsn), label: text.into(), map: Vec::new() };
        assert!(check(&start(0x200_0028, 1), &stop(0x200_0100)).is_ok());
        assert!(check(&start(0x200_0028, 1), &stop(0x200_0000)).is_err());
        assert!(check(&start(0x200_0030, 1), &stop(0x200_0100)).is_err());
        assert!(check(&start(0x200_0028, 2), &stop(0x200_0100)).is_err());
    }
}
