//! put: one object from standard input or a producer, all or nothing.

use std::io::{Read, Write};

use serde_json::json;
use sha2::{Digest, Sha256};
use store::{Content, PutOptions, Upload, hex};
use tool::{Failure, Flow, Input, Limit, Source, Status};

use crate::{Open, broken, failure};

/// The words of a put program.
#[derive(Debug, clap::Args)]
pub struct Put {
    /// Where the object is to be
    #[arg(value_name = "URL")]
    pub url: String,
    /// Only if there is none of that name, or one with the very same bytes (else 73)
    #[arg(long)]
    create_only: bool,
    /// Report the SHA-256 of what was stored
    #[arg(long)]
    digest: bool,
    /// Store only if the SHA-256 of the input is HEX
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// Store only if the input is N bytes long
    #[arg(long, value_name = "N")]
    size: Option<u64>,
    /// What the input is made of: the SHA-256 and length of a file before it was compressed or encrypted; a store that can
    /// keeps it with the object, and --create-only takes an object of the same content for the same
    #[arg(long, value_name = "HEX:N", value_parser = content)]
    content: Option<Content>,
    /// Store nothing: find out, with a scratch object at URL, what --create-only is worth, and print that
    #[arg(long, conflicts_with_all = ["create_only", "digest", "sha256", "size", "content", "producer"])]
    probe: bool,
    #[command(flatten)]
    input: Input,
}

/// Puts one object; one JSON line on standard output says what was stored.
///
/// # Errors
/// The input's, the producer's, the store's.
pub fn put(words: &Put, open: Open<'_>) -> Result<(), Failure> {
    let url = &words.url;
    let wanted = words.sha256.as_ref().map(|hex| hex.to_ascii_lowercase());
    if wanted.as_ref().is_some_and(|hex| !is_sha256(hex)) {
        return Err(Failure::new(Status::Usage, "--sha256 takes 64 hex digits"));
    }
    let place = open(url)?;
    let (store, key) = (&place.store, place.object(url)?);
    if words.probe {
        let found = store.probe(&key).map_err(|e| failure(format_args!("cannot use {url}"), &e))?;
        let line = json!({ "create_only": found.to_string() });
        return tool::text_stdout()?.write_all(format!("{line}\n").as_bytes()).map_err(|e| tool::cannot_write(&e));
    }
    let limit = Limit::on(Flow::Net)?;
    let what = format!("cannot store {url}");
    let (secrets, family) = place.secrets;
    let of_the_family =
        |word: &str| !family.is_empty() && word.rsplit('/').next().is_some_and(|name| name.starts_with(family));
    let mut input = words.input.open_without(secrets, &of_the_family)?;
    let options = PutOptions { create_only: words.create_only, content: words.content.clone(), size: words.size };
    let begun = store.put(&key, &options).map_err(|e| failure(&what, &e));
    let result = begun.and_then(|mut upload| {
        let sum = words.digest || wanted.is_some();
        let (size, digest) = fill(&mut input, upload.as_mut(), sum, &limit, &what)?;
        Ok((upload, size, digest))
    });
    // only once the producer has ended with 0 is anything stored
    let (upload, size, digest) =
        input.settle(result).map_err(|f| f.passed_on(format_args!("nothing is stored at {url}")))?;
    if let Some(asked) = words.size.filter(|asked| *asked != size) {
        return Err(Failure::new(Status::Data, format!("{what}: the input has {size} bytes, not {asked}")));
    }
    if let Some(asked) = wanted.filter(|asked| Some(asked) != digest.as_ref()) {
        let came = digest.unwrap_or_default();
        return Err(Failure::new(Status::Data, format!("{what}: the input's SHA-256 is {came}, not {asked}")));
    }
    let etag = upload.finish().map_err(|e| failure(&what, &e))?;
    let name = key.as_str().rsplit('/').next().unwrap_or_default();
    let line = json!({ "key": name, "size": size, "digest": digest, "etag": etag });
    tool::text_stdout()?.write_all(format!("{line}\n").as_bytes()).map_err(|e| tool::cannot_write(&e))
}

/// Moves the input into the upload: inside the kernel where nothing has to be looked at.
fn fill(
    input: &mut Source,
    upload: &mut (dyn Upload + '_),
    sum: bool,
    limit: &Limit,
    what: &str,
) -> Result<(u64, Option<String>), Failure> {
    let no_room = |error: &std::io::Error| broken(what, error);
    if !sum
        && !limit.is_set()
        && let Some(file) = upload.descriptor()
        && let Some(size) = tool::splice_all(&*input, file).map_err(|e| no_room(&e))?
    {
        return Ok((size, None));
    }
    let mut digest = Sha256::new();
    let mut buffer = vec![0; tool::CHUNK];
    let mut size = 0;
    loop {
        let read = input.read(&mut buffer).map_err(|e| input.failure(&e))?;
        if read == 0 {
            break;
        }
        limit.take(read as u64)?;
        if sum {
            digest.update(&buffer[..read]);
        }
        upload.write_all(&buffer[..read]).map_err(|e| no_room(&e))?;
        size += read as u64;
    }
    Ok((size, sum.then(|| hex(&digest.finalize()))))
}

/// What `--content` says.
fn content(text: &str) -> Result<Content, String> {
    let parts = text.split_once(':').and_then(|(hex, size)| Some((hex.to_ascii_lowercase(), size.parse().ok()?)));
    match parts {
        Some((sha256, size)) if is_sha256(&sha256) => Ok(Content { sha256, size }),
        _ => Err("64 hex digits, a colon and a number of bytes are wanted".to_owned()),
    }
}

fn is_sha256(hex: &str) -> bool {
    hex.len() == 64 && hex.bytes().all(|c| c.is_ascii_hexdigit())
}
