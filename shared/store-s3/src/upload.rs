//! An object on its way into a bucket: one PUT where it is small, else parts, side by side.

use std::any::Any;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Method;
use reqwest::header::HeaderMap;
use sha2::{Digest, Sha256};
use store::{Content, CreateOnly, Error, Key, PutOptions, Upload, Why, hex};

use crate::answer::{Completed, Initiated, escape};
use crate::client::{Call, Client, header, parse};
use crate::object::{self, Object};
use crate::parts::Sizes;
use crate::refusal::{Fault, Intent};
use crate::sign::Header;
use crate::{Abort, S3Store};

/// Buffers of one stream at most, the one that is being filled among them.
pub(crate) const BUFFERS: usize = 4;
/// How much a buffer holds at first; it grows as it is filled.
const FIRST: usize = 256 << 10;
/// How long the end of an upload may take that is not to be completed.
const PARTING: Duration = Duration::from_secs(10);

/// An object on its way.
pub(crate) struct S3Upload<'a> {
    store: &'a S3Store,
    key: Key,
    full: String,
    options: PutOptions,
    /// Tells this upload's object from others'.
    mark: String,
    sizes: Sizes,
    buffer: BytesMut,
    total: u64,
    multi: Option<Multi>,
}

/// A multipart upload.
struct Multi {
    id: String,
    sender: Sender<Sent>,
    receiver: Receiver<Sent>,
    /// Parts begun, and those that have not been answered yet.
    begun: u32,
    flying: usize,
    /// Number and etag of each part that is stored.
    stored: Vec<(u32, String)>,
    spare: Vec<BytesMut>,
    /// Whether it is completed, or aborted: then there is nothing left to abort.
    over: bool,
    _told: Box<dyn Any>,
}

/// What came of a part.
struct Sent {
    number: u32,
    result: Result<String, Fault>,
    bytes: Bytes,
}

impl<'a> S3Upload<'a> {
    pub(crate) fn new(store: &'a S3Store, key: &Key, options: &PutOptions) -> Result<Self, Error> {
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .map_err(|e| Error::Broken(format!("no random bytes: {e}").into()))?;
        Ok(Self {
            store,
            key: key.clone(),
            full: store.client.full(key.as_str()),
            options: options.clone(),
            mark: hex(&random),
            sizes: Sizes::new(store.client.config.part_size, options.size),
            buffer: BytesMut::with_capacity(FIRST),
            total: 0,
            multi: None,
        })
    }

    fn client(&self) -> &Arc<Client> {
        &self.store.client
    }

    fn explain(&self, fault: Fault) -> Error {
        self.client().explain(fault, Intent::Put)
    }

    /// Sends the part that is full, and waits until there is a buffer for the next one.
    fn next_part(&mut self) -> Result<(), Error> {
        if self.multi.is_none() {
            self.multi = Some(self.begin()?);
        }
        self.wait_for(self.client().lanes() - 1)?;
        self.send_part()?;
        if !self.sizes.advance() {
            let hint = "Set WALG_S3_MAX_PART_SIZE higher, or cut the stream in pieces.";
            return Err(Error::Invalid(Why::hinted("the stream is longer than an object can be", hint)));
        }
        self.wait_for(if self.sizes.grown() { 0 } else { BUFFERS - 1 })?;
        let Some(multi) = &mut self.multi else { return Ok(()) };
        self.buffer = multi.spare.pop().unwrap_or_default();
        self.buffer.clear();
        Ok(())
    }

    /// Waits until at most so many parts are in flight.
    fn wait_for(&mut self, most: usize) -> Result<(), Error> {
        let Some(multi) = &mut self.multi else { return Ok(()) };
        while multi.flying > most {
            multi.take().map_err(|fault| self.store.client.explain(fault, Intent::Put))?;
        }
        Ok(())
    }

