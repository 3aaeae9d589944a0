//! The store against a server in this very process (`server`), of which every kind can be had, with every fault.
#![allow(clippy::unwrap_used)] // a test

use std::io::{Read, Write};

use store::{Error, Key, PutOptions, Store};
use store_s3::S3Store;

mod completion;
mod create_only;
mod download;
mod lists;
mod names;
mod region;
mod removal;
mod server;
mod signature;
mod storing;
mod suite;
mod throttling;
mod unfinished;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn create() -> PutOptions {
    PutOptions { create_only: true, ..PutOptions::default() }
}

fn put(store: &S3Store, name: &str, bytes: &[u8], options: &PutOptions) -> Result<Option<String>, Error> {
    let mut upload = store.put(&key(name), options)?;
    upload.write_all(bytes).map_err(|error| error.downcast::<Error>().unwrap())?;
    upload.finish()
}

fn get(store: &S3Store, name: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let mut download = store.get(&key(name))?;
    download.body.read_to_end(&mut bytes).map_err(|error| error.downcast::<Error>().unwrap())?;
    Ok(bytes)
}

/// The words of a failure and its hint, if its hint has these words in it.
fn hint<'a>(error: &'a Error, words: &str) -> &'a str {
    let hint = error.why().hint.as_deref().unwrap_or_default();
    assert!(hint.contains(words), "{error}: {hint}");
    assert!(!error.to_string().contains('\n'));
    &error.why().text
}

/// What is stored by a multipart upload of so many parts; of none, by a single PUT.
fn stream(parts: usize, seed: u8) -> Vec<u8> {
    vec![seed; ((parts << 20) * 5).max(2) - 1]
}
