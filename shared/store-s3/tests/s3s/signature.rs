//! Who may, and when: s3s checks it, with code that is not ours.

use store::{Error, Store};

use crate::server::{Fault, Kind, Options, Server};
use crate::{create, get, hint, key, put};

/// What each verb comes to.
fn each(server: &Server, bucket: &str, more: &[(&str, &str)]) -> Vec<(&'static str, Error)> {
    let store = server.store_in(bucket, more);
    let (one, two) = (key("one"), key("two"));
    let mut all = vec![
        ("put", put(&store, "one", b"1", &create()).unwrap_err()),
        ("get", get(&store, "one").unwrap_err()),
        ("head", store.head(&one).unwrap_err()),
        ("list", store.list(None, "", false, &mut |_| Ok(())).unwrap_err()),
        ("remove", store.remove(&one).unwrap_err()),
        ("unfinished", store.unfinished(None, &mut |_| Ok(())).unwrap_err()),
        ("probe", store.probe(&one).unwrap_err()),
    ];
    all.push(("removal", store.remove_all(&[one, two], &mut |key, error| panic!("{key}: {error}")).unwrap_err()));
    all
}

#[test]
fn a_wrong_secret_and_an_unknown_key_are_told_apart() {
    let server = Server::start(Options::default());
    server.keep("one", b"kept");
    for (name, wrong, code, words) in [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY is not the secret"),
        ("AWS_ACCESS_KEY_ID", "NOBODY", "InvalidAccessKeyId", "does not know AWS_ACCESS_KEY_ID"),
    ] {
        for (verb, error) in each(&server, crate::server::BUCKET, &[(name, wrong)]) {
            assert!(matches!(error, Error::Denied(_)), "{verb}: {error:?}");
            // an answer to HEAD, with which a put begins that nothing may replace, has no word for it
            if matches!(verb, "head" | "put") {
                assert_eq!(hint(&error, "Are the key and its secret right?"), "403 Forbidden, tried once");
            } else {
                assert_eq!(hint(&error, words), format!("403 {code}, tried once"), "{verb}");
            }
        }
    }
    assert_eq!(server.keys(), ["one"]);
}

#[test]
fn a_bucket_that_is_not_there_is_named_by_every_verb() {
    let server = Server::start(Options::default());
    for (verb, error) in each(&server, "another", &[]) {
        assert!(matches!(error, Error::Gone(_)), "{verb}: {error:?}");
        assert_eq!(hint(&error, "There is no bucket another there"), "404 NoSuchBucket, tried once", "{verb}");
    }
}

#[test]
fn a_clock_that_is_20_minutes_off_is_named_with_its_error() {
    for (ahead, way) in [(1200, "behind"), (-1200, "ahead of")] {
        let server = Server::start(Options { ahead, ..Options::default() });
        let error = put(&server.store(&[]), "one", b"1", &Default::default()).unwrap_err();
        assert!(matches!(error, Error::Config(_)), "{error:?}");
        let text = hint(&error, "Set this machine's clock");
        let said = |seconds: u32| {
            format!(
                "403 RequestTimeTooSkewed: this machine's clock is {seconds} s {way} the server's, tried 2 times in 1 s"
            )
        };
        assert!((1195..=1205).any(|seconds| text == said(seconds)), "{text}");
        assert_eq!(server.seen(Kind::Put).len(), 2);
    }
}

#[test]
fn a_request_that_waited_too_long_is_signed_anew() {
    let server = Server::start(Options::default());
    server.fault(Kind::Put, 0..1, Fault::Answer(403, "RequestTimeTooSkewed", Vec::new()));
    put(&server.store(&[("S3_MAX_RETRIES", "0")]), "one", b"1", &Default::default()).unwrap();
    assert_eq!(server.seen(Kind::Put).len(), 2);
    assert_eq!(server.keys(), ["one"]);
}

#[test]
fn a_server_that_never_answered_is_knocked_at_a_few_times_only() {
    let server = Server::start(Options::default());
    server.fault(Kind::Get, 0..100, Fault::Drop);
    let error = get(&server.store(&[("S3_MAX_RETRIES", "15")]), "one").unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
    assert!(hint(&error, "Is the server up").contains("tried 6 times"), "{error}");
    assert_eq!(server.seen(Kind::Get).len(), 6);
}
