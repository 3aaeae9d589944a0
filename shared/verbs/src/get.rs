//! get: one object to standard output; or many small ones as JSON lines.

use std::io::{BufRead, Read, Write};

use serde_json::json;
use store::{Download, Error, Key, Store};
use tool::{Failure, Flow, Limit, Side, Status};

use crate::{Open, broken, failure};

/// The longest object that --each reads into memory, in bytes.
const SMALL: u64 = 64 << 20;

/// The words of a get program.
#[derive(Debug, clap::Args)]
pub struct Get {
    /// The object; with --each, the folder that the names are in
    #[arg(value_name = "URL")]
    pub url: String,
    /// Read names on standard input, one a line, and print {"key","time","text"} for each; an absent object has null
    #[arg(long)]
    each: bool,
}

/// Writes an object to standard output.
///
/// # Errors
/// The store's; 65 if what came is not as long as it should be.
pub fn get(words: &Get, open: Open<'_>) -> Result<(), Failure> {
    let url = &words.url;
    let place = open(url)?;
    if words.each {
        return each(url, place.store.as_ref(), place.key.as_ref());
    }
    let key = place.object(url)?;
    let limit = Limit::on(Flow::Net)?;
    let mut output = tool::text_stdout()?;
    tool::widen(&output);
    let what = format!("cannot read {url}");
    let mut download = place.store.get(&key).map_err(|e| failure(&what, &e))?;
    let size = download.meta.size;
    let came = pass(&mut download, &mut output, &limit, &what)?;
    if came == size {
        Ok(())
    } else {
        Err(Failure::new(Status::Data, format!("{what}: {came} bytes came, it has {size}")))
    }
}

fn pass(download: &mut Download, output: &mut tool::Stdout, limit: &Limit, what: &str) -> Result<u64, Failure> {
    let said = |side| match side {
        Side::Input(error) => broken(what, &error),
        Side::Output(error) => tool::cannot_write(&error),
    };
    if !limit.is_set() {
        if let Some(file) = &download.descriptor
            && let Some(size) = tool::splice_all(file, &*output).map_err(|e| said(Side::Output(e)))?
        {
            return Ok(size);
        }
        return tool::copy(&mut download.body, output).map_err(said);
    }
    let mut buffer = vec![0; 64 << 10];
    let mut size = 0;
    loop {
        let read = download.body.read(&mut buffer).map_err(|e| said(Side::Input(e)))?;
        if read == 0 {
            return Ok(size);
        }
        limit.take(read as u64)?;
        output.write_all(&buffer[..read]).map_err(|e| said(Side::Output(e)))?;
        size += read as u64;
    }
}

fn each(url: &str, store: &dyn Store, folder: Option<&Key>) -> Result<(), Failure> {
    let mut output = tool::text_stdout()?;
    for name in std::io::stdin().lock().lines() {
        let name = name.map_err(|e| Failure::io("cannot read names from standard input", &e))?;
        let what = format!("cannot read {}/{name}", url.trim_end_matches('/'));
        let key =
            folder.map_or_else(|| Key::new(&name), |folder| folder.join(&name)).map_err(|e| failure(&what, &e))?;
        let line = match store.get(&key) {
            Ok(download) => {
                let time = download.meta.time;
                json!({ "key": name, "time": time.to_string(), "text": text(download, &what)? })
            }
            Err(Error::Absent(_)) => json!({ "key": name, "time": null, "text": null }),
            Err(error) => return Err(failure(&what, &error)),
        };
        output.write_all(format!("{line}\n").as_bytes()).map_err(|e| tool::cannot_write(&e))?;
    }
    Ok(())
}

fn text(mut download: Download, what: &str) -> Result<String, Failure> {
    if download.meta.size > SMALL {
        let size = download.meta.size;
        return Err(Failure::new(Status::Data, format!("{what}: {size} bytes are too many for --each")));
    }
    let mut bytes = Vec::new();
    download.body.read_to_end(&mut bytes).map_err(|e| broken(what, &e))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
