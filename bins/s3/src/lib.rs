//! How a URL names an object in S3, and the uploads that nobody finished.

use std::io::Write;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use store::Key;
use store_s3::{Config, S3Store, Unfinished};
use tool::{Failure, Status};
use verbs::Place;

/// A bucket, and a key or folder in it.
struct Spot {
    store: S3Store,
    key: Option<Key>,
}

/// The place that `s3://bucket/key` names; a slash at its end makes no difference.
///
/// # Errors
/// 64 for what is no such URL; 78 for settings that do not fit.
pub fn open(url: &str) -> Result<Place, Failure> {
    let spot = spot(url)?;
    Ok(Place { store: Box::new(spot.store), key: spot.key, secrets: (store_s3::SECRETS, "s3") })
}

fn spot(url: &str) -> Result<Spot, Failure> {
    let usage = |text: String| Failure::new(Status::Usage, text);
    let rest = url.strip_prefix("s3://").ok_or_else(|| usage(format!("{url} is no URL as s3://bucket/key")))?;
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(usage(format!("{url} names no bucket")));
    }
    let cannot = |error: &store::Error| verbs::failure(format_args!("cannot use {url}"), error);
    let key = match key.trim_end_matches('/') {
        "" => None,
        key => Some(Key::new(key).map_err(|e| cannot(&e))?),
    };
    let settings = tool::settings()?;
    let config = Config::read(&|name| settings.get(name)).map_err(|e| cannot(&e))?;
    let store = S3Store::new(config, bucket, "").map_err(|e| cannot(&e))?;
    Ok(Spot { store: store.on_upload(Box::new(|abort| Box::new(tool::stop::Parting::new(abort)))), key })
}

/// A length of time: `90s`, `15m`, `24h`, `7d`; a bare number is in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Age(SignedDuration);

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let seconds = match unit {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86400,
            _ => return Err(format!("{text} is no length of time; write 90s, 15m, 24h or 7d")),
        };
        let number: i64 =
            number.parse().map_err(|_| format!("{text} is no length of time; write 90s, 15m, 24h or 7d"))?;
        Ok(Self(SignedDuration::from_secs(number.saturating_mul(seconds))))
    }
}

/// Lists unfinished uploads below `url` as JSON lines.
///
/// # Errors
/// The store's.
pub fn unfinished(url: &str) -> Result<(), Failure> {
    let spot = spot(url)?;
    let what = format!("cannot list the unfinished uploads of {url}");
    let mut output = std::io::BufWriter::new(tool::text_stdout()?);
    for upload in gather(&spot, &what)? {
        output.write_all(line(&spot, &upload).as_bytes()).map_err(|e| tool::cannot_write(&e))?;
    }
    output.flush().map_err(|e| tool::cannot_write(&e))
}

/// Aborts the unfinished uploads below `url` that were begun at least `age` ago, and says which.
///
/// # Errors
/// The store's.
pub fn abort(url: &str, age: Age) -> Result<(), Failure> {
    let spot = spot(url)?;
    let what = format!("cannot abort the unfinished uploads of {url}");
    let before = Timestamp::now() - age.0;
    let mut output = tool::text_stdout()?;
    for upload in gather(&spot, &what)? {
        if upload.begun > before {
            continue;
        }
        spot.store.abort(&upload).map_err(|e| verbs::failure(&what, &e))?;
        output.write_all(line(&spot, &upload).as_bytes()).map_err(|e| tool::cannot_write(&e))?;
    }
    Ok(())
}

/// An upload as it is printed: its name relative to the URL.
fn line(spot: &Spot, upload: &Unfinished) -> String {
    let folder = spot.key.as_ref().map_or_else(String::new, |key| format!("{key}/"));
    let name = upload.key.strip_prefix(&folder).unwrap_or(&upload.key);
    let line = json!({ "name": name, "upload_id": upload.id, "initiated": upload.begun.to_string() });
    format!("{line}\n")
}

fn gather(spot: &Spot, what: &str) -> Result<Vec<Unfinished>, Failure> {
    let mut all = Vec::new();
    let listed = spot.store.unfinished(spot.key.as_ref(), &mut |upload| {
        all.push(upload);
        Ok(())
    });
    listed.map_err(|e| verbs::failure(what, &e)).map(|()| all)
}
