//! The verbs of S3, on the one bucket.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use md5::{Digest, Md5};
use s3s::dto::*;
use s3s::{Body, S3, S3Error, S3Request, S3Response, S3Result, s3_error};

use super::bucket::{About, Object as Kept};
use super::list::{self, Page, Wanted};
use super::{BUCKET, Batches, CreateOnly, Shared};

/// What s3s calls when a request's signature is good.
pub struct Service(pub Arc<Shared>);

impl Service {
    /// What `If-None-Match` comes to, on a completion or on a PUT: whether it is honoured.
    fn create(&self, asked: Option<&IfNoneMatch>, completion: bool) -> S3Result<bool> {
        let asked = asked.is_some_and(IfNoneMatch::is_any);
        match self.0.options.create_only {
            CreateOnly::Refused if asked => Err(s3_error!(NotImplemented)),
            CreateOnly::Both => Ok(asked),
            CreateOnly::PutOnly => Ok(asked && !completion),
            CreateOnly::Ignored | CreateOnly::Refused => Ok(false),
        }
    }

    fn about(
        &self,
        metadata: Option<Metadata>,
        class: Option<StorageClass>,
        encryption: Option<ServerSideEncryption>,
        lock: Option<&ObjectLockMode>,
    ) -> About {
        let options = &self.0.options;
        About {
            metadata,
            class: class.filter(|class| options.classes && class.as_str() != StorageClass::STANDARD),
            encryption: encryption.filter(|_| options.encrypts),
            locked: options.locks && lock.is_some(),
        }
    }

    fn encoded(&self, asked: Option<&EncodingType>) -> bool {
        asked.is_some() && self.0.options.encodes
    }

    fn page(
        &self,
        bucket: &str,
        prefix: Option<&str>,
        delimiter: Option<&str>,
        after: &str,
        encoded: bool,
    ) -> S3Result<Page> {
        there(bucket)?;
        let wanted =
            Wanted { prefix: prefix.unwrap_or_default(), delimiter, after, most: self.0.options.page, encoded };
        Ok(Page::of(&self.0.bucket(), &wanted))
    }
}

