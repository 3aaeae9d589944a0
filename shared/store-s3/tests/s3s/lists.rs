//! Lists that are not what they should be, and what a list spares.

use store::{Error, Store};

use crate::key;
use crate::server::{Fault, Kind, Options, Server};

/// What a list of everything comes to, and how many entries were told before.
fn list(server: &Server) -> (Result<(), Error>, usize) {
    let mut told = 0;
    let mut each = |_| {
        told += 1;
        Ok(())
    };
    (server.store(&[]).list(None, "", false, &mut each), told)
}

const ENTRY: &str =
    "<Contents><Key>a/prefix/x</Key><LastModified>2026-01-01T00:00:00Z</LastModified><Size>1</Size></Contents>";

fn page(inner: &str) -> Fault {
    Fault::Document(format!("<ListBucketResult>{inner}</ListBucketResult>"))
}

#[test]
fn a_list_that_does_not_say_where_to_go_on_is_not_whole() {
    let server = Server::start(Options::default());
    server.fault(Kind::List, 0..1, page("<IsTruncated>true</IsTruncated>"));
    let (result, _) = list(&server);
    assert!(matches!(result, Err(Error::Corrupt(_))), "{result:?}");
}

#[test]
fn a_list_that_goes_on_where_it_was_ends() {
    for more in ["<NextContinuationToken>t</NextContinuationToken>", "<NextMarker>a/prefix/x</NextMarker>", ""] {
        let server = Server::start(Options::default());
        server.fault(Kind::List, 0..100, page(&format!("<IsTruncated>true</IsTruncated>{more}{ENTRY}")));
        let (result, told) = list(&server);
        assert!(matches!(result, Err(Error::Corrupt(_))), "{result:?}");
        assert!(told <= 2 && server.seen(Kind::List).len() <= 2);
    }
}

#[test]
fn a_document_that_is_no_list_is_not_an_empty_one() {
    for text in ["<html/>", "<Result><IsTruncated>false</IsTruncated></Result>", "", "{}"] {
        let server = Server::start(Options::default());
        server.fault(Kind::List, 0..1, Fault::Document(text.to_owned()));
        let (result, _) = list(&server);
        assert!(matches!(result, Err(Error::Corrupt(_))), "{text:?}: {result:?}");
    }
}

#[test]
fn a_document_without_an_end_is_not_read_for_ever() {
    let server = Server::start(Options::default());
    server.fault(Kind::List, 0..9, Fault::Document(" ".repeat(17 << 20)));
    let (result, _) = list(&server);
    assert!(matches!(&result, Err(Error::Unreachable(why)) if why.text.contains("does not end")), "{result:?}");
}

#[test]
fn names_that_begin_alike_cost_one_list_and_others_a_look_each() {
    let server = Server::start(Options::default());
    let store = server.store(&[]);
    for name in ["wal/000000010000000000000001.lz4", "wal/00000001000000000000000100", "wal/b", "a"] {
        server.keep(name, b"x");
    }
    let segment = ["", ".lz4", ".br"].map(|end| key(&format!("wal/000000010000000000000001{end}")));
    let there = |found: Vec<Option<store::Meta>>| found.iter().map(Option::is_some).collect::<Vec<_>>();
    assert_eq!(there(store.which(&segment).unwrap()), [false, true, false]);
    assert_eq!((server.seen(Kind::List).len(), server.seen(Kind::Head).len()), (1, 0));
    assert_eq!(there(store.which(&[key("wal/b"), key("a"), key("wal/c")]).unwrap()), [true, true, false]);
    assert_eq!((server.seen(Kind::List).len(), server.seen(Kind::Head).len()), (1, 3));
}
