//! Who may, and when: s3s checks it, with code that is not ours.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use store::{Error, Store};

use crate::server::{Fault, Kind, Options, PREFIX, Server};
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
    // all of them at once, or each by itself
    let mut of_each = Vec::new();
    let whole = store.remove_all(&[one, two], &mut |_, error| of_each.push(error));
    assert!(whole.is_err() || of_each.len() == 2, "{whole:?} {of_each:?}");
    all.extend(whole.err().into_iter().chain(of_each).map(|error| ("removal", error)));
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
fn a_server_that_quotes_the_request_cannot_put_a_secret_into_a_message() {
    let [token, customer] = ["hush-token/+=", "hush-key-of-a-customer-32-bytes!"];
    let encoded = BASE64.encode(customer);
    let set = [("AWS_SESSION_TOKEN", token), ("WALG_S3_SSE", "AES256"), ("WALG_S3_SSE_C", customer)];
    for (status, code) in [
        (400, "InvalidArgument"),
        (400, "AuthorizationHeaderMalformed"),
        (400, "KMS.DisabledException"),
        (400, "InvalidToken"),
        (403, "SignatureDoesNotMatch"),
        (403, "AccessDenied"),
        (405, "MethodNotAllowed"),
        (501, "NotImplemented"),
    ] {
        let server = Server::start(Options::default());
        for kind in [Kind::Put, Kind::Get, Kind::Head, Kind::List, Kind::Delete, Kind::Batch, Kind::Uploads] {
            server.fault(kind, 0..100, Fault::Quote(status, code));
        }
        for (verb, error) in each(&server, crate::server::BUCKET, &set) {
            let said = format!("{error:?} {error} {:?}", error.why().hint);
            assert!(!said.contains("hush") && !said.contains(&encoded), "{status} {code} {verb}: {said}");
            assert!(matches!(verb, "head" | "put") || said.contains(code), "{status} {code} {verb}: {said}");
        }
    }
}

#[test]
fn a_region_that_a_server_names_is_a_name_and_no_secret() {
    for (named, said) in [("eu-north-9", true), ("hush-token", false), ("odd.example/x", false), ("", false)] {
        let server = Server::start(Options::default());
        let headers = vec![("x-amz-bucket-region", named)];
        server.fault(Kind::Put, 0..9, Fault::Answer(400, "AuthorizationHeaderMalformed", headers));
        let error = put(&server.store(&[("AWS_SESSION_TOKEN", "hush-token")]), "one", b"1", &create()).unwrap_err();
        let words = format!("{error:?}");
        assert_eq!(!named.is_empty() && words.contains(named), said, "{words}");
    }
}

#[test]
fn an_answer_about_one_key_cannot_put_a_secret_into_a_message() {
    let server = Server::start(Options::default());
    let of = |name: &str| {
        let quoted = "x-amz-security-token:hush-token/+=\nx-amz-date";
        format!("<Error><Key>{PREFIX}/{name}</Key><Code>Odd</Code><Message>no: {quoted}</Message></Error>")
    };
    server.fault(
        Kind::Batch,
        0..1,
        Fault::Document(format!("<DeleteResult>{}{}</DeleteResult>", of("one"), of("two"))),
    );
    let mut said = Vec::new();
    let store = server.store(&[("AWS_SESSION_TOKEN", "hush-token/+=")]);
    store.remove_all(&[key("one"), key("two")], &mut |_, error| said.push(error.to_string())).unwrap();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said.iter().all(|said| said.contains("Odd") && !said.contains("hush")), "{said:?}");
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
