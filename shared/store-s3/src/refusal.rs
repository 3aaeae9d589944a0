//! Why a request failed, whether to try it again, and how that is said to people.

use std::time::Duration;

use reqwest::StatusCode;
use store::{Error, Why};

use crate::answer::ErrorBody;

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub status: StatusCode,
    /// S3's word for it; empty where there was none (an answer to HEAD has no body).
    pub code: String,
    pub message: String,
    /// The bucket's region, where the answer says it.
    pub region: Option<String>,
    /// How long to wait, where the answer says it.
    pub retry_after: Option<Duration>,
    /// How far this machine's clock is ahead of the server's, in seconds.
    pub ahead: Option<i64>,
}

/// Why a request came to nothing.
#[derive(Debug)]
pub(crate) enum Cause {
    /// The server answered so.
    Refused(Box<Refusal>),
    /// There was no connection, or it broke, in these words.
    Network(String),
    /// A certificate was not trusted.
    Untrusted(String),
    /// Nothing moved for that long.
    Stalled(Duration),
    /// It is known already what to say: there is no key to sign with.
    Said(Error),
}

/// A request that failed for good.
#[derive(Debug)]
pub(crate) struct Fault {
    pub cause: Cause,
    pub tries: u32,
    pub took: Duration,
}

impl Fault {
    /// One whose words are known already.
    pub(crate) const fn said(error: Error) -> Self {
        Self::of(Cause::Said(error))
    }

    /// One that trying again would not change.
    pub(crate) const fn of(cause: Cause) -> Self {
        Self { cause, tries: 1, took: Duration::ZERO }
    }
}

/// What a request was to do, for the words of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    Put,
    Get,
    List,
    Delete,
}

impl Intent {
    /// The grant that it takes, by the name that AWS gives it.
    const fn grant(self) -> &'static str {
        match self {
            Self::Put => "s3:PutObject (and s3:AbortMultipartUpload)",
            Self::Get => "s3:GetObject (and s3:ListBucket, without which what is absent looks forbidden)",
            Self::List => "s3:ListBucket (and s3:ListBucketMultipartUploads)",
            Self::Delete => "s3:DeleteObject",
        }
    }
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, body: ErrorBody) -> Self {
        let (code, message, region) = (body.code, body.message, body.region.filter(|region| is_region(region)));
        let status = if status.is_success() { status_of(&code) } else { status };
        Self { status, code, message, region, retry_after: None, ahead: None }
    }

    /// Whether the very same request may succeed a little later.
    pub(crate) fn may_pass(&self) -> bool {
        match self.code.as_str() {
            "SlowDown" | "RequestTimeout" | "InternalError" | "ServiceUnavailable" | "OperationAborted" => true,
            "ConditionalRequestConflict" | "ThrottlingException" | "TooManyRequests" | "RequestLimitExceeded" => true,
            "NotImplemented" => false,
            _ => {
                (self.status.is_server_error() && self.status != StatusCode::NOT_IMPLEMENTED)
                    || self.status == StatusCode::TOO_MANY_REQUESTS
                    || self.status == StatusCode::REQUEST_TIMEOUT
                    || self.status == StatusCode::CONFLICT
                    || self.status == StatusCode::TOO_EARLY
            }
        }
    }

    /// Whether the server asks for fewer requests.
    pub(crate) fn throttles(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
            || self.status == StatusCode::SERVICE_UNAVAILABLE
            || matches!(self.code.as_str(), "SlowDown" | "ThrottlingException" | "RequestLimitExceeded")
    }

    /// Whether the key is not good any more.
    pub(crate) fn expired(&self) -> bool {
        matches!(self.code.as_str(), "ExpiredToken" | "TokenRefreshRequired" | "ExpiredTokenException")
    }

    /// Whether it is the bucket that is not there.
    pub(crate) fn no_bucket(&self) -> bool {
        self.code == "NoSuchBucket"
    }

    fn short(&self) -> String {
        let status = self.status.as_u16();
        match (self.code.as_str(), self.message.as_str()) {
            ("", _) => format!("{status} {}", self.status.canonical_reason().unwrap_or_default()).trim_end().to_owned(),
            (code, _) => format!("{status} {code}"),
        }
    }

    /// With the server's own words.
    fn long(&self) -> String {
        let words = self.message.trim_end_matches('.');
        if words.is_empty() { self.short() } else { format!("{}: {words}", self.short()) }
    }
}

impl Cause {
    /// Whether the same request may succeed a little later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.may_pass(),
            Self::Network(_) | Self::Stalled(_) => true,
            Self::Untrusted(_) | Self::Said(_) => false,
        }
    }
}

impl Fault {
    /// Keeps of the server's words what people may read.
    pub(crate) fn scrub(&mut self, secrets: &[&str]) {
        if let Cause::Refused(refusal) = &mut self.cause {
            refusal.code = scrub(&refusal.code, secrets);
            refusal.message = scrub(&refusal.message, secrets);
            refusal.region = refusal.region.take().map(|region| scrub(&region, secrets));
        }
    }

