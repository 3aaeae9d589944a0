//! What a server does with what it is asked for: found out with a scratch object, before anything depends on it.

use bytes::Bytes;
use reqwest::Method;
use store::{CreateOnly, Error, Key, PutOptions, Why};

use crate::answer::{Completed, Initiated};
use crate::client::{Call, Client, header, parse};
use crate::object;
use crate::refusal::{Fault, Intent};

/// The object that all headers are tried on.
const PROBE: &[u8] = b"probe";

/// As [`store::Store::probe`] says.
pub(crate) async fn run(client: &Client, scratch: &Key) -> Result<CreateOnly, Error> {
    let found = attempt(client, scratch).await;
    let removed = crate::remove::one(client, scratch).await;
    match (found, removed) {
        (Ok(found), Ok(())) => Ok(found),
        // under a lock that was asked for it stays, and that is as it should be
        (Ok(found), Err(Error::Denied(_))) if client.config.retention.is_some() => Ok(found),
        (Ok(_), Err(error)) | (Err(error), _) => Err(error),
    }
}

async fn attempt(client: &Client, scratch: &Key) -> Result<CreateOnly, Error> {
    let full = client.full(scratch.as_str());
    let explain = |fault: Fault| client.explain(fault, Intent::Put);
    let first = put(client, &full, false).await.map_err(explain)?;
    object::encrypted(client, first.headers())?;
    class_is_kept(client, &full).await?;
    match put(client, &full, true).await {
        Err(fault) if fault.is_precondition_failed() => {}
        Err(fault) if fault.is_status(501) => return Ok(CreateOnly::No),
        Err(fault) => return Err(explain(fault)),
        Ok(_) => return Ok(CreateOnly::No),
    }
    match complete(client, &full).await? {
        true => Ok(CreateOnly::Complete),
        false => Ok(CreateOnly::Put),
    }
}

/// A put with all headers that objects get.
async fn put(client: &Client, full: &str, conditional: bool) -> Result<reqwest::Response, Fault> {
    let mut headers = object::headers(client, &PutOptions::default(), None, "probe");
    headers.push(("content-md5".into(), object::md5(PROBE)));
    if conditional {
        headers.push(("if-none-match".into(), "*".to_owned()));
    }
    let body = Bytes::from_static(PROBE);
    client.send(&Call { key: Some(full), headers: &headers, body, ..Call::new(Method::PUT, Intent::Put) }).await
}

/// A class that the server does not know is refused, or quietly passed over: then the object does not say it.
async fn class_is_kept(client: &Client, full: &str) -> Result<(), Error> {
    let headers = object::customer(client);
    let call = Call { key: Some(full), headers: &headers, ..Call::new(Method::HEAD, Intent::Get) };
    let answer = client.call(&call).await?;
    let asked = client.config.storage_class.as_str();
    let said = header(answer.headers(), "x-amz-storage-class");
    if asked == "STANDARD" || said.as_deref() == Some(asked) {
        return Ok(());
    }
    let said = said.unwrap_or_else(|| "nothing".to_owned());
    Err(Error::Config(Why::hinted(
        format!("an object was stored with the storage class {asked}, and the server says {said} of it"),
        "Does this server have the class that WALG_S3_STORAGE_CLASS names?",
    )))
}

/// Whether the completion of a multipart upload is refused where there is an object already.
async fn complete(client: &Client, full: &str) -> Result<bool, Error> {
    let headers = object::headers(client, &PutOptions::default(), None, "probe");
    let query = [("uploads", String::new())];
    let begin = Call { key: Some(full), query: &query, headers: &headers, ..Call::new(Method::POST, Intent::Put) };
    let begun: Initiated = client.document(&begin).await?;
    let result = complete_as(client, full, &begun.upload_id).await;
    if !matches!(result, Ok(false)) {
        crate::unfinished::abort(client, full, &begun.upload_id).await?;
    }
    result
}

async fn complete_as(client: &Client, full: &str, id: &str) -> Result<bool, Error> {
    let mut headers = object::customer(client);
    headers.push(("content-md5".into(), object::md5(PROBE)));
    let query = [("partNumber", "1".to_owned()), ("uploadId", id.to_owned())];
    let body = Bytes::from_static(PROBE);
    let part = Call { key: Some(full), query: &query, headers: &headers, body, ..Call::new(Method::PUT, Intent::Put) };
    let part = client.call(&part).await?;
    let etag = header(part.headers(), "etag").unwrap_or_default();
    let query = [("uploadId", id.to_owned())];
    let headers = [("if-none-match".into(), "*".to_owned())];
    let body = Bytes::from(crate::upload::completion([(1, etag.as_str())].into_iter()));
    let call = Call { key: Some(full), query: &query, headers: &headers, body, ..Call::new(Method::POST, Intent::Put) };
    match client.answer(&call).await {
        Err(fault) if fault.is_precondition_failed() => Ok(true),
        Err(fault) if fault.is_status(501) => {
            crate::unfinished::abort(client, full, id).await?;
            Ok(false)
        }
        Err(fault) => Err(client.explain(fault, Intent::Put)),
        Ok((_, text)) => parse::<Completed>(&text).map(|_| false),
    }
}
