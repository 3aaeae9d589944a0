//! One request after another to one bucket: signed, watched, tried again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{CONTENT_LENGTH, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Body, Method, Request, Response};
use store::{Error, Why};

use crate::answer::{Document, ErrorBody, root as root_element};
use crate::body::{Progress, Watched};
use crate::bucket;
use crate::config::{Config, Sse};
use crate::credentials::{Credentials, Provider};
use crate::object;
use crate::refusal::{Cause, Fault, Intent, Refusal, is_region};
use crate::sign::{Header, Unsigned, sign};
use crate::tls;
use crate::upload::BUFFERS;

/// How long a connection may take, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest pause between two tries, and the longest that a server may ask for.
const PAUSES: [Duration; 2] = [Duration::from_secs(20), Duration::from_secs(300)];
/// How often a server is tried that never answered anything.
const KNOCKS: u32 = 5;
/// The most that is read of an answer that is XML, in bytes.
const DOCUMENT: usize = 16 << 20;

/// A bucket, and a connection to it.
pub(crate) struct Client {
    http: reqwest::Client,
    pub config: Config,
    bucket: String,
    prefix: String,
    credentials: Provider,
    /// The region that was found out.
    region: Mutex<Option<String>>,
    /// Whether the server has ever done what it was asked to: then the bucket is there.
    worked: AtomicBool,
    /// How many parts may be in flight now, and how many successes there were since that was lowered.
    lanes: AtomicUsize,
    calm: AtomicU32,
}

/// A request.
pub(crate) struct Call<'a> {
    pub method: Method,
    pub intent: Intent,
    /// The whole key; none for the bucket.
    pub key: Option<&'a str>,
    pub query: &'a [(&'a str, String)],
    pub headers: &'a [Header],
    pub body: Bytes,
    /// How many times the usual time it may be without progress.
    pub patience: u32,
}

impl Call<'_> {
    pub(crate) const fn new(method: Method, intent: Intent) -> Self {
        Self { method, intent, key: None, query: &[], headers: &[], body: Bytes::new(), patience: 1 }
    }
}