    /// Hands the buffer to a task that stores it as the next part.
    fn send_part(&mut self) -> Result<(), Error> {
        let Some(multi) = &mut self.multi else { return Ok(()) };
        multi.begun += 1;
        multi.flying += 1;
        let (number, id, bytes) = (multi.begun, multi.id.clone(), std::mem::take(&mut self.buffer).freeze());
        let (client, sender, full) = (self.store.client.clone(), multi.sender.clone(), self.full.clone());
        self.store.runtime.spawn(async move {
            let result = put_part(&client, &full, &id, number, &bytes).await;
            let _ = sender.send(Sent { number, result, bytes });
        });
        Ok(())
    }

    /// Begins a multipart upload.
    fn begin(&self) -> Result<Multi, Error> {
        let client = self.client();
        let headers = object::headers(client, &self.options, None, &self.mark);
        let query = [("uploads", String::new())];
        let call =
            Call { key: Some(&self.full), query: &query, headers: &headers, ..Call::new(Method::POST, Intent::Put) };
        let begun = self.store.runtime.block_on(client.answer(&call));
        let (answered, text) = begun.map_err(|fault| self.explain(fault))?;
        let encrypted = object::encrypted(client, &answered);
        let answer: Initiated = parse(&text)?;
        let (sender, receiver) = channel();
        let told = (self.store.on_upload)(self.abort(&answer.upload_id));
        let multi = Multi {
            id: answer.upload_id,
            sender,
            receiver,
            begun: 0,
            flying: 0,
            stored: Vec::new(),
            spare: Vec::new(),
            over: false,
            _told: told,
        };
        if let Err(error) = encrypted {
            (self.abort(&multi.id))();
            return Err(error);
        }
        Ok(multi)
    }

    /// What aborts the upload `id`.
    fn abort(&self, id: &str) -> Abort {
        let (client, handle) = (self.client().clone(), self.store.handle());
        let (full, id) = (self.full.clone(), id.to_owned());
        Box::new(move || {
            handle.block_on(async {
                let aborted = crate::unfinished::abort(&client, &full, &id);
                let _ = tokio::time::timeout(PARTING, aborted).await;
            });
        })
    }

    /// A PUT of all that there is, which is in the buffer.
    fn put_at_once(&mut self) -> Result<(Option<String>, bool), Error> {
        let bytes = std::mem::take(&mut self.buffer).freeze();
        let digest = || Content { sha256: hex(&Sha256::digest(&bytes)), size: bytes.len() as u64 };
        let told = self.options.content.clone();
        let plain = if told.is_none() { Some(digest()) } else { None };
        let client = self.client();
        let mut headers = object::headers(client, &self.options, plain, &self.mark);
        if client.config.unsigned_payload || client.config.retention.is_some() {
            headers.push(("content-md5".into(), object::md5(&bytes)));
        }
        let same = |there: &Object| {
            let ours = if there.plain { Some(digest()) } else { told.clone() };
            match (&there.content, ours) {
                (Some(theirs), Some(ours)) => Ok(*theirs == ours),
                _ => self.same_bytes(there, &bytes),
            }
        };
        self.create(&same, &headers, Method::PUT, &[], &bytes)
    }

    /// Whether the object that is there has these bytes; it is read for that.
    fn same_bytes(&self, there: &Object, bytes: &Bytes) -> Result<bool, Error> {
        use store::Store;
        if there.size != bytes.len() as u64 {
            return Ok(false);
        }
        let mut body = self.store.get(&self.key)?.body;
        let mut theirs = Vec::with_capacity(bytes.len());
        io::copy(&mut body, &mut theirs).map_err(|e| Error::Broken(format!("cannot compare: {e}").into()))?;
        Ok(theirs == **bytes)
    }

    /// The completion of the multipart upload.
    fn complete(&mut self) -> Result<(Option<String>, bool), Error> {
        self.wait_for(self.client().lanes() - 1)?;
        self.send_part()?;
        self.wait_for(0)?;
        let Some(multi) = &mut self.multi else { return Ok((None, false)) };
        multi.stored.sort_unstable();
        let document = completion(multi.stored.iter().map(|(number, etag)| (*number, etag.as_str())));
        let query = [("uploadId", multi.id.clone())];
        let expected = whole_etag(&multi.stored);
        let total = self.total;
        let content = self.options.content.clone();
        let same = |there: &Object| {
            let by_content = there.content.as_ref().filter(|_| !there.plain).zip(content.as_ref());
            let by_etag = || there.size == total && there.etag.is_some() && there.etag == expected;
            Ok(by_content.map_or_else(by_etag, |(theirs, ours)| theirs == ours))
        };
        let headers = object::customer(self.client());
        let result = self.create(&same, &headers, Method::POST, &query, &Bytes::from(document));
        let ours = matches!(&result, Ok((_, true)));
        if let Some(multi) = self.multi.as_mut().filter(|_| ours) {
            multi.over = true;
        }
        result
    }

