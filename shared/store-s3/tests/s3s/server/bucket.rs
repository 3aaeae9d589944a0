//! What the server keeps: one bucket, in memory.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;
use md5::{Digest, Md5};
use s3s::dto::{ETag, Metadata, ServerSideEncryption, StorageClass};
use s3s::{S3Result, s3_error};

/// What is said of an object when it is put or its upload is begun.
#[derive(Clone, Default)]
pub struct About {
    pub metadata: Option<Metadata>,
    pub class: Option<StorageClass>,
    pub encryption: Option<ServerSideEncryption>,
    pub locked: bool,
}

#[derive(Clone)]
pub struct Object {
    pub bytes: Bytes,
    /// Without quotes.
    pub etag: String,
    pub time: SystemTime,
    pub about: About,
}

impl Object {
    pub fn new(bytes: Bytes, etag: String, about: About) -> Self {
        Self { bytes, etag, time: SystemTime::now(), about }
    }

    pub fn etag(&self) -> Option<ETag> {
        Some(ETag::Strong(self.etag.clone()))
    }
}

/// An upload that is not finished.
pub struct Upload {
    pub about: About,
    pub time: SystemTime,
    /// Etag and bytes by number.
    pub parts: BTreeMap<i32, (String, Bytes)>,
}

#[derive(Default)]
pub struct Bucket {
    pub objects: BTreeMap<String, Object>,
    /// By key and name.
    pub uploads: BTreeMap<(String, String), Upload>,
    /// Keys that are not removed, with S3's word why, and how often.
    pub stuck: BTreeMap<String, (&'static str, usize)>,
    begun: usize,
}

impl Bucket {
    /// Stores an object whole, as somebody else does it.
    pub fn keep(&mut self, key: &str, bytes: &'static [u8]) {
        let _ = self.put(key, Bytes::from_static(bytes), About::default(), false);
    }

    /// Stores an object; with `create`, only where there is none.
    pub fn put(&mut self, key: &str, bytes: Bytes, about: About, create: bool) -> S3Result<Object> {
        if create && self.objects.contains_key(key) {
            return Err(s3_error!(PreconditionFailed));
        }
        let object = Object::new(bytes.clone(), md5(&bytes), about);
        self.objects.insert(key.to_owned(), object.clone());
        Ok(object)
    }

    pub fn get(&self, key: &str) -> S3Result<Object> {
        self.objects.get(key).cloned().ok_or_else(|| s3_error!(NoSuchKey))
    }

    /// Removes an object; one that is absent is removed already.
    pub fn remove(&mut self, key: &str) -> S3Result<()> {
        if let Some((code, times)) = self.stuck.get_mut(key).filter(|(_, times)| *times > 0) {
            *times -= 1;
            return Err(code.parse::<s3s::S3ErrorCode>().unwrap().into());
        }
        if self.objects.get(key).is_some_and(|object| object.about.locked) {
            return Err(s3_error!(AccessDenied));
        }
        self.objects.remove(key);
        Ok(())
    }

    /// Begins an upload; its name.
    pub fn begin(&mut self, key: &str, about: About) -> String {
        self.begun += 1;
        let id = format!("upload {}+", self.begun);
        let upload = Upload { about, time: SystemTime::now(), parts: BTreeMap::new() };
        self.uploads.insert((key.to_owned(), id.clone()), upload);
        id
    }
}

/// The MD5 of bytes in hex digits.
pub fn md5(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
