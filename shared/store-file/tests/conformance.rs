//! The file store passes the suite that every store passes, and keeps its own promises.

use std::io::Write;

use store::{Error, Key, PutOptions, Store, conformance};
use store_file::FileStore;

#[test]
fn it_passes_the_conformance_suite() {
    let root = tempfile::tempdir().expect("a directory");
    conformance::run(&FileStore::new(root.path()));
}

#[test]
fn a_root_that_is_not_there_is_never_made() {
    let place = tempfile::tempdir().expect("a directory");
    let root = place.path().join("mnt");
    let store = FileStore::new(&root);
    let key = Key::new("wal_005/x").expect("a key");
    assert!(matches!(store.put(&key, &PutOptions::default()).map(drop), Err(Error::Gone(_))));
    assert!(matches!(store.head(&key), Err(Error::Gone(_))));
    assert!(matches!(store.get(&key).map(drop), Err(Error::Gone(_))));
    assert!(matches!(store.list(None, "", false, &mut |_| Ok(())), Err(Error::Gone(_))));
    assert!(!root.exists());
}

#[test]
fn nothing_but_the_object_is_left_behind() {
    let root = tempfile::tempdir().expect("a directory");
    let store = FileStore::new(root.path());
    for options in [PutOptions { create_only: true, ..PutOptions::default() }, PutOptions::default()] {
        let mut upload = store.put(&Key::new("a/b").expect("a key"), &options).expect("begun");
        upload.write_all(b"x").expect("written");
        upload.finish().expect("stored");
    }
    drop(store.put(&Key::new("a/c").expect("a key"), &PutOptions::default()).expect("begun"));
    let names: Vec<_> =
        std::fs::read_dir(root.path().join("a")).expect("read").flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, ["b"]);
}