    /// Makes the object, if need be only where there is none: by the server's own promise, or, where that is not known,
    /// by looking, writing and looking again. The etag, and whether it was this upload that made it.
    fn create(
        &self,
        same: &dyn Fn(&Object) -> Result<bool, Error>,
        headers: &[Header],
        method: Method,
        query: &[(&str, String)],
        body: &Bytes,
    ) -> Result<(Option<String>, bool), Error> {
        let client = self.client();
        let multipart = method == Method::POST;
        let taken = |there: &Object| match same(there) {
            Ok(true) => Ok((there.etag.clone().map(|etag| bare(&etag)), false)),
            Ok(false) => Err(Error::Exists("it exists already, with other content".into())),
            Err(error) => Err(error),
        };
        let look = || self.store.runtime.block_on(object::head(client, &self.key));
        let ours = |there: &Object| there.mark.as_deref() == Some(&self.mark);
        let promised = match client.config.create_only {
            Some(CreateOnly::Complete) => true,
            Some(CreateOnly::Put) => !multipart,
            Some(CreateOnly::No) | None => false,
        };
        // where nobody has found out, the header is sent as well
        let mut conditional = self.options.create_only && client.config.create_only != Some(CreateOnly::No);
        if self.options.create_only
            && !promised
            && let Some(there) = look()?
        {
            return taken(&there);
        }
        let answer = loop {
            let mut headers = headers.to_vec();
            if conditional {
                headers.push(("if-none-match".into(), "*".to_owned()));
            }
            let call = Call {
                key: Some(&self.full),
                query,
                headers: &headers,
                body: body.clone(),
                patience: if multipart { 5 } else { 1 },
                ..Call::new(method.clone(), Intent::Put)
            };
            match self.store.runtime.block_on(self.make(&call)) {
                Ok(answer) => break answer,
                // our own answer may have been lost, and the object not
                Err(fault) if fault.is_precondition_failed() && conditional => match look()? {
                    Some(there) if ours(&there) => break (there.etag.map(|e| bare(&e)), None),
                    Some(there) => return taken(&there),
                    None => return Err(Error::Busy("the object that was in the way is gone again".into())),
                },
                Err(fault) if fault.is_status(501) && conditional => conditional = false,
                Err(fault) if multipart && fault.refusal().is_some_and(|refusal| refusal.code == "NoSuchUpload") => {
                    match look()? {
                        Some(there) if ours(&there) => break (there.etag.map(|e| bare(&e)), None),
                        _ => return Err(self.explain(fault)),
                    }
                }
                Err(fault) => return Err(self.explain(fault)),
            }
        };
        let (etag, answered) = answer;
        // some servers do not say what the whole of the parts is called
        let etag = match etag.filter(|etag| !etag.is_empty()) {
            None => look()?.and_then(|there| there.etag).map(|etag| bare(&etag)),
            etag => etag,
        };
        if let Some(answered) = answered.filter(|_| !multipart) {
            self.keep_only_encrypted(&answered)?;
        }
        if self.options.create_only && !promised {
            match look()? {
                Some(there) if there.mark.as_deref() == Some(&self.mark) => {}
                // a server that keeps no marks, unless somebody who sets none was here
                Some(there) if there.mark.is_none() && there.etag.as_deref().map(bare) == etag => {}
                Some(there) if same(&there)? => {}
                Some(_) => {
                    return Err(Error::Exists("somebody else stored other content there at the same time".into()));
                }
                None => return Err(Error::Busy("it was stored, and is gone again".into())),
            }
        }
        Ok((etag, true))
    }

