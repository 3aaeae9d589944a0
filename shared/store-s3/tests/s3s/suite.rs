//! The suite that every store passes, on servers of every kind.

use std::process::Command;

use store::conformance;

use crate::server::{BUCKET, CreateOnly, DOMAIN, Options, Server, store_at};

/// Names the server to the test that runs in a process of its own.
const THERE: &str = "WALPIPE_TEST_S3S";

fn passes(options: Options, more: &[(&str, &str)]) {
    let server = Server::start(options);
    conformance::run(&server.store(more));
    assert_eq!(server.keys(), [""; 0]);
}

#[test]
fn it_passes_the_suite_in_lists_of_many_pages() {
    passes(Options { page: 2, ..Options::default() }, &[]);
    passes(Options::default(), &[]);
}

#[test]
fn it_passes_the_suite_in_the_first_versions_lists() {
    passes(Options { page: 2, ..Options::default() }, &[("WALG_S3_USE_LIST_OBJECTS_V1", "true")]);
}

#[test]
fn it_passes_the_suite_where_only_the_first_versions_lists_are_known() {
    passes(Options { page: 2, lists_v2: false, ..Options::default() }, &[]);
}

#[test]
fn it_passes_the_suite_where_names_are_not_encoded() {
    passes(Options { page: 3, encodes: false, ..Options::default() }, &[]);
}

#[test]
fn it_passes_the_suite_whatever_the_server_makes_of_create_only() {
    for create_only in [CreateOnly::PutOnly, CreateOnly::Ignored, CreateOnly::Refused] {
        passes(Options { create_only, ..Options::default() }, &[]);
    }
}

#[test]
fn it_passes_the_suite_where_ranges_are_not_known() {
    passes(Options { ranges: false, ..Options::default() }, &[]);
}

/// The bucket in the host's name, which nobody resolves: an HTTP proxy that the environment names is asked, which is the
/// server itself.  The environment is the process's, so the test runs itself once more.
#[test]
fn it_passes_the_suite_by_virtual_host_behind_a_proxy() {
    if std::env::var_os(THERE).is_some() {
        let style = ("AWS_S3_FORCE_PATH_STYLE", "false");
        conformance::run(&store_at(&format!("http://{DOMAIN}"), BUCKET, &[style]));
        return;
    }
    let server = Server::start(Options { page: 2, ..Options::default() });
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "suite::it_passes_the_suite_by_virtual_host_behind_a_proxy"]);
    for name in ["NO_PROXY", "no_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy", "REQUEST_METHOD"] {
        again.env_remove(name);
    }
    let ran = again.env(THERE, "1").env("http_proxy", server.endpoint()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    let seen = server.all_seen();
    assert!(seen.len() > 50);
    for request in seen {
        assert_eq!(request.header("host"), Some("bucket.s3.test"));
        assert!(request.target.starts_with("http://bucket.s3.test/"), "{}", request.target);
    }
    assert_eq!(server.keys(), [""; 0]);
}