    /// The refusal, if it is one.
    pub(crate) const fn refusal(&self) -> Option<&Refusal> {
        match &self.cause {
            Cause::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    pub(crate) fn is_status(&self, status: u16) -> bool {
        self.refusal().is_some_and(|refusal| refusal.status.as_u16() == status)
    }

    /// What was asked for under a condition is refused by it; MinIO said 304 to a PUT as well until April 2024.
    pub(crate) fn is_precondition_failed(&self) -> bool {
        self.is_status(412) || self.is_status(304)
    }

    fn tries(&self) -> String {
        match self.tries {
            0 | 1 => "tried once".to_owned(),
            n => format!("tried {n} times in {} s", self.took.as_secs().max(1)),
        }
    }

    /// In words: what happened, and what to do about it.
    pub(crate) fn into_error(self, intent: Intent, bucket: &str) -> Error {
        let tries = self.tries();
        match self.cause {
            Cause::Said(error) => error,
            Cause::Untrusted(text) => Error::Config(Why::hinted(
                format!("the server's certificate is not trusted: {text}"),
                "WALG_S3_CA_CERT_FILE names a file with the certificate authority to trust.",
            )),
            Cause::Network(text) => Error::Unreachable(Why::hinted(
                format!("{text}, {tries}"),
                "Is the server up, and do AWS_ENDPOINT and AWS_REGION name it?",
            )),
            Cause::Stalled(time) => Error::Busy(format!("nothing moved for {} s, {tries}", time.as_secs()).into()),
            Cause::Refused(refusal) => explain(&refusal, intent, bucket, &tries),
        }
    }
}

/// A service's words for people: one line, not long, and none of `secrets` in it, for some quote the request.
pub(crate) fn scrub(words: &str, secrets: &[&str]) -> String {
    let mut text = words.split(['\r', '\n']).map(str::trim).find(|line| !line.is_empty()).unwrap_or("").to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
        text = text.replace(secret, "…");
    }
    text = text.replace(char::is_control, " ");
    match text.char_indices().nth(300) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Whether this may be the name of a region; it becomes part of a host's name.
pub(crate) fn is_region(name: &str) -> bool {
    (1..64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// The status that S3 gives such an error where it comes before the answer has begun: one in the body of an answer of 200
/// means the same.
fn status_of(code: &str) -> StatusCode {
    match code {
        "AccessDenied" => StatusCode::FORBIDDEN,
        "NoSuchBucket" | "NoSuchKey" | "NoSuchUpload" => StatusCode::NOT_FOUND,
        "ConditionalRequestConflict" | "OperationAborted" => StatusCode::CONFLICT,
        "PreconditionFailed" => StatusCode::PRECONDITION_FAILED,
        "InternalError" => StatusCode::INTERNAL_SERVER_ERROR,
        "NotImplemented" => StatusCode::NOT_IMPLEMENTED,
        "SlowDown" | "ServiceUnavailable" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn explain(refusal: &Refusal, intent: Intent, bucket: &str, tries: &str) -> Error {
    let short = format!("{}, {tries}", refusal.short());
    let long = || format!("{}, {tries}", refusal.long());
    let hinted = |hint: &str| Why::hinted(short.clone(), hint);
    if refusal.may_pass() {
        return Error::Busy(short.into());
    }
    match refusal.code.as_str() {
        "NoSuchBucket" => {
            return Error::Gone(hinted(&format!(
                "There is no bucket {bucket} there: make it, or correct WALG_S3_PREFIX or AWS_ENDPOINT."
            )));
        }
        "SignatureDoesNotMatch" => {
            return Error::Denied(hinted("AWS_SECRET_ACCESS_KEY is not the secret of AWS_ACCESS_KEY_ID."));
        }
        "InvalidAccessKeyId" => return Error::Denied(hinted("The server does not know AWS_ACCESS_KEY_ID.")),
        "ExpiredToken" | "TokenRefreshRequired" | "InvalidToken" | "ExpiredTokenException" => {
            return Error::Denied(hinted("AWS_SESSION_TOKEN has expired or is none: get new temporary credentials."));
        }
        "NoSuchUpload" => {
            return Error::Busy(hinted(
                "Another upload of the same name may have come first, or a rule of the bucket aborted this one: try again.",
            ));
        }
        "RequestTimeTooSkewed" | "RequestExpired" => {
            let by = refusal.ahead.map_or_else(String::new, |ahead| {
                let way = if ahead > 0 { "ahead of" } else { "behind" };
                format!(": this machine's clock is {} s {way} the server's", ahead.abs())
            });
            return Error::Config(Why::hinted(
                format!("{}{by}, {tries}", refusal.short()),
                "Set this machine's clock.",
            ));
        }
        "InvalidStorageClass" => {
            return Error::Config(hinted("WALG_S3_STORAGE_CLASS names a class that the server does not have."));
        }
        _ => {}
    }
    if let Some(region) = &refusal.region
        && (refusal.status.is_redirection() || refusal.status == StatusCode::BAD_REQUEST)
    {
        let hint = format!("The bucket {bucket} is in the region {region}: set AWS_REGION to that, or unset it.");
        return Error::Config(hinted(&hint));
    }
    match refusal.status.as_u16() {
        301 | 302 | 307 | 308 => Error::Config(hinted("AWS_REGION or AWS_ENDPOINT is not that of the bucket.")),
        401 | 403 => Error::Denied(Why::hinted(
            short,
            format!("Are the key and its secret right?  They need {} on the bucket {bucket}.", intent.grant()),
        )),
        404 => Error::Absent(short.into()),
        412 => Error::Exists(short.into()),
        405 | 501 => Error::Config(Why::hinted(
            long(),
            "The server does not support this: see the settings for encryption, classes, tags and locks.",
        )),
        _ if refusal.code.starts_with("KMS") || refusal.message.contains("KMS") => {
            Error::Config(Why::hinted(long(), "WALG_S3_SSE_KMS_ID has to name a key that these credentials may use."))
        }
        400 if matches!(intent, Intent::Get) => {
            Error::Config(Why::hinted(long(), "An object under a customer's key is read only with that WALG_S3_SSE_C."))
        }
        _ => Error::Config(long().into()),
    }
}
