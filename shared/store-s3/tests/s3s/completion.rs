//! The completion of a multipart upload, whose answer may begin before it is known what comes of it.

use store::{Error, Store};

use crate::server::{Fault, Kind, Options, PREFIX, Server};
use crate::{get, key, put, stream};

fn document(code: &str) -> Fault {
    Fault::Document(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n  \n<Error><Code>{code}</Code><Message>so it is</Message></Error>"
    ))
}

#[test]
fn an_answer_that_begins_early_is_read_to_its_end() {
    let server = Server::start(Options { early: true, ..Options::default() });
    let etag = put(&server.store(&[]), "one", &stream(2, 1), &Default::default()).unwrap().unwrap();
    assert_eq!(etag, server.bucket().objects[&format!("{PREFIX}/one")].etag);
    assert!(etag.ends_with("-2"));
    assert_eq!(server.seen(Kind::Head).len(), 0);
}

#[test]
fn a_passing_failure_in_an_answer_of_200_is_asked_again() {
    for code in ["InternalError", "SlowDown"] {
        let server = Server::start(Options::default());
        server.fault(Kind::Complete, 0..2, document(code));
        put(&server.store(&[]), "one", &stream(2, 1), &Default::default()).unwrap();
        assert_eq!(server.seen(Kind::Complete).len(), 3);
        assert_eq!(get(&server.store(&[]), "one").unwrap(), stream(2, 1));
    }
}

#[test]
fn a_failure_in_an_answer_of_200_leaves_nothing() {
    for (code, tried) in [("InternalError", 3), ("AccessDenied", 1), ("InvalidPart", 1), ("NoSuchUpload", 1)] {
        let server = Server::start(Options::default());
        server.fault(Kind::Complete, 0..9, document(code));
        let store = server.store(&[("S3_MAX_RETRIES", "2")]);
        let error = put(&store, "one", &stream(2, 1), &Default::default()).unwrap_err();
        let right = match code {
            "InternalError" | "NoSuchUpload" => matches!(error, Error::Busy(_)),
            "AccessDenied" => matches!(error, Error::Denied(_)),
            _ => matches!(error, Error::Config(_)),
        };
        assert!(right && error.to_string().contains(code), "{error:?}");
        assert_eq!(server.seen(Kind::Complete).len(), tried);
        assert_eq!((server.keys().len(), server.bucket().uploads.len()), (0, 0));
    }
}

/// An error after a second declaration, as s3s itself writes it, or in a document that is something else.
#[test]
fn what_does_not_say_that_the_object_is_made_is_no_success() {
    for text in [
        "<?xml version=\"1.0\"?> <?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>",
        "<!-- wait --><Error><Code>AccessDenied</Code></Error>",
        "<s:Error xmlns:s=\"http://s3.amazonaws.com/doc/2006-03-01/\"><s:Code>AccessDenied</s:Code></s:Error>",
        "<html><body>sign in to this network</body></html>",
        "",
        "  ",
    ] {
        let server = Server::start(Options::default());
        server.fault(Kind::Complete, 0..9, Fault::Document(text.to_owned()));
        let put = put(&server.store(&[]), "one", &stream(2, 1), &Default::default());
        assert!(matches!(put, Err(Error::Denied(_) | Error::Corrupt(_))), "{text:?}: {put:?}");
        assert_eq!((server.keys().len(), server.bucket().uploads.len()), (0, 0));
    }
}

#[test]
fn an_etag_that_is_not_said_is_looked_up() {
    let server = Server::start(Options::default());
    let store = server.store(&[]);
    let made = "<CompleteMultipartUploadResult><Key>one</Key></CompleteMultipartUploadResult>";
    server.fault(Kind::Complete, 0..1, Fault::Document(made.to_owned()));
    server.fault(Kind::Complete, 0..1, Fault::Before(Box::new(|_| ())));
    server.keep("one", b"as if it were that");
    let etag = put(&store, "one", &stream(2, 1), &Default::default()).unwrap().unwrap();
    assert_eq!(etag, server.bucket().objects[&format!("{PREFIX}/one")].etag);
    assert_eq!(server.seen(Kind::Head).len(), 1);
    server.fault(Kind::Put, 0..1, Fault::Without("etag"));
    let etag = put(&store, "two", b"2", &Default::default()).unwrap().unwrap();
    assert_eq!(etag, server.bucket().objects[&format!("{PREFIX}/two")].etag);
}

#[test]
fn a_part_without_an_etag_ends_the_upload() {
    let server = Server::start(Options::default());
    server.fault(Kind::Part, 1..2, Fault::Without("etag"));
    let put = put(&server.store(&[]), "one", &stream(3, 1), &Default::default());
    assert!(matches!(put, Err(Error::Corrupt(_))), "{put:?}");
    assert_eq!((server.keys().len(), server.bucket().uploads.len()), (0, 0));
    assert!(server.store(&[]).head(&key("one")).unwrap().is_none());
}
