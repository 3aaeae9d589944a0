//! Removal of objects: in batches where the server has them, else one by one.

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use store::{Error, Key};

use crate::answer::{DeleteError, Deleted, ErrorBody, escape};
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
        let alone = match answer.error.iter().find(|error| error.key == *name).map(refusal) {
            Some(refusal) if refusal.code == "NoSuchKey" => false,
            Some(refusal) if refusal.may_pass() => true,
            Some(refusal) => {
                let fault = Fault::of(Cause::Refused(Box::new(refusal)));
                failed(key, client.explain(fault, Intent::Delete));
                false
            }
            // a server that escapes names in its own way, or forgets them
            None => !answer.deleted.iter().any(|deleted| deleted.key == *name),
        };
        if alone && let Err(error) = one(client, key).await {
            failed(key, error);
        }
    }
    Ok(())
}

/// What the answer says of one key.
fn refusal(error: &DeleteError) -> Refusal {
    let (code, message) = (error.code.clone(), error.message.clone());
    Refusal::new(StatusCode::OK, ErrorBody { code, message, region: None })
}
