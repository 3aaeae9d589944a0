//! Short questions to the services that give keys: bounded in time and size, tried a few times.

use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Request, StatusCode};
use store::{Error, Why};

use crate::client::{backoff, network};
use crate::refusal::Cause;
use crate::tls;

/// The most that is read of an answer, in bytes.
const DOCUMENT: usize = 256 << 10;

/// How long a service is waited for, and how often it is asked.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// Of each try.
    pub time: Duration,
    pub tries: u32,
}

/// What a service said.
pub(super) struct Answer {
    pub status: StatusCode,
    pub text: String,
}

/// Why it said nothing.
pub(super) enum Silence {
    /// In these words, each with the number of tries.
    Network(String),
    Slow(String),
    Untrusted(String),
}

impl Answer {
    /// Whether the same question may be answered otherwise a little later.
    pub(super) fn may_pass(&self) -> bool {
        self.status.is_server_error()
            || matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
            || ["<Code>Throttl", "<Code>IDPCommunicationError"].iter().any(|code| self.text.contains(code))
    }
}

impl Silence {
    /// The failure to ask `service`.
    pub(super) fn into_error(self, service: &str, hint: &str) -> Error {
        match self {
            Self::Network(text) => Error::Unreachable(Why::hinted(format!("cannot ask {service}: {text}"), hint)),
            Self::Slow(text) => Error::Busy(Why::hinted(format!("{service} does not answer: {text}"), hint)),
            Self::Untrusted(text) => Error::Config(Why::hinted(
                format!("the certificate of {service} is not trusted: {text}"),
                "WALG_S3_CA_CERT_FILE or AWS_CA_BUNDLE names a file with the certificate authority to trust.",
            )),
        }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Network(text) | Self::Slow(text) | Self::Untrusted(text) => text,
        }
    }
}

/// A client for the services of the machine itself: never through a proxy, which would show them another machine.
///
/// # Errors
/// [`Error::Config`] where TLS is wanted and cannot be had.
pub(super) fn direct(secure: bool, ca_file: Option<&Path>, connect: Duration) -> Result<Client, Error> {
    finish(Client::builder().no_proxy(), secure, ca_file, connect)
}

/// A client for services elsewhere.
///
/// # Errors
/// [`Error::Config`] where TLS cannot be had.
pub(super) fn outside(ca_file: Option<&Path>, connect: Duration) -> Result<Client, Error> {
    finish(Client::builder(), true, ca_file, connect)
}

fn finish(
    builder: reqwest::ClientBuilder,
    secure: bool,
    ca_file: Option<&Path>,
    connect: Duration,
) -> Result<Client, Error> {
    builder
        .tls_backend_preconfigured(tls::settings(secure, ca_file)?)
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(connect)
        .user_agent(concat!("walpipe/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|_| Error::Config("no HTTP client for the services that give keys".into()))
}

/// Asks until there is an answer that stays, or patience ends; each time what `make` makes.
///
/// # Errors
/// Those of `make`; the inner one is why there is no answer at all.
pub(super) async fn ask(
    http: &Client,
    patience: Patience,
    mut make: impl FnMut() -> Result<Request, Error>,
) -> Result<Result<Answer, Silence>, Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        let request = make()?;
        let origin = request.url().origin().ascii_serialization();
        let told = if tries == 1 { "tried once".to_owned() } else { format!("tried {tries} times") };
        let outcome = match tokio::time::timeout(patience.time, once(http, request)).await {
            Ok(Ok(answer)) if !answer.may_pass() => return Ok(Ok(answer)),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => match network(&error, &origin) {
                Cause::Untrusted(text) => return Ok(Err(Silence::Untrusted(text))),
                Cause::Network(text) => Err(Silence::Network(format!("{text}, {told}"))),
                _ => Err(Silence::Network(told)),
            },
            Err(_) => {
                let text = format!("no answer from {origin} within {} s, {told}", patience.time.as_secs_f32());
                Err(Silence::Slow(text))
            }
        };
        if tries >= patience.tries {
            return Ok(outcome);
        }
        tokio::time::sleep(backoff(tries)).await;
    }
}

async fn once(http: &Client, request: Request) -> Result<Answer, reqwest::Error> {
    let mut response = http.execute(request).await?;
    let status = response.status();
    let mut bytes = Vec::new();
    while bytes.len() < DOCUMENT {
        let Some(piece) = response.chunk().await? else { break };
        bytes.extend_from_slice(&piece);
    }
    Ok(Answer { status, text: String::from_utf8_lossy(&bytes).into_owned() })
}
