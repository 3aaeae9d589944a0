//! Timeline history files: how a timeline descends from timeline 1.

use crate::{Error, Lsn};

/// One line of a history file: the timeline was left at `end` for the next one in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// The timeline that ends here, never 0.
    pub timeline: u32,
    /// The position at which the next timeline begins.
    pub end: Lsn,
    /// Why, for people: "no recovery target specified".
    pub reason: String,
}

/// The ancestors of a timeline, oldest first.
///
/// The format of `readTimeLineHistory` and `writeTimeLineHistory` in access/transam/timeline.c,
/// PostgreSQL 9.3 to 18: `TLI <tab> LSN <tab> reason` in a line, the timeline in **decimal** (the
/// file's name has it in hex); blank lines and lines that start with `#` do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    switches: Vec<Switch>,
}

impl History {
    /// Reads the content of `timeline`'s history file.
    ///
    /// [`Error::Corrupt`] where a line is no switch, timelines do not grow, a timeline ends before
    /// its parent does, or none is there; [`Error::Foreign`] where an ancestor is not smaller than
    /// `timeline`, so that the file belongs to another one.
    pub fn parse(timeline: u32, bytes: &[u8]) -> Result<History, Error> {
        let text = str::from_utf8(bytes).map_err(|_| Error::corrupt("history file is not text"))?;
        let mut switches: Vec<Switch> = Vec::new();
        for line in text.lines() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let switch = switch(line).ok_or_else(|| {
                Error::Corrupt(format!("history file has a line that is no switch: '{}'", brief(line)))
            })?;
            if let Some(before) = switches.last()
                && (before.timeline >= switch.timeline || before.end > switch.end)
            {
                return Err(Error::Corrupt(format!(
                    "history file is out of order: timeline {} ends at {}, after timeline {} at {}",
                    switch.timeline, switch.end, before.timeline, before.end
                )));
            }
            switches.push(switch);
        }
        match switches.last() {
            None => Err(Error::corrupt("history file names no ancestor")),
            Some(last) if last.timeline >= timeline => Err(Error::Foreign(format!(
                "history file of timeline {timeline} ends with timeline {}, so it belongs to a later one",
                last.timeline
            ))),
            Some(_) => Ok(History { switches }),
        }
    }

    /// The ancestors, oldest first, at least one.
    pub fn switches(&self) -> &[Switch] {
        &self.switches
    }

    /// The timeline on which `lsn` lies for a server on `timeline`, whose history this is.
    ///
    /// `tliOfPointInHistory`: the switch point itself belongs to the child.
    pub fn timeline_of(&self, timeline: u32, lsn: Lsn) -> u32 {
        self.switches.iter().find(|switch| lsn < switch.end).map_or(timeline, |switch| switch.timeline)
    }
}

fn switch(line: &str) -> Option<Switch> {
    let mut fields = line.splitn(3, '\t');
    let (timeline, end) = (fields.next()?, fields.next()?);
    let decimal = timeline.bytes().all(|b| b.is_ascii_digit());
    let timeline = timeline.parse().ok().filter(|&timeline: &u32| decimal && timeline != 0)?;
    Some(Switch { timeline, end: end.parse().ok()?, reason: fields.next().unwrap_or_default().to_owned() })
}

fn brief(line: &str) -> String {
    line.chars().take(60).collect::<String>().escape_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    // As PostgreSQL 16 wrote it: fixture v309-pg16-timelines, 00000003.history.
    const SIXTEEN: &str = "1\t0/909848\tat restore point \"rp1\"\n\n2\t0/C00090\tat restore point \"rp2\"\n";

    #[test]
    fn a_history_of_a_real_server_is_read() {
        let history = History::parse(3, SIXTEEN.as_bytes()).unwrap();
        let found: Vec<_> = history.switches().iter().map(|s| (s.timeline, s.end.to_string())).collect();
        assert_eq!(found, [(1, "0/909848".to_owned()), (2, "0/C00090".to_owned())]);
        let at = |lsn| history.timeline_of(3, Lsn(lsn));
        assert_eq!((at(0), at(0x90_9847), at(0x90_9848), at(0xC0_0090)), (1, 1, 2, 3));
    }

    #[test]
    fn comments_blank_lines_and_timelines_above_nine_are_read_in_decimal() {
        let history = History::parse(0x14, b"# made by hand\n\n  \n10\t1/0\t\n19\t1/0").unwrap();
        assert_eq!(history.switches().iter().map(|s| s.timeline).collect::<Vec<_>>(), [10, 19]);
    }

    #[test]
    fn a_history_that_cannot_be_is_refused() {
        for text in
            ["", "# only a comment\n", "x", "1", "1\t", "1\t0", "0\t0/1\tx", "+1\t0/1\tx", "A\t0/1\tx", "1 0/1 x"]
        {
            assert!(matches!(History::parse(9, text.as_bytes()), Err(Error::Corrupt(_))), "{text:?}");
        }
        for text in ["2\t0/1\tx\n1\t0/2\tx", "1\t0/2\tx\n1\t0/3\tx", "1\t0/2\tx\n2\t0/1\tx"] {
            assert!(matches!(History::parse(9, text.as_bytes()), Err(Error::Corrupt(_))), "{text:?}");
        }
        assert!(matches!(History::parse(9, b"1\t0/1\t\xFF"), Err(Error::Corrupt(_))));
    }

    #[test]
    fn a_history_of_a_later_timeline_is_foreign() {
        assert!(matches!(History::parse(2, SIXTEEN.as_bytes()), Err(Error::Foreign(_))));
    }
}
