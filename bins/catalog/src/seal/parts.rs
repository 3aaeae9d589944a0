//! What tarpart printed: the parts that were stored.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;
use tool::{Failure, Status};

/// The parts of a backup.
#[derive(Debug, Default)]
pub struct Parts {
    /// Object name within the folder of parts → stored size in bytes.
    pub sizes: BTreeMap<String, u64>,
    /// The sum of the payloads of all members, in bytes.
    pub bytes: u64,
}

/// A put's line has a key and a size, a summary of tarpart's the number of bytes.
#[derive(Deserialize)]
struct Line {
    key: Option<String>,
    size: Option<u64>,
    bytes: Option<u64>,
}

impl Parts {
    /// Reads FILE; 65 where a line is none of these, a part comes twice, or after the last part no
    /// summary says that it was the last.
    pub fn read(path: &Path) -> Result<Parts, Failure> {
        let said = |e| Failure::io(format_args!("cannot read {}", path.display()), &e);
        let corrupt = |text: &str| Failure::new(Status::Data, format!("cannot use {}: {text}", path.display()));
        let mut parts = Parts::default();
        let mut summed_up = false;
        for line in BufReader::new(File::open(path).map_err(said)?).lines() {
            let line = line.map_err(said)?;
            match serde_json::from_str::<Line>(&line) {
                Ok(Line { key: Some(key), size: Some(size), .. }) => {
                    let name = key.rsplit('/').next().unwrap_or_default().to_owned();
                    summed_up = false;
                    if parts.sizes.insert(name, size).is_some() {
                        return Err(corrupt(&format!("{key} is in it twice")));
                    }
                }
                Ok(Line { key: None, bytes: Some(bytes), .. }) => {
                    parts.bytes += bytes;
                    summed_up = true;
                }
                _ => return Err(corrupt(&format!("'{}' is neither a part nor a summary", line.escape_debug()))),
            }
        }
        if summed_up { Ok(parts) } else { Err(corrupt("it was cut short: no summary is at its end")) }
    }
}
