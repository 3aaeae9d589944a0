//! Uploads that were begun and neither completed nor aborted: what `kill -9` leaves; they cost money and show nowhere.

use jiff::Timestamp;
use reqwest::Method;
use store::{Error, Key};

use crate::S3Store;
use crate::answer::{Uploads, decode};
use crate::client::{Call, Client};
use crate::refusal::{Intent, Refusal};

/// An upload that is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The key that it was for, relative to the store's root.
    pub key: String,
    /// The server's name for it.
    pub id: String,
    /// When it was begun.
    pub begun: Timestamp,
}

impl S3Store {
    /// Calls `each` for every unfinished upload below `folder` (none: the root).
    ///
    /// # Errors
    /// The store's, and those of `each`.
    pub fn unfinished(
        &self,
        folder: Option<&Key>,
        each: &mut dyn FnMut(Unfinished) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.runtime.block_on(list(&self.client, folder, each))
    }

    /// Aborts an upload; one that is over is aborted already.
    ///
    /// # Errors
    /// The store's.
    pub fn abort(&self, upload: &Unfinished) -> Result<(), Error> {
        let full = self.client.full(&upload.key);
        self.runtime.block_on(abort(&self.client, &full, &upload.id))
    }
}

/// Aborts the upload `id` of the whole key `full`.
pub(crate) async fn abort(client: &Client, full: &str, id: &str) -> Result<(), Error> {
    let query = [("uploadId", id.to_owned())];
    let call = Call { key: Some(full), query: &query, ..Call::new(Method::DELETE, Intent::Put) };
    match client.send(&call).await {
        Ok(_) => Ok(()),
        Err(fault) if fault.is_status(404) && !fault.refusal().is_some_and(Refusal::no_bucket) => Ok(()),
        Err(fault) => Err(client.explain(fault, Intent::Put)),
    }
}

async fn list(
    client: &Client,
    folder: Option<&Key>,
    each: &mut dyn FnMut(Unfinished) -> Result<(), Error>,
) -> Result<(), Error> {
    let prefix = folder.map_or_else(|| client.prefix().to_owned(), |key| client.full(&format!("{key}/")));
    let mut markers: Option<(String, String)> = None;
    loop {
        let mut query =
            vec![("uploads", String::new()), ("encoding-type", "url".to_owned()), ("prefix", prefix.clone())];
        if let Some((key, id)) = &markers {
            query.extend([("key-marker", key.clone()), ("upload-id-marker", id.clone())]);
        }
        let page: Uploads = client.document(&Call { query: &query, ..Call::new(Method::GET, Intent::List) }).await?;
        let encoding = page.encoding_type.as_deref();
        for upload in &page.upload {
            let full = decode(&upload.key, encoding);
            if let Some(key) = full.strip_prefix(client.prefix()) {
                let begun = upload.initiated.parse().unwrap_or(Timestamp::UNIX_EPOCH);
                each(Unfinished { key: key.to_owned(), id: upload.upload_id.clone(), begun })?;
            }
        }
        if !page.is_truncated {
            return Ok(());
        }
        let id = page.next_upload_id_marker.unwrap_or_default();
        let next = page.next_key_marker.map(|key| (decode(&key, encoding), id));
        if next.is_none() || next == markers {
            return Err(Error::Corrupt("the list breaks off, and does not say where to go on".into()));
        }
        markers = next;
    }
}
