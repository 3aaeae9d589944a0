//! What a WAL file has to be to be the one that its name says.

use pg::wal::SegmentHeader;
use pg::{BackupLabel, ControlFile, History, Major, SegmentName, SegmentSize, WalName};
use tool::{Failure, Status};

use crate::{Words, failure};

/// What is known beforehand.
pub struct Expected {
    /// What it is; `None` if it is only compared.
    pub name: Option<WalName>,
    system_identifier: Option<u64>,
    segment_size: Option<SegmentSize>,
    major: Option<Major>,
}

impl Expected {
    /// By the words, which count before the data directory's pg_control.
    ///
    /// 64 for a name that PostgreSQL gives to no WAL file. A pg_control that cannot be read is said,
    /// and the file's own header has to do.
    pub fn of(words: &Words) -> Result<Expected, Failure> {
        let name = words.check.as_deref().map(str::parse).transpose();
        let name = name.map_err(|e: pg::Error| Failure::new(Status::Usage, e.to_string()))?;
        let mut expected =
            Expected { name, system_identifier: words.system_id, segment_size: words.segment_size, major: None };
        let of_segments = matches!(name, Some(WalName::Segment(_) | WalName::Partial(_)));
        if let Some(dir) = words.control.as_deref().filter(|_| of_segments) {
            match ControlFile::read(dir) {
                Ok(control) => {
                    expected.system_identifier.get_or_insert(control.system_identifier);
                    expected.segment_size.get_or_insert(control.segment_size);
                    expected.major = control.major;
                }
                Err(error) => tool::note(format_args!(
                    "cannot use {}/global/pg_control: {}; going by the segment's own header, which cannot tell whose it is",
                    dir.display(),
                    tool::reason(&error)
                )),
            }
        }
        Ok(expected)
    }

    /// Looks at the beginning of what is to be `segment` (or its partial form); the size it must have.
    pub fn segment(&self, segment: SegmentName, first: &[u8]) -> Result<SegmentSize, pg::Error> {
        let header = SegmentHeader::parse(first)?;
        let foreign = |text: String| Err(pg::Error::Foreign(text));
        if let Some(expected) = self.system_identifier.filter(|&id| id != header.system_identifier) {
            return foreign(format!(
                "WAL segment of another cluster: its system identifier is {}, not {expected}",
                header.system_identifier
            ));
        }
        if let Some(expected) = self.segment_size.filter(|&size| size != header.segment_size) {
            let own = header.segment_size.bytes();
            return foreign(format!("WAL segment says that segments have {own} bytes, not {}", expected.bytes()));
        }
        if let Some(expected) = self.major.filter(|&major| major != header.major) {
            return foreign(format!("WAL segment of PostgreSQL {}, the cluster is of {expected}", header.major));
        }
        header.check_name(segment)?;
        Ok(header.segment_size)
    }

    /// Looks at the whole content of what is no segment.
    pub fn text(&self, content: &[u8]) -> Result<(), pg::Error> {
        match self.name {
            Some(WalName::History(timeline)) => History::parse(timeline, content).map(drop),
            Some(WalName::Backup { segment, offset }) => BackupLabel::parse(content)?.check_name(segment, offset),
            _ => Ok(()),
        }
    }
}

/// A failure about `label`, from what a look at it found.
pub fn judged<T>(label: &str, result: Result<T, pg::Error>) -> Result<T, Failure> {
    result.map_err(|error| failure(label, &error))
}