    /// Sends what makes the object; its etag and the headers of the answer.
    async fn make(&self, call: &Call<'_>) -> Result<(Option<String>, Option<HeaderMap>), Fault> {
        let (headers, text) = self.client().answer(call).await?;
        let etag = header(&headers, "etag").map(|etag| bare(&etag));
        if call.method == Method::PUT {
            return Ok((etag, Some(headers)));
        }
        match parse::<Completed>(&text) {
            Ok(done) => Ok((done.etag.map(|etag| bare(&etag)).or(etag), Some(headers))),
            Err(error) => Err(Fault::said(error)),
        }
    }

    /// An object that is not encrypted as asked does not stay.
    fn keep_only_encrypted(&self, answered: &HeaderMap) -> Result<(), Error> {
        let client = self.client();
        object::encrypted(client, answered).inspect_err(|_| {
            let _ = self.store.runtime.block_on(crate::remove::one(client, &self.key));
        })
    }
}

/// Stores one part; its etag.
async fn put_part(client: &Client, full: &str, id: &str, number: u32, bytes: &Bytes) -> Result<String, Fault> {
    let query = [("partNumber", number.to_string()), ("uploadId", id.to_owned())];
    let mut headers = object::customer(client);
    if client.config.unsigned_payload {
        headers.push(("content-md5".into(), object::md5(bytes)));
    }
    let call = Call {
        key: Some(full),
        query: &query,
        headers: &headers,
        body: bytes.clone(),
        ..Call::new(Method::PUT, Intent::Put)
    };
    let response = client.send(&call).await?;
    header(response.headers(), "etag")
        .ok_or_else(|| Fault::said(Error::Corrupt("the server gave a part no etag".into())))
}

impl Multi {
    /// Waits for one part to be answered.
    fn take(&mut self) -> Result<(), Fault> {
        let gone = |_| Fault::said(Error::Broken("a thread is gone".into()));
        let sent = self.receiver.recv().map_err(gone)?;
        self.flying -= 1;
        self.stored.push((sent.number, sent.result?));
        if let Ok(buffer) = sent.bytes.try_into_mut() {
            self.spare.push(buffer);
        }
        Ok(())
    }
}

impl Write for S3Upload<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let filled = self.buffer.len() as u64;
        let room = self.sizes.current().saturating_sub(filled);
        if room == 0 {
            self.next_part().map_err(io::Error::other)?;
            return self.write(bytes);
        }
        let take = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        if self.multi.is_some() && self.buffer.capacity() == 0 {
            self.buffer.reserve(usize::try_from(self.sizes.current()).unwrap_or(take));
        }
        self.buffer.extend_from_slice(&bytes[..take]);
        self.total += take as u64;
        Ok(take)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for S3Upload<'_> {
    fn finish(mut self: Box<Self>) -> Result<Option<String>, Error> {
        let made = if self.multi.is_some() { self.complete() } else { self.put_at_once() };
        made.map(|(etag, _)| etag)
    }
}

impl Drop for S3Upload<'_> {
    fn drop(&mut self) {
        if let Some(multi) = self.multi.take().filter(|multi| !multi.over) {
            (self.abort(&multi.id))();
        }
    }
}

/// The document that completes an upload of these parts.
pub(crate) fn completion<'a>(parts: impl Iterator<Item = (u32, &'a str)>) -> String {
    let part = |(number, etag): (u32, &str)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>", escape(etag))
    };
    let parts: String = parts.map(part).collect();
    format!(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{parts}</CompleteMultipartUpload>"
    )
}

/// The etag that an object of these parts has, where parts' etags are their MD5: as AWS makes it.
fn whole_etag(parts: &[(u32, String)]) -> Option<String> {
    let mut digests = Vec::with_capacity(parts.len() * 16);
    for (_, etag) in parts {
        let etag = etag.trim_matches('"');
        if etag.len() != 32 {
            return None;
        }
        for at in (0..32).step_by(2) {
            digests.push(u8::from_str_radix(etag.get(at..at + 2)?, 16).ok()?);
        }
    }
    let whole = hex(&md5::Md5::digest(&digests));
    Some(format!("\"{whole}-{}\"", parts.len()))
}

/// An etag without its quotes.
fn bare(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}
