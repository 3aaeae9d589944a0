//! Names that mean something to URLs, to forms or to XML.

use store::{Entry, Store};
use store_s3::S3Store;

use crate::server::{Kind, Options, Server};
use crate::{get, key, put};

const ODD: [&str; 19] = [
    "a+b",
    "a b",
    "a%2Bb",
    "a%20b",
    "100%",
    "h#x",
    "q?x=1",
    "c&d=e",
    "it's",
    "say \"x\"",
    "ü",
    "日本",
    "new\nline",
    "tab\t",
    "<xml>&amp;",
    " both ",
    "&#10;",
    "\u{1f600}",
    "~*()!@,;:$",
];

fn listed(store: &S3Store, shallow: bool) -> Vec<String> {
    let mut names = Vec::new();
    let mut each = |entry| {
        names.push(match entry {
            Entry::Object(name, _) | Entry::Folder(name) => name,
        });
        Ok(())
    };
    store.list(None, "", shallow, &mut each).unwrap();
    names
}

/// Whatever the server makes of `encoding-type`, in either version's lists, on pages of three.
#[test]
fn odd_names_are_listed_read_and_removed_in_a_batch() {
    let mut names = ODD.map(str::to_owned).to_vec();
    names.extend(ODD.map(|name| format!("{name}/below")));
    names.sort_unstable();
    let mut folded: Vec<String> = ODD.iter().flat_map(|name| [(*name).to_owned(), format!("{name}/")]).collect();
    folded.sort_unstable();
    let keep = ["a b", "a%20b", "100%"];
    for (encodes, v1) in [(true, "false"), (true, "true"), (false, "false"), (false, "true")] {
        let server = Server::start(Options { encodes, page: 3, ..Options::default() });
        let store = server.store(&[("WALG_S3_USE_LIST_OBJECTS_V1", v1)]);
        for name in &names {
            put(&store, name, name.as_bytes(), &Default::default()).unwrap();
            assert_eq!(get(&store, name).unwrap(), name.as_bytes());
        }
        assert_eq!(server.keys(), names);
        assert_eq!(listed(&store, false), names, "encodes: {encodes}, v1: {v1}");
        assert_eq!(listed(&store, true), folded, "encodes: {encodes}, v1: {v1}");
        let gone: Vec<_> = names.iter().filter(|name| !keep.contains(&name.as_str())).map(|name| key(name)).collect();
        store.remove_all(&gone, &mut |key, error| panic!("{key}: {error}")).unwrap();
        assert_eq!(listed(&store, false), ["100%", "a b", "a%20b"]);
        assert_eq!(server.seen(Kind::Batch).len(), 1);
    }
}

#[test]
fn odd_names_of_unfinished_uploads_are_told_and_aborted() {
    for encodes in [true, false] {
        let server = Server::start(Options { encodes, page: 3, ..Options::default() });
        let store = server.store(&[]);
        for name in ODD {
            server.bucket().begin(&format!("a/prefix/{name}"), Default::default());
        }
        let mut found = Vec::new();
        store
            .unfinished(None, &mut |upload| {
                found.push(upload);
                Ok(())
            })
            .unwrap();
        let mut names: Vec<_> = found.iter().map(|upload| upload.key.as_str()).collect();
        names.sort_unstable();
        let mut odd = ODD;
        odd.sort_unstable();
        assert_eq!(names, odd, "encodes: {encodes}");
        for upload in found {
            store.abort(&upload).unwrap();
            store.abort(&upload).unwrap(); // one that is over is aborted already
        }
        assert!(server.bucket().uploads.is_empty());
    }
}
