//! Downloads that break off, from servers that do not do what a range asks for.

use store::Error;

use crate::server::{Fault, Kind, Options, Server};
use crate::{get, put};

const BODY: &[u8] = b"0123456789abcdef";

fn server(options: Options) -> Server {
    let server = Server::start(options);
    server.keep("one", BODY);
    server
}

#[test]
fn what_breaks_off_goes_on_where_it_was() {
    let server = server(Options::default());
    server.fault(Kind::Get, 0..2, Fault::Cut(5));
    assert_eq!(get(&server.store(&[]), "one").unwrap(), BODY);
    let ranges: Vec<_> = server.seen(Kind::Get).iter().map(|seen| seen.header("range").unwrap().to_owned()).collect();
    assert_eq!(ranges, ["bytes=0-", "bytes=5-", "bytes=10-"]);
    assert!(server.seen(Kind::Get)[1..].iter().all(|seen| seen.header("if-match").is_some()));
}

#[test]
fn an_object_that_was_replaced_meanwhile_is_never_mixed() {
    for if_match in [true, false] {
        let server = server(Options { if_match, ..Options::default() });
        server.fault(Kind::Get, 0..1, Fault::Cut(5));
        let other = Fault::Before(Box::new(|bucket| bucket.keep("a/prefix/one", b"another that is longer")));
        server.fault(Kind::Get, 1..2, other);
        let error = get(&server.store(&[]), "one").unwrap_err();
        assert!(matches!(&error, Error::Corrupt(why) if why.text.contains("was replaced")), "{error:?}");
    }
}

#[test]
fn a_server_that_begins_from_the_start_again_is_not_believed() {
    let server = server(Options { ranges: false, ..Options::default() });
    assert_eq!(get(&server.store(&[]), "one").unwrap(), BODY);
    server.fault(Kind::Get, 0..1, Fault::Cut(5));
    let error = get(&server.store(&[]), "one").unwrap_err();
    assert!(matches!(&error, Error::Corrupt(why) if why.text.contains("another part")), "{error:?}");
}

#[test]
fn what_cannot_be_told_from_another_object_is_not_taken_up_again() {
    let server = server(Options::default());
    server.fault(Kind::Get, 0..1, Fault::Cut(5));
    server.fault(Kind::Get, 0..1, Fault::Without("etag"));
    let error = get(&server.store(&[]), "one").unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
    assert_eq!(server.seen(Kind::Get).len(), 1);
}

#[test]
fn bytes_that_are_not_those_that_were_stored_are_65() {
    let server = server(Options::default());
    let store = server.store(&[]);
    put(&store, "two", b"right", &Default::default()).unwrap();
    let rots = |bucket: &mut crate::server::Bucket| {
        bucket.objects.get_mut("a/prefix/two").unwrap().bytes = "wrong".into();
    };
    server.fault(Kind::Get, 0..1, Fault::Before(Box::new(rots)));
    let error = get(&store, "two").unwrap_err();
    assert!(matches!(&error, Error::Corrupt(why) if why.text.contains("SHA-256")), "{error:?}");
}
