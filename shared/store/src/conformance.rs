//! What every store must do, as one suite.  It panics where the store does not.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)] // a test

use std::io::{Read, Write};

use crate::{Entry, Error, Key, PutOptions, Store};

fn create() -> PutOptions {
    PutOptions { create_only: true, ..PutOptions::default() }
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn put(store: &dyn Store, name: &str, bytes: &[u8], options: PutOptions) -> Result<(), Error> {
    let mut upload = store.put(&key(name), &options)?;
    upload.write_all(bytes).map_err(|e| Error::Broken(e.to_string().into()))?;
    upload.finish().map(drop)
}

fn get(store: &dyn Store, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.get(&key(name)).unwrap().body.read_to_end(&mut bytes).unwrap();
    bytes
}

fn names(store: &dyn Store, folder: Option<&str>, prefix: &str, shallow: bool) -> Vec<String> {
    let mut names = Vec::new();
    let folder = folder.map(key);
    store
        .list(folder.as_ref(), prefix, shallow, &mut |entry| {
            names.push(match entry {
                Entry::Object(name, _) | Entry::Folder(name) => name,
            });
            Ok(())
        })
        .unwrap();
    names
}

/// Runs the whole suite in `store`, which must be empty.
pub fn run(store: &dyn Store) {
    an_empty_store_lists_nothing(store);
    what_was_put_is_what_is_got(store);
    an_upload_that_is_dropped_never_was(store);
    create_only_keeps_what_is_there(store);
    a_list_is_in_the_order_of_bytes(store);
    removing_is_idempotent(store);
    odd_names_are_names(store);
}

fn an_empty_store_lists_nothing(store: &dyn Store) {
    assert_eq!(names(store, None, "", false), [""; 0]);
    assert_eq!(names(store, Some("no/such"), "", true), [""; 0]);
    assert!(store.head(&key("no/such")).unwrap().is_none());
    assert!(matches!(store.get(&key("no/such")), Err(Error::Absent(_))));
}

fn what_was_put_is_what_is_got(store: &dyn Store) {
    let big: Vec<u8> = (0..3_000_000_u32).map(|i| i.to_le_bytes()[usize::from(i % 3 == 0)]).collect();
    for bytes in [&b""[..], b"x", &big] {
        put(store, "same/object", bytes, PutOptions::default()).unwrap();
        assert!(get(store, "same/object") == bytes);
        assert_eq!(store.head(&key("same/object")).unwrap().unwrap().size, bytes.len() as u64);
    }
    store.remove(&key("same/object")).unwrap();
}

fn an_upload_that_is_dropped_never_was(store: &dyn Store) {
    let mut upload = store.put(&key("dropped/object"), &PutOptions::default()).unwrap();
    upload.write_all(b"half").unwrap();
    assert!(store.head(&key("dropped/object")).unwrap().is_none());
    assert_eq!(names(store, None, "", false), [""; 0]);
    drop(upload);
    assert_eq!(names(store, None, "", false), [""; 0]);
}

fn create_only_keeps_what_is_there(store: &dyn Store) {
    put(store, "once", b"first", create()).unwrap();
    put(store, "once", b"first", create()).unwrap(); // its own bytes: the answer was lost, not the object
    assert!(matches!(put(store, "once", b"other", create()), Err(Error::Exists(_))));
    assert!(matches!(put(store, "once", b"firs", create()), Err(Error::Exists(_))));
    assert_eq!(get(store, "once"), b"first");
    assert_eq!(names(store, None, "", false), ["once"]);
    store.remove(&key("once")).unwrap();
}

fn a_list_is_in_the_order_of_bytes(store: &dyn Store) {
    let mut keys = ["a/b", "a.b", "a/c/d", "a0", "b", "A", "a/b.json", "ü", "a b"];
    for name in keys {
        put(store, name, b"1", PutOptions::default()).unwrap();
    }
    keys.sort_unstable();
    assert_eq!(names(store, None, "", false), keys);
    assert_eq!(names(store, None, "a/", false), ["a/b", "a/b.json", "a/c/d"]);
    assert_eq!(names(store, None, "a", true), ["a b", "a.b", "a/", "a0"]);
    assert_eq!(names(store, Some("a"), "", false), ["b", "b.json", "c/d"]);
    assert_eq!(names(store, Some("a"), "", true), ["b", "b.json", "c/"]);
    assert_eq!(names(store, Some("a"), "b.", true), ["b.json"]);
    for name in keys {
        store.remove(&key(name)).unwrap();
    }
}

fn removing_is_idempotent(store: &dyn Store) {
    put(store, "x/y/z", b"1", PutOptions::default()).unwrap();
    store.remove(&key("x/y/z")).unwrap();
    store.remove(&key("x/y/z")).unwrap();
    assert_eq!(names(store, None, "", true), [""; 0]);
}

fn odd_names_are_names(store: &dyn Store) {
    for name in ["a+b%20c&d=e", "new\nline", "q\"uote's", "日本/語", "-dash", "~", "trailing ", "back\\slash"] {
        put(store, name, name.as_bytes(), create()).unwrap();
        assert_eq!(get(store, name), name.as_bytes());
        assert_eq!(names(store, None, "", false), [name]);
        store.remove(&key(name)).unwrap();
    }
}
