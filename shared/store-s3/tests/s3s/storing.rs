//! What is asked for beside the bytes: encryption, classes, locks.

use store::{Error, Store};

use crate::server::{Kind, Options, PREFIX, Server};
use crate::{hint, key, put, stream};

#[test]
fn encryption_is_there_when_the_server_says_so_and_else_nothing_is() {
    for kind in [&[("WALG_S3_SSE", "AES256")][..], &[("WALG_S3_SSE", "aws:kms"), ("WALG_S3_SSE_KMS_ID", "k")]] {
        for encrypts in [true, false] {
            for bytes in [b"x".to_vec(), stream(2, 1)] {
                let server = Server::start(Options { encrypts, ..Options::default() });
                let store = server.store(kind);
                let stored = put(&store, "one", &bytes, &Default::default());
                assert_eq!(stored.is_ok(), encrypts, "{stored:?}");
                if let Err(error) = stored {
                    assert!(matches!(error, Error::Config(_)));
                    hint(&error, "Does this server support WALG_S3_SSE?");
                    assert_eq!((server.keys().len(), server.bucket().uploads.len()), (0, 0));
                    assert!(matches!(store.probe(&key("scratch")), Err(Error::Config(_))));
                } else {
                    let said = server.bucket().objects[&format!("{PREFIX}/one")].about.encryption.clone();
                    assert_eq!(said.unwrap().as_str(), kind[0].1);
                    store.probe(&key("scratch")).unwrap();
                }
            }
        }
    }
}

#[test]
fn a_class_that_is_passed_over_is_found_by_the_probe() {
    for classes in [true, false] {
        let server = Server::start(Options { classes, ..Options::default() });
        let found = server.store(&[("WALG_S3_STORAGE_CLASS", "STANDARD_IA")]).probe(&key("scratch"));
        assert_eq!(found.is_ok(), classes, "{found:?}");
        if let Err(error) = found {
            let text = "an object was stored with the storage class STANDARD_IA, and the server says nothing of it";
            assert_eq!(hint(&error, "WALG_S3_STORAGE_CLASS"), text);
        }
        assert_eq!(server.keys(), [""; 0]);
    }
}

#[test]
fn a_locked_object_stays_and_the_probe_takes_that_as_it_is() {
    let server = Server::start(Options { locks: true, ..Options::default() });
    let store = server.store(&[("S3_RETENTION_PERIOD", "86400"), ("S3_RETENTION_MODE", "COMPLIANCE")]);
    store.probe(&key("scratch")).unwrap();
    put(&store, "one", b"x", &Default::default()).unwrap();
    put(&store, "two", &stream(2, 1), &Default::default()).unwrap();
    assert!(matches!(store.remove(&key("one")), Err(Error::Denied(_))));
    assert_eq!(server.keys(), ["one", "scratch", "two"]);
    for seen in [server.seen(Kind::Put), server.seen(Kind::Begin)].concat() {
        assert_eq!(seen.header("x-amz-object-lock-mode"), Some("COMPLIANCE"));
        assert!(seen.header("x-amz-object-lock-retain-until-date").is_some());
        assert!(seen.kind == Kind::Begin || seen.header("content-md5").is_some(), "{seen:?}");
    }
}
