//! rm: the objects whose names are on standard input; absent is fine.

use std::io::{BufRead, BufReader, IsTerminal, Read};

use store::Key;
use tool::{Failure, Status};

use crate::{Open, failure};

/// The words of an rm program.
#[derive(Debug, clap::Args)]
pub struct Rm {
    /// The folder that the names are in
    #[arg(value_name = "URL")]
    pub url: String,
    /// Names end with NUL, not with a newline
    #[arg(short = '0')]
    nul: bool,
}

/// Removes objects by name.
///
/// All names are read before anything is removed: a list that was cut short by a failure is not acted upon in part.
///
/// # Errors
/// 64 for a name that is none; the store's, after the other names were done.
pub fn rm(words: &Rm, open: Open<'_>) -> Result<(), Failure> {
    if std::io::stdin().is_terminal() {
        return Err(Failure::new(Status::Usage, "no names: standard input is a terminal")
            .hint("Names are read from standard input: list to a file, look, then give it here with <."));
    }
    let place = open(&words.url)?;
    let mut keys = Vec::new();
    let names = names(words.nul)?;
    for name in &names {
        let what = format!("cannot remove {name:?}");
        let key = place.key.as_ref().map_or_else(|| Key::new(name), |folder| folder.join(name));
        keys.push(key.map_err(|e| failure(&what, &e))?);
    }
    let mut first = None;
    let mut failed = 0_usize;
    let mut note = |key: &Key, error| {
        failed += 1;
        let name = keys.iter().position(|one| one == key).map_or(key.as_str(), |at| names[at].as_str());
        let url = words.url.trim_end_matches('/');
        first.get_or_insert(failure(format_args!("cannot remove {url}/{name}"), &error));
    };
    place
        .store
        .remove_all(&keys, &mut note)
        .map_err(|e| failure(format_args!("cannot remove from {}", words.url), &e))?;
    match first {
        None => Ok(()),
        Some(first) if failed == 1 => Err(first),
        Some(first) => {
            Err(Failure::new(first.status(), format!("{} ({failed} of {} failed)", first.text(), keys.len())))
        }
    }
}

fn names(nul: bool) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    let end = if nul { 0 } else { b'\n' };
    let mut input = BufReader::new(std::io::stdin().lock());
    loop {
        let mut name = Vec::new();
        let read = input.by_ref().read_until(end, &mut name);
        if read.map_err(|e| Failure::io("cannot read names from standard input", &e))? == 0 {
            return Ok(names);
        }
        if name.pop() != Some(end) {
            return Err(Failure::new(Status::Data, "the list of names was cut short: its last name has no end"));
        }
        let name = String::from_utf8(name).map_err(|e| {
            Failure::new(Status::Usage, format!("{:?} is no name", String::from_utf8_lossy(e.as_bytes())))
        })?;
        names.push(name);
    }
}
