//! Create-only puts, on servers that honour the header, or half of it, or none of it.

use std::sync::Barrier;

use store::{CreateOnly as Worth, Error, Store};

use crate::server::{About, Bucket, CreateOnly, Fault, Kind, Options, PREFIX, Server};
use crate::{create, get, key, put, stream};

const ALL: [CreateOnly; 4] = [CreateOnly::Both, CreateOnly::PutOnly, CreateOnly::Ignored, CreateOnly::Refused];

fn server(create_only: CreateOnly) -> Server {
    Server::start(Options { create_only, ..Options::default() })
}

#[test]
fn a_probe_says_what_the_server_does_and_leaves_nothing() {
    for early in [false, true] {
        for (create_only, worth) in ALL.into_iter().zip([Worth::Complete, Worth::Put, Worth::No, Worth::No]) {
            let server = Server::start(Options { create_only, early, ..Options::default() });
            let found = server.store(&[]).probe(&key("scratch")).unwrap();
            assert_eq!(found, worth, "{create_only:?}, early: {early}");
            assert_eq!(server.keys(), [""; 0]);
            assert!(server.bucket().uploads.is_empty(), "{create_only:?}, early: {early}");
        }
    }
}

#[test]
fn a_probe_that_cannot_find_out_says_no_lower_promise() {
    let error = "<Error><Code>AccessDenied</Code></Error>";
    let server = server(CreateOnly::Both);
    server.fault(Kind::Complete, 0..9, Fault::Document(error.to_owned()));
    let found = server.store(&[]).probe(&key("scratch"));
    assert!(matches!(found, Err(Error::Denied(_))), "{found:?}");
    assert_eq!(server.keys(), [""; 0]);
    assert!(server.bucket().uploads.is_empty());
}

#[test]
fn what_is_there_is_kept_whatever_the_server_does() {
    for create_only in ALL {
        for early in [false, true] {
            for bytes in [b"mine".to_vec(), stream(2, 1)] {
                let server = Server::start(Options { create_only, early, ..Options::default() });
                server.keep("one", b"theirs");
                let put = put(&server.store(&[]), "one", &bytes, &create());
                assert!(matches!(put, Err(Error::Exists(_))), "{create_only:?}, {} bytes: {put:?}", bytes.len());
                assert_eq!(&server.bucket().objects[&format!("{PREFIX}/one")].bytes[..], b"theirs");
                assert!(server.bucket().uploads.is_empty());
            }
        }
    }
}

/// What comes in after the look: between it and what makes the object.
#[test]
fn what_comes_in_at_the_last_moment_is_refused_where_the_server_does_that() {
    for (create_only, kept) in ALL.into_iter().zip([[true, true], [true, false], [false, false], [false, false]]) {
        for early in [false, true] {
            for (at, kind) in [Kind::Put, Kind::Complete].into_iter().enumerate() {
                let server = Server::start(Options { create_only, early, ..Options::default() });
                let theirs = Fault::Before(Box::new(|bucket| bucket.keep("a/prefix/one", b"theirs")));
                server.fault(kind, 0..1, theirs);
                let bytes = stream(at * 2, 1);
                let put = put(&server.store(&[]), "one", &bytes, &create());
                let there = get(&server.store(&[]), "one").unwrap();
                if kept[at] {
                    assert!(matches!(put, Err(Error::Exists(_))), "{create_only:?}, {kind:?}: {put:?}");
                    assert_eq!(there, b"theirs");
                } else {
                    assert!(put.is_ok() && there == bytes, "{create_only:?}, {kind:?}: {put:?}");
                }
                assert!(server.bucket().uploads.is_empty());
            }
        }
    }
}

/// A server that ignores the header lets them replace ours: the look afterwards says so.
#[test]
fn what_replaces_ours_before_the_look_is_not_called_ours() {
    for bytes in [b"mine".to_vec(), stream(2, 1)] {
        let server = server(CreateOnly::Ignored);
        for (name, mark) in [("ours", Some("another")), ("strange", None)] {
            let theirs = move |bucket: &mut Bucket| {
                let mark = mark.map(|mark| [("walpipe-upload".to_owned(), mark.to_owned())].into());
                let about = About { metadata: mark, ..About::default() };
                bucket.put(&format!("{PREFIX}/{name}"), "theirs".into(), about, false).unwrap();
            };
            server.fault(Kind::Head, 1..2, Fault::Before(Box::new(theirs)));
            let put = put(&server.store(&[]), name, &bytes, &create());
            assert!(matches!(put, Err(Error::Exists(_))), "{name}: {put:?}");
        }
        server.fault(Kind::Head, 1..2, Fault::Before(Box::new(|bucket| bucket.objects.clear())));
        let put = put(&server.store(&[]), "gone", &bytes, &create());
        assert!(matches!(put, Err(Error::Busy(_))), "{put:?}");
    }
}

#[test]
fn a_server_that_keeps_no_metadata_knows_ours_by_its_etag() {
    for bytes in [b"mine".to_vec(), stream(2, 1)] {
        let server = server(CreateOnly::Ignored);
        let forgets = |bucket: &mut Bucket| bucket.objects.values_mut().for_each(|kept| kept.about.metadata = None);
        server.fault(Kind::Head, 1..2, Fault::Before(Box::new(forgets)));
        put(&server.store(&[]), "one", &bytes, &create()).unwrap();
        assert_eq!(server.seen(Kind::Get).len(), 0);
    }
}

