//! Removal in batches, with a look at each name's answer, and one by one where there are none.

use store::{Error, Key, Store};

use crate::key;
use crate::server::{Batches, Fault, Kind, Options, PREFIX, Server};

/// Removes the first `count` of `server`'s objects, of which there is one more; what could not be removed.
fn remove(server: &Server, count: usize) -> Vec<(String, Error)> {
    let names: Vec<Key> = (0..=count).map(|n| key(&format!("{n:04}"))).collect();
    for name in &names {
        server.keep(name.as_str(), b"x");
    }
    let mut failed = Vec::new();
    let mut each = |key: &Key, error| failed.push((key.to_string(), error));
    server.store(&[]).remove_all(&names[..count], &mut each).unwrap();
    failed
}

fn stuck(server: &Server, name: &str, code: &'static str, times: usize) {
    server.bucket().stuck.insert(format!("{PREFIX}/{name}"), (code, times));
}

#[test]
fn a_name_that_is_refused_is_told_and_the_others_are_gone() {
    let server = Server::start(Options::default());
    stuck(&server, "0002", "AccessDenied", 9);
    stuck(&server, "0004", "NoSuchKey", 9); // it is gone: nothing to tell
    server.bucket().objects.clear();
    let failed = remove(&server, 9);
    assert_eq!(server.keys(), ["0002", "0004", "0009"]);
    let [(name, error)] = failed.as_slice() else { panic!("{failed:?}") };
    assert_eq!((name.as_str(), error.to_string().as_str()), ("0002", "403 AccessDenied, tried once"));
    assert!(matches!(error, Error::Denied(why) if why.hint.as_deref().unwrap().contains("s3:DeleteObject")));
    assert_eq!((server.seen(Kind::Batch).len(), server.seen(Kind::Delete).len()), (1, 0));
}

#[test]
fn a_name_for_which_the_server_was_too_busy_is_asked_for_again() {
    for code in ["SlowDown", "InternalError", "ServiceUnavailable"] {
        let server = Server::start(Options::default());
        stuck(&server, "0002", code, 2);
        let failed = remove(&server, 9);
        assert!(failed.is_empty(), "{failed:?}");
        assert_eq!(server.keys(), ["0009"]);
        assert_eq!((server.seen(Kind::Batch).len(), server.seen(Kind::Delete).len()), (1, 2));
    }
}

#[test]
fn a_batch_has_a_thousand_names_at_most() {
    let server = Server::start(Options::default());
    assert!(remove(&server, 2001).is_empty());
    assert_eq!(server.keys(), ["2001"]);
    // the last one is a batch as well
    assert_eq!((server.seen(Kind::Batch).len(), server.seen(Kind::Delete).len()), (3, 0));
}

#[test]
fn where_there_are_no_batches_they_go_one_by_one_and_it_is_asked_once() {
    for status in [400, 405, 411, 501] {
        let server = Server::start(Options { batches: Batches::Refused(status), ..Options::default() });
        stuck(&server, "0002", "AccessDenied", 9);
        let failed = remove(&server, 1001);
        assert_eq!(server.keys(), ["0002", "1001"], "{status}");
        assert!(matches!(failed.as_slice(), [(name, Error::Denied(_))] if name == "0002"), "{failed:?}");
        assert_eq!((server.seen(Kind::Batch).len(), server.seen(Kind::Delete).len()), (1, 1001));
    }
}

#[test]
fn names_of_which_the_answer_says_nothing_are_asked_for_one_by_one() {
    let server = Server::start(Options { batches: Batches::Silent, ..Options::default() });
    assert!(remove(&server, 9).is_empty());
    assert_eq!(server.keys(), ["0009"]);
    assert_eq!(server.seen(Kind::Delete).len(), 9);
    server.fault(Kind::Batch, 0..1, Fault::Document("<DeleteResult/>".to_owned())); // and has done nothing
    assert!(remove(&server, 9).is_empty());
    assert_eq!(server.keys(), ["0009"]);
}

#[test]
fn one_name_is_no_batch() {
    let server = Server::start(Options::default());
    assert!(remove(&server, 1).is_empty());
    assert_eq!(server.keys(), ["0001"]);
    assert_eq!((server.seen(Kind::Batch).len(), server.seen(Kind::Delete).len()), (0, 1));
}

#[test]
fn a_batch_that_fails_after_its_answer_began_is_sent_again() {
    let server = Server::start(Options::default());
    server.fault(Kind::Batch, 0..1, Fault::Document("<Error><Code>InternalError</Code></Error>".to_owned()));
    assert!(remove(&server, 9).is_empty());
    assert_eq!(server.keys(), ["0009"]);
    assert_eq!(server.seen(Kind::Batch).len(), 2);
}
