//! What came to the server.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request};
use reqwest::Url;

use super::{BUCKET, DOMAIN};

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Put,
    Get,
    Head,
    Delete,
    Begin,
    Part,
    Complete,
    Abort,
    Batch,
    List,
    Uploads,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Seen {
    pub kind: Kind,
    /// As it was sent: what it is addressed to, with its query.
    pub target: String,
    pub headers: HeaderMap,
    /// How many requests of its kind were with the server when it came, itself among them.
    pub at_once: usize,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A parameter of the query, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        query(&self.target).into_iter().find_map(|(n, value)| (n == name).then_some(value))
    }
}

/// All of them, in their order.
#[derive(Default)]
pub struct Log {
    all: Mutex<Vec<Seen>>,
    here: Mutex<Vec<(Kind, Arc<AtomicUsize>)>>,
}

/// A request that is with the server.
pub struct Here(Arc<AtomicUsize>);

impl Drop for Here {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Log {
    pub fn all(&self) -> Vec<Seen> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes a request down; it is with the server until what is returned is dropped.
    pub fn begin(&self, request: &Request<Incoming>) -> (Kind, Here) {
        let kind = kind(request);
        let count = self.count(kind);
        let at_once = count.fetch_add(1, Ordering::SeqCst) + 1;
        let seen = Seen { kind, target: request.uri().to_string(), headers: request.headers().clone(), at_once };
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        (kind, Here(count))
    }

    fn count(&self, kind: Kind) -> Arc<AtomicUsize> {
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = here.iter().find(|(of, _)| *of == kind) {
            return count.clone();
        }
        let count = Arc::<AtomicUsize>::default();
        here.push((kind, count.clone()));
        count
    }
}

fn query(target: &str) -> Vec<(String, String)> {
    let text = target.split_once('?').map_or("", |(_, query)| query);
    let url: Url = format!("http://localhost/?{text}").parse().unwrap();
    url.query_pairs().into_owned().collect()
}

fn kind(request: &Request<Incoming>) -> Kind {
    let host = request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let path = request.uri().path().trim_start_matches('/');
    let key = if host.ends_with(DOMAIN) && host != DOMAIN {
        !path.is_empty()
    } else {
        path.split_once('/').is_some_and(|(bucket, key)| bucket == BUCKET && !key.is_empty())
    };
    let query = query(&request.uri().to_string());
    let has = |name: &str| query.iter().any(|(n, _)| n == name);
    match (request.method(), key) {
        (&Method::HEAD, _) => Kind::Head,
        (&Method::PUT, _) if has("partNumber") => Kind::Part,
        (&Method::PUT, _) => Kind::Put,
        (&Method::POST, _) if has("uploads") => Kind::Begin,
        (&Method::POST, _) if has("delete") => Kind::Batch,
        (&Method::POST, _) => Kind::Complete,
        (&Method::DELETE, _) if has("uploadId") => Kind::Abort,
        (&Method::DELETE, _) => Kind::Delete,
        (_, true) => Kind::Get,
        (_, false) if has("uploads") => Kind::Uploads,
        (_, false) => Kind::List,
    }
}
