//! ls: names below a URL, in the order of their bytes; or which of some names are there.

use std::io::{BufWriter, Write};

use serde_json::json;
use store::{Entry, Key};
use tool::{Failure, Status};

use crate::{Open, failure};

/// The words of an ls program.
#[derive(Debug, clap::Args)]
pub struct Ls {
    /// The folder to list
    #[arg(value_name = "URL")]
    pub url: String,
    /// Only say which of these are there, in this order
    #[arg(value_name = "NAME", conflicts_with_all = ["prefix", "delimiter"])]
    names: Vec<String>,
    /// Only names that begin with P
    #[arg(long, value_name = "P", default_value = "")]
    prefix: String,
    /// Name folders, with a slash at their end, and do not enter them; the delimiter is /
    #[arg(long, value_name = "/", value_parser = ["/"])]
    delimiter: Option<String>,
    /// Print {"name","size","time"} for each, and for a NAME also its "content", where it was put with that
    #[arg(long)]
    json: bool,
    /// End names with NUL, not with a newline
    #[arg(short = '0', conflicts_with = "json")]
    nul: bool,
}

/// Lists what is below a URL.
///
/// # Errors
/// The store's.
pub fn ls(words: &Ls, open: Open<'_>) -> Result<(), Failure> {
    let place = open(&words.url)?;
    let what = format!("cannot list {}", words.url);
    let mut output = BufWriter::with_capacity(64 << 10, tool::text_stdout()?);
    let mut print = |entry: Entry| -> Result<(), Failure> {
        let line = line(words, entry).ok_or_else(|| {
            Failure::new(Status::Usage, format!("{what}: a name holds a newline")).hint("Use -0 or --json.")
        })?;
        output.write_all(line.as_bytes()).map_err(|e| tool::cannot_write(&e))
    };
    if words.names.is_empty() {
        let mut said = Ok(());
        let listed = place.store.list(place.key.as_ref(), &words.prefix, words.delimiter.is_some(), &mut |entry| {
            said = print(entry);
            said.as_ref().map(drop).map_err(|_| store::Error::Broken(String::new().into()))
        });
        said?;
        listed.map_err(|e| failure(&what, &e))?;
    }
    if !words.names.is_empty() {
        let key = |name: &String| place.key.as_ref().map_or_else(|| Key::new(name), |folder| folder.join(name));
        let keys: Vec<Key> = words.names.iter().map(key).collect::<Result<_, _>>().map_err(|e| failure(&what, &e))?;
        let found = place.store.which(&keys).map_err(|e| failure(&what, &e))?;
        for ((name, key), meta) in words.names.iter().zip(&keys).zip(found) {
            let Some(mut meta) = meta else { continue };
            if words.json && meta.content.is_none() {
                meta = place.store.head(key).map_err(|e| failure(&what, &e))?.unwrap_or(meta);
            }
            print(Entry::Object(name.clone(), meta))?;
        }
    }
    output.flush().map_err(|e| tool::cannot_write(&e))
}

/// An entry as it is printed; `None` for a name that would not be one line.
fn line(words: &Ls, entry: Entry) -> Option<String> {
    if words.json {
        let value = match entry {
            Entry::Object(name, meta) => {
                let mut value = json!({ "name": name, "size": meta.size, "time": meta.time.to_string() });
                if let Some(content) = meta.content {
                    value["content"] = json!(format!("{}:{}", content.sha256, content.size));
                }
                value
            }
            Entry::Folder(name) => json!({ "name": name }),
        };
        return Some(format!("{value}\n"));
    }
    let (Entry::Object(name, _) | Entry::Folder(name)) = entry;
    if words.nul {
        return Some(name + "\0");
    }
    (!name.contains('\n')).then(|| name + "\n")
}
