//! A server of S3 in the test's own process: the crate s3s checks signatures and speaks XML, `bucket` keeps the objects.
//!
//! Each test has one of its own, on a port that nobody else has; it is gone when the test is.

use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::host::SingleDomain;
use s3s::service::{S3Service, S3ServiceBuilder};
use store_s3::{Config, S3Store};
use tokio::sync::oneshot;

mod auth;
mod bucket;
mod fault;
mod front;
mod list;
mod log;
mod multipart;
mod options;
mod service;

pub use bucket::{About, Bucket};
pub use fault::Fault;
pub use log::{Kind, Seen};
pub use options::{Batches, CreateOnly, Options};

/// The bucket that is there.
pub const BUCKET: &str = "bucket";
/// The domain below which a bucket's name may stand in the host's.
pub const DOMAIN: &str = "s3.test";
/// The key that is known, and its secret.
pub const KEY: [&str; 2] = ["KEY", "the secret of KEY"];
/// What all keys of the tests' stores begin with.
pub const PREFIX: &str = "a/prefix";

/// What the server's parts share with the test.
pub struct Shared {
    pub options: Options,
    pub bucket: Mutex<Bucket>,
    pub log: log::Log,
    pub faults: fault::Faults,
}

impl Shared {
    pub fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server that runs until it is dropped.
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            options,
            bucket: Mutex::default(),
            log: log::Log::default(),
            faults: fault::Faults::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let serving = serve(listener, shared.clone(), stopped);
        let thread = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serving);
        });
        Self { shared, address, stop: Some(stop), thread: Some(thread) }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A store in its bucket, by the settings that do, or by `more`.
    pub fn store(&self, more: &[(&str, &str)]) -> S3Store {
        self.store_in(BUCKET, more)
    }

    pub fn store_in(&self, bucket: &str, more: &[(&str, &str)]) -> S3Store {
        store_at(&self.endpoint(), bucket, more)
    }

    /// What is kept, to look at or to change behind the back of everybody.
    pub fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.shared.bucket()
    }

    /// Keeps these bytes under a key of the tests' stores.
    pub fn keep(&self, key: &str, bytes: &'static [u8]) {
        self.bucket().keep(&format!("{PREFIX}/{key}"), bytes);
    }

    /// The keys that there are, without the prefix of the tests' stores.
    pub fn keys(&self) -> Vec<String> {
        let bare = |key: &String| key.strip_prefix(PREFIX).unwrap().trim_start_matches('/').to_owned();
        self.bucket().objects.keys().map(bare).collect()
    }

    /// The requests that came, of this kind.
    pub fn seen(&self, kind: Kind) -> Vec<Seen> {
        self.shared.log.all().into_iter().filter(|seen| seen.kind == kind).collect()
    }

    pub fn all_seen(&self) -> Vec<Seen> {
        self.shared.log.all()
    }

    /// Has the requests of this kind, counted from now on and from 0, meet this fault.
    pub fn fault(&self, kind: Kind, which: Range<usize>, fault: Fault) {
        self.shared.faults.add(kind, which, fault);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// A store at an endpoint.
pub fn store_at(endpoint: &str, bucket: &str, more: &[(&str, &str)]) -> S3Store {
    let usual = [
        ("AWS_ENDPOINT", endpoint),
        ("AWS_ACCESS_KEY_ID", KEY[0]),
        ("AWS_SECRET_ACCESS_KEY", KEY[1]),
        ("AWS_S3_FORCE_PATH_STYLE", "true"),
        ("WALG_S3_MAX_PART_SIZE", "5242880"),
        ("S3_MAX_RETRIES", "3"),
    ];
    let set = |name: &str| more.iter().chain(&usual).find(|(set, _)| *set == name);
    let look = |name: &str| set(name).map(|(_, value)| (*value).to_owned()).filter(|value| !value.is_empty());
    S3Store::new(Config::read(&look).unwrap(), bucket, PREFIX).unwrap()
}

/// Takes connections until told to stop; those that are open then are dropped.
async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stopped: oneshot::Receiver<()>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let s3 = s3(&shared);
    loop {
        let (socket, _) = tokio::select! {
            taken = listener.accept() => taken.unwrap(),
            _ = &mut stopped => return,
        };
        let (shared, s3) = (shared.clone(), s3.clone());
        let answer = service_fn(move |request| front::answer(shared.clone(), s3.clone(), request));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), answer));
    }
}

fn s3(shared: &Arc<Shared>) -> S3Service {
    let mut config = S3Config::default();
    if shared.options.ahead != 0 {
        config.presigned_url_max_skew_time_secs = 0; // its clock cannot be set, but how far off one may be
    }
    let mut builder = S3ServiceBuilder::new(service::Service(shared.clone()));
    builder.set_auth(auth::Keys);
    builder.set_host(SingleDomain::new(DOMAIN).unwrap());
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.build()
}
