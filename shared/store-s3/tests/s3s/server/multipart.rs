//! Multipart uploads.

use bytes::{Bytes, BytesMut};
use md5::{Digest, Md5};
use s3s::dto::{
    CompletedPart, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsOutput, MultipartUpload, Part,
};
use s3s::{S3Result, s3_error};

use super::bucket::{Bucket, Object, hex, md5};
use super::list;

/// The least that a part may have, all but the last.
const LEAST: usize = 5 << 20;

impl Bucket {
    /// Stores a part; its etag.
    pub fn part(&mut self, key: &str, id: &str, number: i32, bytes: Bytes) -> S3Result<String> {
        let upload = self.uploads.get_mut(&(key.to_owned(), id.to_owned())).ok_or_else(|| s3_error!(NoSuchUpload))?;
        let etag = md5(&bytes);
        upload.parts.insert(number, (etag.clone(), bytes));
        Ok(etag)
    }

    /// Makes an object of parts; with `create`, only where there is none.
    pub fn complete(&mut self, key: &str, id: &str, named: &[CompletedPart], create: bool) -> S3Result<Object> {
        let name = (key.to_owned(), id.to_owned());
        let upload = self.uploads.get(&name).ok_or_else(|| s3_error!(NoSuchUpload))?;
        if create && self.objects.contains_key(key) {
            return Err(s3_error!(PreconditionFailed));
        }
        let (mut whole, mut digests, mut last) = (BytesMut::new(), Md5::new(), 0);
        for (at, part) in named.iter().enumerate() {
            let number = part.part_number.unwrap_or_default();
            let stored = upload.parts.get(&number).ok_or_else(|| s3_error!(InvalidPart))?;
            if part.e_tag.as_ref().is_none_or(|etag| etag.value() != stored.0) {
                return Err(s3_error!(InvalidPart));
            }
            if number <= last {
                return Err(s3_error!(InvalidPartOrder));
            }
            if stored.1.len() < LEAST && at + 1 < named.len() {
                return Err(s3_error!(EntityTooSmall));
            }
            last = number;
            whole.extend_from_slice(&stored.1);
            digests.update(Md5::digest(&stored.1));
        }
        if named.is_empty() {
            return Err(s3_error!(MalformedXML));
        }
        let etag = format!("{}-{}", hex(&digests.finalize()), named.len());
        let object = Object::new(whole.freeze(), etag, upload.about.clone());
        self.uploads.remove(&name);
        self.objects.insert(key.to_owned(), object.clone());
        Ok(object)
    }

    pub fn abort(&mut self, key: &str, id: &str) -> S3Result<()> {
        self.uploads.remove(&(key.to_owned(), id.to_owned())).map(drop).ok_or_else(|| s3_error!(NoSuchUpload))
    }

    pub fn parts(&self, key: &str, id: &str) -> S3Result<ListPartsOutput> {
        let upload = self.uploads.get(&(key.to_owned(), id.to_owned())).ok_or_else(|| s3_error!(NoSuchUpload))?;
        let part = |(number, (etag, bytes)): (&i32, &(String, Bytes))| Part {
            part_number: Some(*number),
            e_tag: Some(s3s::dto::ETag::Strong(etag.clone())),
            size: i64::try_from(bytes.len()).ok(),
            ..Part::default()
        };
        Ok(ListPartsOutput { parts: Some(upload.parts.iter().map(part).collect()), ..ListPartsOutput::default() })
    }

    /// A page of the uploads that are not finished.
    pub fn unfinished(
        &self,
        wanted: &ListMultipartUploadsInput,
        most: usize,
        encoded: bool,
    ) -> ListMultipartUploadsOutput {
        let prefix = wanted.prefix.as_deref().unwrap_or_default();
        let after =
            (wanted.key_marker.clone().unwrap_or_default(), wanted.upload_id_marker.clone().unwrap_or_default());
        let found: Vec<_> =
            self.uploads.iter().filter(|(name, _)| name.0.starts_with(prefix) && **name > after).collect();
        let page = &found[..found.len().min(most)];
        let next = page.last().filter(|_| found.len() > most).map(|(name, _)| *name);
        let one = |((key, id), upload): &(&(String, String), &super::bucket::Upload)| MultipartUpload {
            key: Some(list::encode(key, encoded)),
            upload_id: Some(id.clone()),
            initiated: Some(upload.time.into()),
            ..MultipartUpload::default()
        };
        ListMultipartUploadsOutput {
            uploads: Some(page.iter().map(one).collect()),
            is_truncated: Some(next.is_some()),
            next_key_marker: next.map(|(key, _)| list::encode(key, encoded)),
            next_upload_id_marker: next.map(|(_, id)| id.clone()),
            encoding_type: list::encoding(encoded),
            ..ListMultipartUploadsOutput::default()
        }
    }
}