impl Client {
    pub(crate) fn new(config: Config, bucket: &str, prefix: &str) -> Result<Self, Error> {
        let secure = config.endpoint.as_deref().is_none_or(|endpoint| endpoint.starts_with("https:"));
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::settings(secure, config.ca_file.as_deref())?)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT)
            .pool_idle_timeout(Duration::from_secs(10))
            .tcp_nodelay(true)
            .user_agent(concat!("walpipe/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::Config(format!("no HTTP client: {}", root(&e)).into()))?;
        Ok(Self {
            credentials: Provider::new(config.environment.clone(), config.ca_file.clone(), secure),
            region: Mutex::new(config.region.clone()),
            lanes: AtomicUsize::new(config.flights),
            calm: AtomicU32::new(0),
            worked: AtomicBool::new(false),
            http,
            config,
            bucket: bucket.to_owned(),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
        })
    }

    /// The whole key of a key below the store's root.
    pub(crate) fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// What all keys begin with: empty, or with a slash at its end.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn seen_bucket(&self) -> bool {
        self.worked.load(Ordering::Relaxed)
    }

    pub(crate) fn see_bucket(&self) {
        self.worked.store(true, Ordering::Relaxed);
    }

    /// How many parts of an object may be in flight now: fewer while the server asks for fewer requests.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes.load(Ordering::Relaxed)
    }

    /// As [`Client::send`], its failure explained.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Response, Error> {
        self.send(call).await.map_err(|fault| self.explain(fault, call.intent))
    }

    /// A failure in words; where the server took exception to something that was asked for, what that was.
    pub(crate) fn explain(&self, mut fault: Fault, intent: Intent) -> Error {
        fault.scrub(&self.secrets().iter().map(String::as_str).collect::<Vec<_>>());
        // the key of aws:kms counts as a key that is not known for some servers
        let kms = fault.refusal().is_some_and(|refusal| refusal.code == "InvalidAccessKeyId")
            && matches!(self.config.sse, Sse::Kms(_));
        match fault.into_error(intent, &self.bucket) {
            Error::Config(Why { text, hint: None }) if intent == Intent::Put => {
                let hint = format!("Does the server know what is asked for: {}?", self.config.asked());
                Error::Config(Why::hinted(text, hint))
            }
            Error::Denied(Why { text, .. }) if kms && self.seen_bucket() => {
                Error::Denied(Why::hinted(text, "The server does not know the key that WALG_S3_SSE_KMS_ID names."))
            }
            Error::Denied(Why { text, hint }) if kms => {
                let hint = hint.unwrap_or_default() + "  Or it does not know the one that WALG_S3_SSE_KMS_ID names.";
                Error::Denied(Why::hinted(text, hint))
            }
            error => error,
        }
    }

    /// What was sent and nobody may read.
    fn secrets(&self) -> Vec<String> {
        let mut secrets = self.credentials.secrets();
        if let Sse::Customer(key) = &self.config.sse {
            secrets.extend([key.clone(), object::encode(key)]);
        }
        secrets
    }

    /// Sends a request until it is answered with success, or will not be.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Response, Fault> {
        self.tried(call, async |response| Ok(response)).await
    }

    /// As [`Client::send`], with the whole of the answer, which may begin as a success and be none.
    pub(crate) async fn answer(&self, call: &Call<'_>) -> Result<(HeaderMap, String), Fault> {
        let whole = async |response: Response| {
            let (status, headers) = (response.status(), response.headers().clone());
            let text = self.text(response).await?;
            if root_element(&text).as_deref() != Some("Error") {
                return Ok((headers, text));
            }
            let error = quick_xml::de::from_str::<ErrorBody>(&text).unwrap_or_default();
            Err(Cause::Refused(Box::new(Refusal::new(status, error))))
        };
        self.tried(call, whole).await
    }

    /// Sends a request, and reads the document that answers it.
    pub(crate) async fn document<T: Document>(&self, call: &Call<'_>) -> Result<T, Error> {
        let (_, text) = self.answer(call).await.map_err(|fault| self.explain(fault, call.intent))?;
        parse(&text)
    }

    /// Sends a request and makes something of its answer, until that succeeds or will not.
    async fn tried<T>(&self, call: &Call<'_>, finish: impl AsyncFn(Response) -> Result<T, Cause>) -> Result<T, Fault> {
        let start = Instant::now();
        let mut tries = 0;
        let (mut moved, mut renewed, mut skewed) = (false, false, false);
        loop {
            tries += 1;
            let key = self.credentials.get(&self.http).await.map_err(Fault::said)?;
            let answered = match self.once(call, &key).await {
                Ok(response) => finish(response).await,
                Err(cause) => Err(cause),
            };
            let cause = match answered {
                Ok(result) => {
                    self.went_well();
                    return Ok(result);
                }
                Err(cause) => cause,
            };
            let mut pause = None;
            if let Cause::Refused(refusal) = &cause {
                if let Some(region) = refusal.region.as_deref().filter(|_| !moved && self.move_to(refusal)) {
                    moved = true;
                    self.set_region(region);
                    continue;
                }
                if refusal.expired() && !renewed && self.credentials.refused(&key).await {
                    renewed = true;
                    continue;
                }
                if refusal.code == "RequestTimeTooSkewed" && !skewed {
                    skewed = true; // it may have waited for its connection; signed anew it is younger
                    continue;
                }
                if refusal.throttles() {
                    self.slow_down();
                }
                pause = refusal.retry_after.map(|asked| asked.min(PAUSES[1]));
            }
            let unheard = matches!(cause, Cause::Network(_)) && !self.seen_bucket();
            let most = if unheard { self.config.retries.min(KNOCKS) } else { self.config.retries };
            if !cause.may_pass() || tries > most {
                return Err(Fault { cause, tries, took: start.elapsed() });
            }
            tokio::time::sleep(pause.unwrap_or_else(|| backoff(tries))).await;
        }
    }

    /// Sends a request once, signed with `key`.
    async fn once(&self, call: &Call<'_>, key: &Credentials) -> Result<Response, Cause> {
        let region = self.region().await;
        let style = self.config.path_style;
        let (origin, base) = bucket::place(self.config.endpoint.as_deref(), &region, &self.bucket, style);
        let path = match call.key {
            Some(key) => format!("{base}{key}"),
            None if base.len() > 1 => base.trim_end_matches('/').to_owned(),
            None => base,
        };
        let mut headers = call.headers.to_vec();
        if self.config.payer {
            headers.push(("x-amz-request-payer".into(), "requester".to_owned()));
        }
        let request = Unsigned {
            service: "s3",
            region: &region,
            method: &call.method,
            origin: &origin,
            path: &path,
            query: call.query,
            headers: &headers,
            payload: &call.body,
            payload_too: !(self.config.unsigned_payload && origin.starts_with("https:")),
        };
        let (url, headers) = sign(&request, key).map_err(Cause::Said)?;
        let mut request = Request::new(call.method.clone(), url);
        *request.headers_mut() = headers;
        let progress = Progress::new();
        if call.method == Method::PUT || call.method == Method::POST {
            request.headers_mut().insert(CONTENT_LENGTH, call.body.len().into());
            *request.body_mut() = Some(Body::wrap(Watched::new(call.body.clone(), progress.clone())));
        }
        let patience = self.config.timeout * call.patience;
        let answered = progress.watch(patience, self.http.execute(request)).await;
        let response = answered.ok_or(Cause::Stalled(patience))?.map_err(|e| network(&e, &origin))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(Cause::Refused(Box::new(self.refusal(response).await)))
    }

    async fn refusal(&self, response: Response) -> Refusal {
        let status = response.status();
        let headers = response.headers().clone();
        let text = self.text(response).await.unwrap_or_default();
        let mut refusal = Refusal::new(status, quick_xml::de::from_str::<ErrorBody>(&text).unwrap_or_default());
        if let Some(region) = region_in(&headers) {
            refusal.region = Some(region);
        }
        let number = |text: &str| text.trim().parse().ok().map(Duration::from_secs);
        refusal.retry_after = headers.get(RETRY_AFTER).and_then(|value| number(value.to_str().ok()?));
        let date = headers.get(DATE).and_then(|value| value.to_str().ok());
        let server = date.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
        refusal.ahead = server.map(|server| Timestamp::now().as_second() - server.as_second());
        refusal
    }

    /// The whole of an answer that is text.
    ///
    /// # Errors
    /// [`Cause::Stalled`] and [`Cause::Network`].
    pub(crate) async fn text(&self, mut response: Response) -> Result<String, Cause> {
        let mut bytes = Vec::new();
        // the completion of an upload may take minutes, in which the server sends blanks
        loop {
            let piece = tokio::time::timeout(self.config.timeout, response.chunk()).await;
            match piece.map_err(|_| Cause::Stalled(self.config.timeout))?.map_err(|e| network(&e, ""))? {
                Some(piece) if bytes.len() + piece.len() <= DOCUMENT => bytes.extend_from_slice(&piece),
                Some(_) => return Err(Cause::Network("the answer does not end".to_owned())),
                None => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            }
        }
    }

    /// The region to sign for: as it is set, else as the bucket says, else where all began.
    async fn region(&self) -> String {
        let known = || self.region.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(region) = known() {
            return region;
        }
        let found = if self.config.endpoint.is_none() { self.ask_region().await } else { None };
        let region = found.unwrap_or_else(|| "us-east-1".to_owned());
        if self.config.endpoint.is_none() {
            self.set_region(&region);
        }
        region
    }

    /// What AWS answers to anybody who asks for the head of a bucket: its region.
    async fn ask_region(&self) -> Option<String> {
        let (origin, base) = bucket::place(None, "us-east-1", &self.bucket, true);
        let url = format!("{origin}{}", base.trim_end_matches('/'));
        let answer = tokio::time::timeout(self.config.timeout, self.http.head(url).send()).await.ok()?.ok()?;
        region_in(answer.headers())
    }

    /// Whether the refusal says where the bucket is, and nobody said otherwise.
    fn move_to(&self, refusal: &Refusal) -> bool {
        self.config.region.is_none()
            && (refusal.status.is_redirection() || refusal.status.as_u16() == 400)
            && *self.region.lock().unwrap_or_else(PoisonError::into_inner) != refusal.region
    }

    fn set_region(&self, region: &str) {
        *self.region.lock().unwrap_or_else(PoisonError::into_inner) = Some(region.to_owned());
    }

    fn slow_down(&self) {
        self.calm.store(0, Ordering::Relaxed);
        let _ = self.lanes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some((n.min(BUFFERS) / 2).max(1)));
    }

    fn went_well(&self) {
        self.see_bucket();
        if self.calm.fetch_add(1, Ordering::Relaxed) % 16 == 15 {
            let most = self.config.flights;
            let _ = self.lanes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some((n + 1).min(most)));
        }
    }

    /// The metadata of walpipe and of the settings, as headers.
    pub(crate) fn metadata(&self, own: &BTreeMap<&str, String>) -> Vec<Header> {
        let own = own.iter().map(|(name, value)| (format!("x-amz-meta-walpipe-{name}").into(), value.clone()));
        own.chain(self.config.metadata.iter().map(|(n, v)| (format!("x-amz-meta-{n}").into(), v.clone()))).collect()
    }
}

