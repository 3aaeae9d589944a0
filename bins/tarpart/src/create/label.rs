//! `backup_label.tar`: what the server said when the backup ended, byte for byte.

use std::path::Path;

use tar::EntryType;
use tool::Failure;

use super::metadata::Metadata;
use super::part::{Filter, Part};
use super::{Sum, Words};
use crate::header::Member;

/// Makes the part of `directory`'s `backup_label` and `tablespace_map` (in this order; the map also when it is empty).
///
/// As WAL-G has them: no slash in the name, mode 0600, ids 0, no owner names, the epoch (spec/tar.md §3).
pub(crate) fn label(words: &Words, filter: &Filter<'_>, directory: &Path) -> Result<(), Failure> {
    let _handed_on = tool::Limit::on(tool::Flow::Net)?;
    let mut contents = Vec::new();
    for name in ["backup_label", "tablespace_map"] {
        let path = directory.join(name);
        let content =
            std::fs::read(&path).map_err(|e| Failure::io(format_args!("cannot read {}", path.display()), &e))?;
        contents.push((name, content));
    }
    let mut part = Part::open(filter, "backup_label.tar".to_owned())?;
    for (name, content) in &contents {
        let size = content.len() as u64;
        let (name, kind) = (name.as_bytes(), EntryType::Regular);
        let member =
            Member { name, kind, size, mode: 0o600, uid: 0, gid: 0, owner: "", group: "", mtime: 0, target: b"" };
        part.begin(&member)?;
        part.write(content)?;
        part.pad(size)?;
    }
    let (object, members) = (part.object(), part.members().to_owned());
    let sum = Sum { parts: 1, members: part.count, bytes: part.bytes, ..Sum::default() };
    part.close()?;
    if let Some(path) = &words.metadata {
        Metadata::complete(path, &object, &members)?;
    }
    sum.print(filter)
}
