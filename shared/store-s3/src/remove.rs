//! Removal of objects: in batches where the server has them, else one by one.

use bytes::Bytes;
use reqwest::Method;
use store::{Error, Key};

use crate::answer::{Deleted, ErrorBody, escape};
use crate::bucket;
use crate::client::{Call, Client, parse};
use crate::object;
use crate::refusal::{Cause, Fault, Intent, Refusal};

/// The most keys of a batch.
const BATCH: usize = 1000;

/// Removes one object; one that is absent is removed already.
///
/// # Errors
/// As they say.
pub(crate) async fn one(client: &Client, key: &Key) -> Result<(), Error> {
    let full = client.full(key.as_str());
    let call = Call { key: Some(&full), ..Call::new(Method::DELETE, Intent::Delete) };
    match client.send(&call).await {
        Ok(_) => Ok(()),
        Err(fault) if fault.is_status(404) && !fault.refusal().is_some_and(Refusal::no_bucket) => {
            bucket::must_be_there(client).await
        }
        Err(fault) => Err(client.explain(fault, Intent::Delete)),
    }
}

/// Removes many, and tells of each that could not be removed.
///
/// # Errors
/// What kept it from trying the others as well.
pub(crate) async fn many(client: &Client, keys: &[Key], failed: &mut dyn FnMut(&Key, Error)) -> Result<(), Error> {
    let mut batches = keys.len() > 1;
    for keys in keys.chunks(BATCH) {
        if batches {
            match batch(client, keys, failed).await {
                Ok(()) => continue,
                Err(fault) if [400, 405, 411, 501].iter().any(|status| fault.is_status(*status)) => batches = false,
                Err(fault) => return Err(client.explain(fault, Intent::Delete)),
            }
        }
        for key in keys {
            if let Err(error) = one(client, key).await {
                failed(key, error);
            }
        }
    }
    Ok(())
}

/// Removes at most [`BATCH`] objects by one request, and looks at what the answer says of each.
async fn batch(client: &Client, keys: &[Key], failed: &mut dyn FnMut(&Key, Error)) -> Result<(), Fault> {
    let names: Vec<String> = keys.iter().map(|key| client.full(key.as_str())).collect();
    let objects: String = names.iter().map(|name| format!("<Object><Key>{}</Key></Object>", escape(name))).collect();
    let document = format!("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{objects}</Delete>");
    let headers = [
        ("content-md5".into(), object::md5(document.as_bytes())),
        ("content-type".into(), "application/xml".to_owned()),
    ];
    let query = [("delete", String::new())];
    let call = Call {
        query: &query,
        headers: &headers,
        body: Bytes::from(document),
        ..Call::new(Method::POST, Intent::Delete)
    };
    let (_, text) = client.answer(&call).await?;
    let answer: Deleted = parse(&text).map_err(Fault::said)?;
    for (key, name) in keys.iter().zip(&names) {
        if let Some(error) = answer.error.iter().find(|error| error.key == *name) {
            if error.code != "NoSuchKey" {
                failed(key, refused(client, error.code.clone(), error.message.clone()));
            }
        } else if !answer.deleted.iter().any(|deleted| deleted.key == *name) {
            // neither: a server that escapes names in its own way, or forgets them; so it is asked by itself
            if let Err(error) = one(client, key).await {
                failed(key, error);
            }
        }
    }
    Ok(())
}

/// What the answer says of one key.
fn refused(client: &Client, code: String, message: String) -> Error {
    let status = match code.as_str() {
        "AccessDenied" => reqwest::StatusCode::FORBIDDEN,
        "InternalError" | "SlowDown" | "ServiceUnavailable" => reqwest::StatusCode::SERVICE_UNAVAILABLE,
        _ => reqwest::StatusCode::BAD_REQUEST,
    };
    let refusal = Refusal::new(status, ErrorBody { code, message, region: None });
    client.explain(Fault::of(Cause::Refused(Box::new(refusal))), Intent::Delete)
}
