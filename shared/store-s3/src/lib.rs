//! The store on S3 and what speaks its protocol: AWS, Ceph, MinIO, Garage and many more.
//!
//! An object is visible only when its single PUT, or the completion of its multipart upload, has succeeded.  Requests
//! are signed with SigV4, tried again where that may help, and never wait longer than [`Config::timeout`] without
//! progress; what moves, however slowly, is never cut.

use std::sync::Arc;

use store::{CreateOnly, Download, Entry, Error, Key, Meta, PutOptions, Store, Upload};
use tokio::runtime::{Handle, Runtime};

mod answer;
mod body;
mod bucket;
mod client;
mod config;
mod credentials;
mod download;
mod list;
mod object;
mod parts;
mod probe;
mod refusal;
mod remove;
mod sign;
mod tls;
mod unfinished;
mod upload;

pub use config::{Config, Lookup, SECRETS};
pub use unfinished::Unfinished;

use client::Client;

/// What ends an upload that is not to be completed: an abort, bounded in time.
pub type Abort = Box<dyn FnOnce() + Send>;

/// Called for each multipart upload that is begun; what it returns is dropped when the upload is completed or aborted.
pub type OnUpload = Box<dyn Fn(Abort) -> Box<dyn std::any::Any>>;

/// A bucket, or a folder in one, that serves as a store.
pub struct S3Store {
    runtime: Runtime,
    client: Arc<Client>,
    on_upload: OnUpload,
}

impl S3Store {
    /// The store in `bucket`; keys begin with `prefix`, which has no slash at its ends (none: the whole bucket).
    ///
    /// Nothing is asked of the server yet.
    ///
    /// # Errors
    /// [`Error::Config`] for what cannot be used (a file of certificates that cannot be read); [`Error::Broken`] where
    /// no thread can be had.
    pub fn new(config: Config, bucket: &str, prefix: &str) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("s3")
            .thread_stack_size(512 << 10)
            .enable_all()
            .build()
            .map_err(|e| Error::Broken(format!("cannot start threads: {e}").into()))?;
        let client = Arc::new(Client::new(config, bucket, prefix)?);
        Ok(Self { runtime, client, on_upload: Box::new(|_| Box::new(())) })
    }

    /// Has `call` told of multipart uploads, so that a program that is ended can abort them.
    #[must_use]
    pub fn on_upload(mut self, call: OnUpload) -> Self {
        self.on_upload = call;
        self
    }

    fn handle(&self) -> Handle {
        self.runtime.handle().clone()
    }
}

impl Store for S3Store {
    fn put(&self, key: &Key, options: &PutOptions) -> Result<Box<dyn Upload + '_>, Error> {
        Ok(Box::new(upload::S3Upload::new(self, key, options)?))
    }

    fn get(&self, key: &Key) -> Result<Download, Error> {
        download::open(&self.client, self.handle(), key)
    }

    fn head(&self, key: &Key) -> Result<Option<Meta>, Error> {
        let found = self.runtime.block_on(object::head(&self.client, key))?;
        Ok(found.map(|object| object.meta()))
    }

    fn list(
        &self,
        folder: Option<&Key>,
        prefix: &str,
        shallow: bool,
        each: &mut dyn FnMut(Entry) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.runtime.block_on(list::list(&self.client, folder, prefix, shallow, each))
    }

    fn which(&self, keys: &[Key]) -> Result<Vec<Option<Meta>>, Error> {
        self.runtime.block_on(list::which(&self.client, keys))
    }

    fn probe(&self, scratch: &Key) -> Result<CreateOnly, Error> {
        self.runtime.block_on(probe::run(&self.client, scratch))
    }

    fn remove(&self, key: &Key) -> Result<(), Error> {
        self.runtime.block_on(remove::one(&self.client, key))
    }

    fn remove_all(&self, keys: &[Key], failed: &mut dyn FnMut(&Key, Error)) -> Result<(), Error> {
        self.runtime.block_on(remove::many(&self.client, keys, failed))
    }
}
