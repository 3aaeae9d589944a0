//! SigV4 on a request, by rusoto_signature.

use std::borrow::Cow;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use rusoto_credential::AwsCredentials;
use rusoto_signature::stream::ByteStream;
use rusoto_signature::{Region, SignedRequest};
use store::Error;

use crate::credentials::Credentials;

/// A header: its name and its value.
pub(crate) type Header = (Cow<'static, str>, String);

/// What is signed: a request of `service` (`s3`, `sts`) in `region`.
pub(crate) struct Unsigned<'a> {
    pub service: &'a str,
    pub region: &'a str,
    pub method: &'a Method,
    /// `https://host:port`, without a path.
    pub origin: &'a str,
    /// Not encoded; begins with a slash.
    pub path: &'a str,
    /// Not encoded.
    pub query: &'a [(&'a str, String)],
    pub headers: &'a [Header],
    pub payload: &'a Bytes,
    /// Whether the payload is signed as well.
    pub payload_too: bool,
}

/// Where the request goes, and its headers, the signature among them.
///
/// # Errors
/// [`Error::Config`] if a header cannot be sent as it is.
pub(crate) fn sign(request: &Unsigned<'_>, key: &Credentials) -> Result<(Url, HeaderMap), Error> {
    let odd = |what: &str| Error::Config(format!("{what} cannot be sent").into());
    let base: Url = request.origin.parse().map_err(|_| odd(request.origin))?;
    let host = base.host_str().ok_or_else(|| odd(request.origin))?;
    // as the client will send it: without the port that a scheme has anyway
    let host = base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let region = Region::Custom { name: request.region.to_owned(), endpoint: host.clone() };
    let mut signed = SignedRequest::new(request.method.as_str(), request.service, &region, request.path);
    signed.set_hostname(Some(host));
    for (name, value) in request.query {
        signed.add_param(*name, value.as_str());
    }
    for (name, value) in request.headers {
        signed.add_header(name.as_ref(), value);
    }
    if request.payload_too {
        signed.set_payload(Some(request.payload.clone()));
    } else {
        signed.set_payload_stream(ByteStream::from(Vec::new()));
    }
    signed.sign(&AwsCredentials::new(key.id.as_str(), key.secret.as_str(), key.token.clone(), None));
    let mut headers = HeaderMap::new();
    for (name, values) in signed.headers() {
        if matches!(name.as_str(), "host" | "content-length") {
            continue; // the client's own, the same
        }
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| odd(name))?;
        for value in values {
            let mut value = HeaderValue::from_bytes(value).map_err(|_| odd(&format!("the value of {name}")))?;
            value.set_sensitive(true); // never in a debug print
            headers.append(header.clone(), value);
        }
    }
    let query = signed.canonical_query_string();
    let mark = if query.is_empty() { "" } else { "?" };
    let url = format!("{}{}{mark}{query}", request.origin, signed.canonical_uri());
    Ok((url.parse().map_err(|_| odd(&url))?, headers))
}