fn there(bucket: &str) -> S3Result<()> {
    if bucket == BUCKET { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
}

/// All of a body, which has to be what `Content-MD5` says.
async fn whole(body: Option<StreamingBlob>, md5: Option<&str>) -> S3Result<Bytes> {
    let mut body = body.map(Body::from).unwrap_or_default();
    let bytes = body.store_all_limited(1 << 30).await.map_err(|error| S3Error::with_source(BAD, error))?;
    match md5 {
        Some(md5) if md5 != BASE64.encode(Md5::digest(&bytes)) => Err(s3_error!(BadDigest)),
        _ => Ok(bytes),
    }
}

/// What the token begins with by which a list goes on; the last entry follows.
const TOKEN: &str = "after ";
/// What is said where the body is not what was signed.
const BAD: s3s::S3ErrorCode = s3s::S3ErrorCode::BadDigest;

fn size(bytes: &[u8]) -> Option<i64> {
    i64::try_from(bytes.len()).ok()
}

#[async_trait::async_trait]
impl S3 for Service {
    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = req.input;
        there(&input.bucket)?;
        let bytes = whole(input.body, input.content_md5.as_deref()).await?;
        let lock = input.object_lock_mode.as_ref();
        let about = self.about(input.metadata, input.storage_class, input.server_side_encryption, lock);
        let create = self.create(input.if_none_match.as_ref(), false)?;
        let kept = self.0.bucket().put(&input.key, bytes, about, create)?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: kept.etag(),
            server_side_encryption: kept.about.encryption,
            ..PutObjectOutput::default()
        }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        there(&input.bucket)?;
        let kept = self.0.bucket().get(&input.key)?;
        let other = |wanted: &IfMatch| !wanted.is_any() && wanted.as_etag() != kept.etag().as_ref();
        if self.0.options.if_match && input.if_match.as_ref().is_some_and(other) {
            return Err(s3_error!(PreconditionFailed));
        }
        let total = kept.bytes.len() as u64;
        let range = input.range.filter(|_| self.0.options.ranges).map(|range| range.check(total)).transpose()?;
        let said = range.as_ref().map(|range| format!("bytes {}-{}/{total}", range.start, range.end - 1));
        let bytes = range.map_or_else(
            || kept.bytes.clone(),
            |range| kept.bytes.slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()),
        );
        Ok(S3Response::new(GetObjectOutput {
            content_length: size(&bytes),
            content_range: said,
            body: Some(StreamingBlob::from(Body::from(bytes))),
            e_tag: kept.etag(),
            last_modified: Some(kept.time.into()),
            metadata: kept.about.metadata,
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        there(&req.input.bucket)?;
        let kept: Kept = self.0.bucket().get(&req.input.key)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: size(&kept.bytes),
            e_tag: kept.etag(),
            last_modified: Some(kept.time.into()),
            storage_class: kept.about.class,
            server_side_encryption: kept.about.encryption,
            metadata: kept.about.metadata,
            ..HeadObjectOutput::default()
        }))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        there(&req.input.bucket)?;
        self.0.bucket().remove(&req.input.key)?;
        Ok(S3Response::with_status(DeleteObjectOutput::default(), hyper::StatusCode::NO_CONTENT))
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        there(&req.input.bucket)?;
        let mut output = DeleteObjectsOutput::default();
        if let Batches::Refused(status) = self.0.options.batches {
            let mut error = s3_error!(NotImplemented);
            error.set_status_code(hyper::StatusCode::from_u16(status).unwrap());
            return Err(error);
        }
        for name in req.input.delete.objects {
            match self.0.bucket().remove(&name.key) {
                Ok(()) if self.0.options.batches == Batches::Silent => {}
                Ok(()) => {
                    let gone = DeletedObject { key: Some(name.key), ..DeletedObject::default() };
                    output.deleted.get_or_insert_default().push(gone);
                }
                Err(error) => {
                    let code = Some(error.code().as_str().to_owned());
                    output.errors.get_or_insert_default().push(Error { code, key: Some(name.key), ..Error::default() });
                }
            }
        }
        Ok(S3Response::new(output))
    }

    async fn list_objects(&self, req: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = req.input;
        let encoded = self.encoded(input.encoding_type.as_ref());
        let delimiter = input.delimiter.as_deref();
        let after = input.marker.as_deref().unwrap_or_default();
        let page = self.page(&input.bucket, input.prefix.as_deref(), delimiter, after, encoded)?;
        Ok(S3Response::new(ListObjectsOutput {
            is_truncated: Some(page.next.is_some()),
            // as AWS has it: without a delimiter, the last key has to do
            next_marker: page.next.filter(|_| delimiter.is_some()).map(|next| list::encode(&next, encoded)),
            contents: Some(page.objects),
            common_prefixes: Some(page.folders),
            encoding_type: list::encoding(encoded),
            ..ListObjectsOutput::default()
        }))
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        let (uri, input) = (req.uri, req.input);
        let encoded = self.encoded(input.encoding_type.as_ref());
        let after = if self.0.options.lists_v2 {
            let begins = |token: String| token.strip_prefix(TOKEN).map(str::to_owned);
            input.continuation_token.map(|token| begins(token).ok_or_else(|| s3_error!(InvalidToken))).transpose()?
        } else {
            let url: reqwest::Url = format!("http://localhost{uri}").parse().unwrap();
            url.query_pairs().find_map(|(name, value)| (name == "marker").then(|| value.into_owned()))
        };
        let after = after.unwrap_or_default();
        let page = self.page(&input.bucket, input.prefix.as_deref(), input.delimiter.as_deref(), &after, encoded)?;
        let next = page.next.clone().filter(|_| self.0.options.lists_v2);
        Ok(S3Response::new(ListObjectsV2Output {
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: next.map(|next| format!("{TOKEN}{next}")),
            contents: Some(page.objects),
            common_prefixes: Some(page.folders),
            encoding_type: list::encoding(encoded),
            ..ListObjectsV2Output::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = req.input;
        there(&input.bucket)?;
        let lock = input.object_lock_mode.as_ref();
        let about = self.about(input.metadata, input.storage_class, input.server_side_encryption, lock);
        let encryption = about.encryption.clone();
        let id = self.0.bucket().begin(&input.key, about);
        Ok(S3Response::new(CreateMultipartUploadOutput {
            upload_id: Some(id),
            server_side_encryption: encryption,
            ..CreateMultipartUploadOutput::default()
        }))
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let input = req.input;
        there(&input.bucket)?;
        let bytes = whole(input.body, input.content_md5.as_deref()).await?;
        let etag = self.0.bucket().part(&input.key, &input.upload_id, input.part_number, bytes)?;
        Ok(S3Response::new(UploadPartOutput { e_tag: Some(ETag::Strong(etag)), ..UploadPartOutput::default() }))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = req.input;
        there(&input.bucket)?;
        let create = self.create(input.if_none_match.as_ref(), true)?;
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let shared = self.0.clone();
        let done = async move {
            tokio::task::yield_now().await; // where the answer has begun, it is blank so far
            let kept = shared.bucket().complete(&input.key, &input.upload_id, &parts, create)?;
            Ok(CompleteMultipartUploadOutput { e_tag: kept.etag(), ..CompleteMultipartUploadOutput::default() })
        };
        let output = if self.0.options.early {
            CompleteMultipartUploadOutput { future: Some(Box::pin(done)), ..CompleteMultipartUploadOutput::default() }
        } else {
            done.await?
        };
        Ok(S3Response::new(output))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        there(&req.input.bucket)?;
        self.0.bucket().abort(&req.input.key, &req.input.upload_id)?;
        Ok(S3Response::with_status(AbortMultipartUploadOutput::default(), hyper::StatusCode::NO_CONTENT))
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        there(&req.input.bucket)?;
        let encoded = self.encoded(req.input.encoding_type.as_ref());
        Ok(S3Response::new(self.0.bucket().unfinished(&req.input, self.0.options.page, encoded)))
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        there(&req.input.bucket)?;
        Ok(S3Response::new(self.0.bucket().parts(&req.input.key, &req.input.upload_id)?))
    }
}
