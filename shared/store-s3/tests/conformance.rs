//! The store passes the suite that every store passes, on a real server: that which WALPIPE_TEST_S3_ENDPOINT names
//! (tests/scenarios/test_s3_conformance.py starts one), in a bucket that is there and a folder that is not.

use std::io::{Read, Write};

use store::{Content, CreateOnly, Error, Key, PutOptions, Store, conformance};
use store_s3::{Config, S3Store};

/// The store below a folder of its own; `None`, said aloud, where there is no server.
fn store(folder: &str, more: &[(&str, &str)]) -> Option<S3Store> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let Some(endpoint) = variable("WALPIPE_TEST_S3_ENDPOINT") else {
        eprintln!("SKIP: WALPIPE_TEST_S3_ENDPOINT names no server");
        return None;
    };
    let bucket = variable("WALPIPE_TEST_S3_BUCKET").unwrap_or_else(|| "conformance".to_owned());
    let look = |name: &str| {
        if let Some((_, value)) = more.iter().find(|(set, _)| *set == name) {
            return Some((*value).to_owned());
        }
        match name {
            "AWS_ENDPOINT" => Some(endpoint.clone()),
            "AWS_ACCESS_KEY_ID" => variable("WALPIPE_TEST_S3_ACCESS_KEY_ID"),
            "AWS_SECRET_ACCESS_KEY" => variable("WALPIPE_TEST_S3_SECRET_ACCESS_KEY"),
            "AWS_REGION" => variable("WALPIPE_TEST_S3_REGION"),
            "WALG_S3_CA_CERT_FILE" => variable("WALPIPE_TEST_S3_CA"),
            "AWS_S3_FORCE_PATH_STYLE" => {
                Some((variable("WALPIPE_TEST_S3_STYLE").as_deref() == Some("path")).to_string())
            }
            _ => None,
        }
    };
    let config = Config::read(&look).expect("settings");
    Some(S3Store::new(config, &bucket, &format!("conformance-{}-{folder}", std::process::id())).expect("a store"))
}

fn key(text: &str) -> Key {
    Key::new(text).expect("a key")
}

fn put(store: &S3Store, name: &str, bytes: &[u8], options: &PutOptions) -> Result<(), Error> {
    let mut upload = store.put(&key(name), options)?;
    upload.write_all(bytes).expect("written");
    upload.finish().map(drop)
}

#[test]
fn it_passes_the_conformance_suite() {
    if let Some(store) = store("suite", &[]) {
        conformance::run(&store);
    }
}

#[test]
fn it_passes_it_in_the_first_versions_lists_as_well() {
    if let Some(store) = store("lists", &[("S3_USE_LIST_OBJECTS_V1", "true")]) {
        conformance::run(&store);
    }
}

#[test]
fn the_same_content_in_other_bytes_is_the_same_object() {
    let Some(store) = store("content", &[]) else { return };
    let of = |digit: &str| PutOptions {
        create_only: true,
        content: Some(Content { sha256: digit.repeat(64), size: 7 }),
        size: None,
    };
    put(&store, "wal", b"compressed", &of("a")).expect("stored");
    put(&store, "wal", b"COMPRESSED", &of("a")).expect("the same content");
    assert!(matches!(put(&store, "wal", b"compressed", &of("b")), Err(Error::Exists(_))));
    let meta = store.head(&key("wal")).expect("asked").expect("there");
    assert_eq!(meta.content, of("a").content);
    let mut bytes = Vec::new();
    store.get(&key("wal")).expect("opened").body.read_to_end(&mut bytes).expect("read");
    assert_eq!(bytes, b"compressed");
    store.remove(&key("wal")).expect("removed");
}

#[test]
fn parts_are_one_object_and_a_dropped_upload_leaves_nothing() {
    let Some(store) = store("parts", &[("WALG_S3_MAX_PART_SIZE", "5242880")]) else { return };
    let bytes: Vec<u8> = (0..12_000_000_u32).map(|i| i.to_le_bytes()[usize::from(i % 3 == 0)]).collect();
    put(&store, "big", &bytes, &PutOptions::default()).expect("stored");
    let mut back = Vec::new();
    store.get(&key("big")).expect("opened").body.read_to_end(&mut back).expect("read");
    assert!(back == bytes);
    let mut upload = store.put(&key("dropped"), &PutOptions::default()).expect("begun");
    upload.write_all(&bytes).expect("written");
    let mut unfinished = Vec::new();
    let mut each = |upload: store_s3::Unfinished| {
        unfinished.push(upload.key);
        Ok(())
    };
    store.unfinished(None, &mut each).expect("listed");
    drop(upload);
    assert_eq!(unfinished, ["dropped"]);
    let mut left = 0;
    store
        .unfinished(None, &mut |_| {
            left += 1;
            Ok(())
        })
        .expect("listed");
    assert_eq!(left, 0);
    store.remove_all(&[key("big"), key("dropped")], &mut |key, error| panic!("{key}: {error}")).expect("removed");
}

#[test]
fn a_probe_says_what_a_create_only_put_is_worth_and_leaves_nothing() {
    let Some(store) = store("probe", &[]) else { return };
    let found = store.probe(&key("scratch")).expect("found out");
    assert!(matches!(found, CreateOnly::Complete | CreateOnly::Put | CreateOnly::No));
    assert!(store.head(&key("scratch")).expect("asked").is_none());
}
