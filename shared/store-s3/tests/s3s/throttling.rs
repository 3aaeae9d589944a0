//! Fewer parts in flight while the server asks for fewer requests: as it counts them, not by the clock.

use std::time::Duration;

use tokio::sync::Barrier;

use crate::server::{Fault, Kind, Options, Seen, Server};
use crate::{put, stream};

/// Stores so many parts; the requests that brought them.
fn parts(server: &Server, count: usize) -> Vec<Seen> {
    let settings = [("S3_MAX_RETRIES", "15"), ("WALPIPE_S3_TIMEOUT", "5")];
    put(&server.store(&settings), "one", &stream(count, 1), &Default::default()).unwrap();
    assert_eq!(server.bucket().objects["a/prefix/one"].bytes.len(), stream(count, 1).len());
    server.seen(Kind::Part)
}

fn number(seen: &Seen) -> usize {
    seen.query("partNumber").unwrap().parse().unwrap()
}

/// The most that were with the server at once when one from this number on came.
fn most(seen: &[Seen], from: usize) -> usize {
    seen.iter().filter(|seen| number(seen) >= from).map(|seen| seen.at_once).max().unwrap()
}

/// The first four parts wait for one another, so that all of them are in flight.
fn server() -> Server {
    let server = Server::start(Options::default());
    server.fault(Kind::Part, 0..4, Fault::Meet(Barrier::new(4)));
    server
}

/// The request of this number, counted from 0, waits for the next one; those after it are held, so that more could come.
fn two_meet(server: &Server, first: usize) {
    server.fault(Kind::Part, first..first + 2, Fault::Meet(Barrier::new(2)));
    server.fault(Kind::Part, first + 2..100, Fault::Hold(Duration::from_millis(50)));
}

#[test]
fn four_parts_are_in_flight_where_nobody_minds() {
    let seen = parts(&server(), 6);
    assert_eq!((seen.len(), most(&seen, 1)), (6, 4));
}

#[test]
fn one_refusal_halves_the_parts_in_flight() {
    for (status, code) in [(503, "SlowDown"), (429, "TooManyRequests")] {
        let server = server();
        server.fault(Kind::Part, 0..1, Fault::Answer(status, code, Vec::new()));
        two_meet(&server, 12);
        let seen = parts(&server, 14);
        assert_eq!(seen.len(), 15);
        // those that were in flight are done with, and 16 that went well have not come together yet
        assert_eq!((most(&seen, 1), most(&seen, 12)), (4, 2), "{status} {code}");
    }
}

#[test]
fn a_server_that_refuses_again_gets_one_part_at_a_time() {
    let server = server();
    server.fault(Kind::Part, 0..3, Fault::Answer(503, "SlowDown", Vec::new()));
    server.fault(Kind::Part, 8..100, Fault::Hold(Duration::from_millis(20)));
    let seen = parts(&server, 14);
    assert_eq!(seen.len(), 17);
    assert_eq!((most(&seen, 1), most(&seen, 9)), (4, 1));
}

#[test]
fn parts_in_flight_come_back_when_the_server_is_at_ease() {
    let server = server();
    server.fault(Kind::Part, 0..3, Fault::Answer(503, "SlowDown", Vec::new()));
    two_meet(&server, 26);
    let seen = parts(&server, 26);
    assert_eq!(most(&seen, 24), 2);
}
