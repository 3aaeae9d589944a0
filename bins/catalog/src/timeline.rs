//! Which timeline recovery is to follow, and which backups lie on its history.

use std::collections::BTreeMap;
use std::io::Read;
use std::str::FromStr;

use pg::History;
use repo::{Backup, key};
use tool::{Child, Failure, Status};

use crate::programs::Repository;

/// The timeline that recovery is to follow, as `recovery_target_timeline` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeline {
    /// The last of those that follow the backup's one after the other, as the server finds it.
    Latest,
    /// That one.
    Number(u32),
}

impl FromStr for Timeline {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "latest" => Ok(Self::Latest),
            Ok(number) if number > 0 => Ok(Self::Number(number)),
            _ => Err("neither latest nor the number of a timeline".to_owned()),
        }
    }
}

/// The history files of a repository, as far as they were asked for.
pub struct Timelines<'a> {
    repository: &'a Repository,
    objects: BTreeMap<u32, Option<String>>,
}

/// No history file is larger, whatever happened to a cluster.
const LARGEST: u64 = 16 << 20;

impl<'a> Timelines<'a> {
    pub const fn of(repository: &'a Repository) -> Self {
        Self { repository, objects: BTreeMap::new() }
    }

    /// Why `backup` cannot be recovered along `wanted`; `None` where it can, as far as is known.
    ///
    /// # Errors
    /// As the store says; 65 for a history that is damaged.
    pub fn apart(&mut self, backup: &Backup, wanted: Timeline) -> Result<Option<String>, Failure> {
        let (Some(own), Some(end)) = (backup.timeline(), backup.finish_lsn().or_else(|| backup.start_lsn())) else {
            return Ok(None);
        };
        let goal = match wanted {
            Timeline::Latest => self.newest(own)?,
            Timeline::Number(number) => number,
        };
        if goal == own {
            return Ok(None);
        }
        let Some(history) = self.history(goal)? else {
            return Ok(Some(format!("the repository has no history of timeline {goal}")));
        };
        let left = history.switches().iter().find(|switch| switch.timeline == own).map(|switch| switch.end);
        Ok(match left {
            None => Some(format!("timeline {goal} does not come from timeline {own}")),
            Some(left) if left < end => {
                Some(format!("timeline {goal} left timeline {own} at {left}, before the backup's end at {end}"))
            }
            Some(_) => None,
        })
    }

    /// The last timeline of those behind `from` that have a history without a gap (`findNewestTimeLine`).
    fn newest(&mut self, from: u32) -> Result<u32, Failure> {
        let mut newest = from;
        while let Some(next) = newest.checked_add(1)
            && self.object(next)?.is_some()
        {
            newest = next;
        }
        Ok(newest)
    }

    /// The object that holds the history of `timeline`.
    fn object(&mut self, timeline: u32) -> Result<Option<String>, Failure> {
        if let Some(object) = self.objects.get(&timeline) {
            return Ok(object.clone());
        }
        let name = format!("{timeline:08X}.history");
        let mut object = None;
        self.repository.ls(key::WAL, &["--prefix", &name], &mut |entry| {
            if entry.size > 0 && codec::Method::content_name(&entry.name) == name {
                object = Some(entry.name);
            }
            object.is_none()
        })?;
        self.objects.insert(timeline, object.clone());
        Ok(object)
    }

    fn history(&mut self, timeline: u32) -> Result<Option<History>, Failure> {
        let Some(object) = self.object(timeline)? else { return Ok(None) };
        let url = self.repository.at(&format!("{}{object}", key::WAL));
        let mut child = Child::start(&mut self.repository.decoded_wal(&object)?)?;
        let mut text = Vec::new();
        if let Some(output) = child.stdout() {
            let read = output.take(LARGEST).read_to_end(&mut text);
            read.map_err(|e| Failure::io(format_args!("cannot read {url}"), &e))?;
        }
        child.wait()?.success()?;
        let history = History::parse(timeline, &text);
        history.map(Some).map_err(|e| Failure::new(Status::Data, format!("cannot use {url}: {e}")))
    }
}