/// What a document says.
///
/// # Errors
/// [`Error::Corrupt`] if it is none of its kind.
pub(crate) fn parse<T: Document>(text: &str) -> Result<T, Error> {
    let wrong = |why: String| Error::Corrupt(format!("the server's answer is no answer: {why}").into());
    if root_element(text).as_deref() != Some(T::ROOT) {
        return Err(wrong(format!("it is no {}", T::ROOT)));
    }
    quick_xml::de::from_str(text).map_err(|e| wrong(e.to_string()))
}

/// A header's text.
pub(crate) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The region that an answer names.
fn region_in(headers: &HeaderMap) -> Option<String> {
    header(headers, "x-amz-bucket-region").filter(|region| is_region(region))
}

/// The pause before the next try: it doubles from a tenth of a second, and no two clients keep step.
pub(crate) fn backoff(tries: u32) -> Duration {
    let full = Duration::from_millis(100 << tries.saturating_sub(1).min(12)).min(PAUSES[0]);
    let mut random = [0; 1];
    let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
    full.mul_f64(0.5 + f64::from(random[0]) / 512.0)
}

/// What broke, in words.
pub(crate) fn network(error: &reqwest::Error, origin: &str) -> Cause {
    let root = root(error);
    if root.contains("invalid peer certificate") {
        return Cause::Untrusted(root.trim_start_matches("invalid peer certificate: ").to_owned());
    }
    if error.is_connect() {
        Cause::Network(format!("cannot connect to {origin}: {root}"))
    } else {
        Cause::Network(format!("the connection broke: {root}"))
    }
}

/// The innermost reason of an error, in lower case, without Rust's "(os error 2)".
pub(crate) fn root(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    let text = inner.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if letters.clone().next().is_some_and(char::is_lowercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}
