//! Buckets in a region that signatures have to name.

use store::{Error, Store};

use crate::server::{Fault, Kind, Options, Server};
use crate::{get, hint, key, put};

fn somewhere() -> Server {
    Server::start(Options { region: Some("eu-west-3"), ..Options::default() })
}

#[test]
fn a_region_that_is_not_set_is_found_out_once() {
    let server = somewhere();
    let store = server.store(&[]);
    assert!(store.head(&key("one")).unwrap().is_none()); // the answer to HEAD has it in a header only
    put(&store, "one", b"1", &Default::default()).unwrap();
    assert_eq!(get(&store, "one").unwrap(), b"1");
    let refused =
        server.all_seen().into_iter().filter(|seen| !seen.header("authorization").unwrap().contains("/eu-west-3/"));
    assert_eq!(refused.count(), 1);
}

#[test]
fn a_region_that_is_set_is_kept_to_and_the_right_one_is_named() {
    let server = somewhere();
    let store = server.store(&[("AWS_REGION", "us-east-2")]);
    for error in [put(&store, "one", b"1", &Default::default()).unwrap_err(), store.head(&key("one")).unwrap_err()] {
        assert!(matches!(error, Error::Config(_)), "{error:?}");
        hint(&error, "is in the region eu-west-3: set AWS_REGION to that");
    }
    assert_eq!(server.all_seen().len(), 2);
    put(&server.store(&[("AWS_REGION", "eu-west-3")]), "one", b"1", &Default::default()).unwrap();
}

#[test]
fn a_redirection_is_followed_by_its_region_never_by_its_address() {
    let server = somewhere();
    let moved = vec![("x-amz-bucket-region", "eu-west-3"), ("location", "http://127.0.0.1:1/elsewhere")];
    server.fault(Kind::Put, 0..1, Fault::Answer(301, "PermanentRedirect", moved));
    put(&server.store(&[]), "one", b"1", &Default::default()).unwrap();
    assert_eq!(server.seen(Kind::Put).len(), 2);
    server.fault(Kind::Put, 0..1, Fault::Answer(307, "TemporaryRedirect", vec![("location", "http://127.0.0.1:1/")]));
    let error = put(&server.store(&[("AWS_REGION", "eu-west-3")]), "one", b"1", &Default::default()).unwrap_err();
    assert_eq!(hint(&error, "AWS_REGION or AWS_ENDPOINT"), "307 TemporaryRedirect, tried once");
}