/// Three at a time: where the server honours the header one wins; everywhere the object is one of them whole, and whoever
/// has won where only one has is the one whose object it is.
#[test]
fn a_race_mixes_nothing() {
    for create_only in ALL {
        for (rounds, parts) in [(12, 0), (2, 2)] {
            let server = server(create_only);
            let honoured = create_only == CreateOnly::Both || (create_only == CreateOnly::PutOnly && parts == 0);
            for round in 0..rounds {
                let name = format!("{round}");
                let bodies: Vec<_> =
                    (1..=3).map(|seed| if parts > 0 { stream(parts, seed) } else { vec![seed] }).collect();
                let start = Barrier::new(bodies.len());
                let race = |body: &Vec<u8>| {
                    let store = server.store(&[]);
                    start.wait();
                    put(&store, &name, body, &create())
                };
                let results: Vec<_> = std::thread::scope(|scope| {
                    let racers: Vec<_> = bodies.iter().map(|body| scope.spawn(move || race(body))).collect();
                    racers.into_iter().map(|racer| racer.join().unwrap()).collect()
                });
                let there = get(&server.store(&[]), &name).unwrap();
                let whose = bodies.iter().position(|body| *body == there).expect("one of them, whole");
                let won = results.iter().filter(|result| result.is_ok()).count();
                assert!(results.iter().all(|result| matches!(result, Ok(_) | Err(Error::Exists(_)))), "{results:?}");
                assert!(won == 1 || !honoured, "{create_only:?}, {parts} parts: {results:?}");
                assert!(won != 1 || results[whose].is_ok(), "{create_only:?}, {parts} parts: {results:?}");
            }
            assert!(server.bucket().uploads.is_empty());
        }
    }
}

#[test]
fn a_conflict_with_another_create_is_asked_again() {
    for (bytes, kind) in [(b"mine".to_vec(), Kind::Put), (stream(2, 1), Kind::Complete)] {
        let server = server(CreateOnly::Both);
        server.fault(kind, 0..2, Fault::Answer(409, "ConditionalRequestConflict", Vec::new()));
        put(&server.store(&[]), "one", &bytes, &create()).unwrap();
        assert_eq!(server.seen(kind).len(), 3);
        assert!(server.seen(kind).iter().all(|seen| seen.header("if-none-match") == Some("*")));
        assert_eq!(get(&server.store(&[]), "one").unwrap(), bytes);
    }
}

#[test]
fn an_answer_that_was_lost_is_not_somebody_elses_object() {
    for early in [false, true] {
        for (bytes, kind) in [(b"mine".to_vec(), Kind::Put), (stream(2, 1), Kind::Complete)] {
            let server = Server::start(Options { early: false, ..Options::default() });
            let fault = if early { Fault::Cut(0) } else { Fault::LoseAnswer };
            server.fault(kind, 0..1, fault);
            let etag = put(&server.store(&[]), "one", &bytes, &create()).unwrap().unwrap();
            assert_eq!(etag, server.bucket().objects[&format!("{PREFIX}/one")].etag);
            assert_eq!(get(&server.store(&[]), "one").unwrap(), bytes);
        }
    }
}

#[test]
fn an_object_that_was_in_the_way_and_is_gone_again_is_75() {
    let server = server(CreateOnly::Both);
    server.fault(Kind::Put, 0..1, Fault::Answer(412, "PreconditionFailed", Vec::new()));
    let put = put(&server.store(&[]), "one", b"mine", &create());
    assert!(matches!(&put, Err(Error::Busy(why)) if why.text.contains("gone again")), "{put:?}");
}

/// What MinIO said to a PUT until April 2024.
#[test]
fn a_refusal_with_304_is_one_as_well() {
    let server = server(CreateOnly::Both);
    server.keep("one", b"theirs");
    server.fault(Kind::Put, 0..1, Fault::Answer(304, "NotModified", Vec::new()));
    let put = put(&server.store(&[("WALPIPE_S3_CREATE_ONLY", "complete")]), "one", b"mine", &create());
    assert!(matches!(put, Err(Error::Exists(_))), "{put:?}");
    server.fault(Kind::Put, 1..2, Fault::Answer(304, "NotModified", Vec::new()));
    assert_eq!(server.store(&[]).probe(&key("scratch")).unwrap(), Worth::Complete);
}

/// `WALPIPE_S3_CREATE_ONLY` says what a probe found: then there is no look before, and none after.
#[test]
fn what_is_known_of_the_server_spares_the_looks() {
    for (known, create_only, single, parts) in [
        ("complete", CreateOnly::Both, 0, 0),
        ("put", CreateOnly::PutOnly, 0, 2),
        ("no", CreateOnly::Ignored, 2, 2),
        ("unknown", CreateOnly::Both, 2, 2),
    ] {
        let server = server(create_only);
        let store = server.store(&[("WALPIPE_S3_CREATE_ONLY", known)]);
        put(&store, "one", b"1", &create()).unwrap();
        assert_eq!(server.seen(Kind::Head).len(), single, "{known}");
        put(&store, "two", &stream(2, 1), &create()).unwrap();
        assert_eq!(server.seen(Kind::Head).len(), single + parts, "{known}");
        let asked = |kind| server.seen(kind)[0].header("if-none-match").is_some();
        assert_eq!((asked(Kind::Put), asked(Kind::Complete)), (known != "no", known != "no"));
    }
}
