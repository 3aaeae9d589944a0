//! What is known of one object, and what is told of it when it is put.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use md5::{Digest, Md5};
use reqwest::Method;
use reqwest::header::{ETAG, HeaderMap, LAST_MODIFIED};
use store::{Content, Error, Key, Meta, PutOptions};

use crate::bucket;
use crate::client::{Call, Client, header};
use crate::config::Sse;
use crate::refusal::Intent;
use crate::sign::Header;

/// What an answer about an object says of it.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub size: u64,
    pub time: Timestamp,
    /// As it is sent, with its quotes.
    pub etag: Option<String>,
    pub content: Option<Content>,
    /// Whether `content` is that of the very bytes, not of what they are made of.
    pub plain: bool,
    /// The mark that the upload which made it carried.
    pub mark: Option<String>,
}

impl Object {
    /// From the headers of an answer to GET or HEAD.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where its length is not said.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Error> {
        let own = |name: &str| header(headers, &format!("x-amz-meta-walpipe-{name}"));
        let size = header(headers, "content-length").and_then(|text| text.parse().ok());
        let time = headers.get(LAST_MODIFIED).and_then(|value| value.to_str().ok());
        let time = time.and_then(|text| DateTimeParser::new().parse_timestamp(text).ok());
        let content = own("sha256").zip(own("size").and_then(|size| size.parse().ok()));
        Ok(Self {
            size: size.ok_or_else(|| Error::Corrupt("the server does not say how long the object is".into()))?,
            time: time.unwrap_or(Timestamp::UNIX_EPOCH),
            etag: headers.get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned),
            content: content.map(|(sha256, size)| Content { sha256, size }),
            plain: own("of").as_deref() == Some("object"),
            mark: own("upload"),
        })
    }

    pub(crate) fn meta(&self) -> Meta {
        let content = self.content.clone().filter(|_| !self.plain);
        Meta { size: self.size, time: self.time, content }
    }
}

/// What is known of an object; `None` if it is absent and the bucket is there.
///
/// # Errors
/// [`Error::Gone`] where the bucket is not there; the others as they say.
pub(crate) async fn head(client: &Client, key: &Key) -> Result<Option<Object>, Error> {
    let full = client.full(key.as_str());
    let headers = customer(client);
    let call = Call { key: Some(&full), headers: &headers, ..Call::new(Method::HEAD, Intent::Get) };
    match client.send(&call).await {
        Ok(response) => Object::of(response.headers()).map(Some),
        Err(fault) if fault.is_status(404) => {
            bucket::must_be_there(client).await?;
            Ok(None)
        }
        Err(fault) => Err(client.explain(fault, Intent::Get)),
    }
}

/// The headers by which a customer's key is sent: on whatever reads or writes an object.
pub(crate) fn customer(client: &Client) -> Vec<Header> {
    match &client.config.sse {
        Sse::Customer(key) => vec![
            ("x-amz-server-side-encryption-customer-algorithm".into(), "AES256".to_owned()),
            ("x-amz-server-side-encryption-customer-key".into(), encode(key)),
            ("x-amz-server-side-encryption-customer-key-md5".into(), md5(key.as_bytes())),
        ],
        _ => Vec::new(),
    }
}

/// A customer's key as it is sent.
pub(crate) fn encode(key: &str) -> String {
    BASE64.encode(key)
}

/// The MD5 of bytes, as Content-MD5 has it.
pub(crate) fn md5(bytes: &[u8]) -> String {
    BASE64.encode(Md5::digest(bytes))
}

/// All headers of an object that is to be made: names and values.
pub(crate) fn headers(client: &Client, options: &PutOptions, plain: Option<Content>, mark: &str) -> Vec<Header> {
    let config = &client.config;
    let mut own = BTreeMap::from([("upload", mark.to_owned())]);
    let of = if options.content.is_some() { "content" } else { "object" };
    if let Some(content) = options.content.clone().or(plain) {
        own.insert("sha256", content.sha256);
        own.insert("size", content.size.to_string());
        own.insert("of", of.to_owned());
    }
    let mut all = client.metadata(&own);
    let mut add = |name: &'static str, value: String| all.push((name.into(), value));
    add("x-amz-storage-class", config.storage_class.clone());
    match &config.sse {
        Sse::Aes256 => add("x-amz-server-side-encryption", "AES256".to_owned()),
        Sse::Kms(id) => {
            add("x-amz-server-side-encryption", "aws:kms".to_owned());
            add("x-amz-server-side-encryption-aws-kms-key-id", id.clone());
        }
        Sse::Unasked | Sse::Customer(_) => {}
    }
    if let Some(tags) = &config.tags {
        add("x-amz-tagging", tags.clone());
    }
    if let Some((mode, time)) = &config.retention {
        let until = Timestamp::now().as_second().saturating_add_unsigned(time.as_secs());
        add("x-amz-object-lock-mode", mode.clone());
        add("x-amz-object-lock-retain-until-date", Timestamp::from_second(until).unwrap_or(Timestamp::MAX).to_string());
    }
    all.extend(customer(client));
    all
}

/// Whether the server said that it encrypted as it was asked to: one that ignores the headers stores plaintext.
///
/// # Errors
/// [`Error::Config`] if it did not.
pub(crate) fn encrypted(client: &Client, headers: &HeaderMap) -> Result<(), Error> {
    let (name, wanted) = match &client.config.sse {
        Sse::Unasked => return Ok(()),
        Sse::Aes256 => ("x-amz-server-side-encryption", "AES256"),
        Sse::Kms(_) => ("x-amz-server-side-encryption", "aws:kms"),
        Sse::Customer(_) => ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
    };
    match header(headers, name) {
        Some(said) if said.eq_ignore_ascii_case(wanted) => Ok(()),
        _ => Err(Error::Config(store::Why::hinted(
            "the server did not say that it encrypted the object, as WALG_S3_SSE asks",
            "Nothing is left of it there.  Does this server support WALG_S3_SSE?",
        ))),
    }
}
