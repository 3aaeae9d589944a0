//! An object on its way out of a bucket, taken up again where it breaks off.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use reqwest::{Method, Response, StatusCode};
use sha2::{Digest, Sha256};
use store::{Download, Error, Key, hex};
use tokio::runtime::Handle;

use crate::client::{Call, Client, backoff, header, network};
use crate::object::{self, Object};
use crate::refusal::{Cause, Fault, Intent};

/// Opens an object.
///
/// # Errors
/// [`Error::Absent`], [`Error::Gone`] and the others as they say.
pub(crate) fn open(client: &Arc<Client>, handle: Handle, key: &Key) -> Result<Download, Error> {
    let full = client.full(key.as_str());
    let response = handle.block_on(whole(client, &full)).map_err(|fault| client.explain(fault, Intent::Get))?;
    let mut object = Object::of(response.headers())?;
    if let Some(total) =
        header(response.headers(), "content-range").and_then(|range| range.rsplit('/').next()?.parse().ok())
    {
        object.size = total;
    }
    let meta = object.meta();
    let sum = object.content.clone().filter(|_| object.plain).map(|content| (Sha256::new(), content.sha256));
    let body = Body {
        client: client.clone(),
        handle,
        full,
        object,
        at: 0,
        response: Some(response),
        piece: Bytes::new(),
        sum,
        broken: 0,
        since: Instant::now(),
    };
    Ok(Download { meta, body: Box::new(body), descriptor: None })
}

/// Asks for all of an object, as a range: then the answer says twice how long that is, and a body that was cut on its way
/// under a length of its own is noticed.  An empty object has no range.
async fn whole(client: &Client, full: &str) -> Result<Response, Fault> {
    match ask(client, full, Some((0, None))).await {
        Err(fault) if fault.is_status(416) => ask(client, full, None).await,
        other => other,
    }
}

/// Asks for an object, or for what of it begins at `from`, as long as it is still the one with `etag`.
async fn ask(client: &Client, full: &str, from: Option<(u64, Option<&str>)>) -> Result<Response, Fault> {
    let mut headers = object::customer(client);
    if let Some((at, etag)) = from {
        headers.push(("range".into(), format!("bytes={at}-")));
        headers.extend(etag.map(|etag| ("if-match".into(), etag.to_owned())));
    }
    client.send(&Call { key: Some(full), headers: &headers, ..Call::new(Method::GET, Intent::Get) }).await
}

/// An object's bytes, exactly as many as it has.
struct Body {
    client: Arc<Client>,
    handle: Handle,
    full: String,
    object: Object,
    /// Bytes that were handed out.
    at: u64,
    response: Option<Response>,
    piece: Bytes,
    /// The digest of what came, and what it has to be, where that is known.
    sum: Option<(Sha256, String)>,
    /// How often it broke off since something came.
    broken: u32,
    /// Since when nothing came.
    since: Instant,
}

impl Body {
    /// The next bytes from the server; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if self.at == self.object.size {
                return Ok(None);
            }
            let cause = match &mut self.response {
                Some(response) => match tokio::time::timeout(self.client.config.timeout, response.chunk()).await {
                    Ok(Ok(Some(piece))) => {
                        self.broken = 0;
                        return Ok(Some(piece));
                    }
                    Ok(Ok(None)) => Cause::Network("the connection ended too early".to_owned()),
                    Ok(Err(error)) => network(&error, ""),
                    Err(_) => Cause::Stalled(self.client.config.timeout),
                },
                None => Cause::Network("there is no connection".to_owned()),
            };
            self.response = None;
            self.broken += 1;
            let tries = self.broken;
            if tries == 1 {
                self.since = Instant::now();
            }
            let took = self.since.elapsed();
            let fault = |cause| Fault { cause, tries, took };
            let most = self.client.config.resumes.min(self.client.config.retries);
            let Some(etag) = self.object.etag.clone().filter(|_| tries <= most) else {
                return Err(self.client.explain(fault(cause), Intent::Get));
            };
            tokio::time::sleep(backoff(tries)).await;
            self.response = Some(self.resume(&etag).await?);
        }
    }

    /// Asks for the rest.
    async fn resume(&self, etag: &str) -> Result<Response, Error> {
        let changed = || Error::Corrupt("the object was replaced while it was read".into());
        match ask(&self.client, &self.full, Some((self.at, Some(etag)))).await {
            Ok(response) => {
                let begins = header(response.headers(), "content-range");
                let right = begins.is_some_and(|range| range.starts_with(&format!("bytes {}-", self.at)));
                if response.status() != StatusCode::PARTIAL_CONTENT || !right {
                    return Err(Error::Corrupt("the server gave another part of the object than was asked for".into()));
                }
                match header(response.headers(), "etag") {
                    Some(other) if other != etag => Err(changed()),
                    _ => Ok(response),
                }
            }
            Err(fault) if fault.is_status(412) || fault.is_status(404) => Err(changed()),
            Err(fault) => Err(self.client.explain(fault, Intent::Get)),
        }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.piece.is_empty() {
            let handle = self.handle.clone();
            let Some(piece) = handle.block_on(self.next()).map_err(io::Error::other)? else {
                if let Some((sum, wanted)) = self.sum.take() {
                    let came = hex(&sum.finalize());
                    if came != wanted {
                        let text = format!("its bytes have the SHA-256 {came}, and were stored with {wanted}");
                        return Err(io::Error::other(Error::Corrupt(text.into())));
                    }
                }
                return Ok(0);
            };
            let left = self.object.size - self.at;
            if piece.len() as u64 > left {
                return Err(io::Error::other(Error::Corrupt("more came than the object has".into())));
            }
            if let Some((sum, _)) = &mut self.sum {
                sum.update(&piece);
            }
            self.at += piece.len() as u64;
            self.piece = piece;
        }
        let size = buffer.len().min(self.piece.len());
        buffer[..size].copy_from_slice(&self.piece.split_to(size));
        Ok(size)
    }
}
