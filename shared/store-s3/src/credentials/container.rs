//! Keys of a container's role: ECS, and EKS's pod identity.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use store::{Error, Why};

use super::document::Document;
use super::http::{self, Patience};
use super::{Credentials, Environment};
use crate::client::root;
use crate::refusal::scrub;

/// Where a relative address is of: the ECS agent.
pub(super) const AGENT: &str = "http://169.254.170.2";
/// Which hosts are asked without TLS, beside the machine itself: the agents of ECS and EKS
/// (`ContainerMetadataFetcher` in botocore/utils.py).
const AGENTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];
const CONNECT: Duration = Duration::from_secs(2);
const PATIENCE: Patience = Patience { time: Duration::from_secs(5), tries: 3 };

/// Asks the endpoint that the variables name; none where they name none.
///
/// # Errors
/// [`Error::Config`] for an endpoint that may not be asked; [`Error::Denied`] if it refuses; and what keeps it from
/// answering.
pub(super) async fn ask(
    environment: &Environment,
    agent: &str,
    ca_file: Option<&Path>,
) -> Result<Option<Credentials>, Error> {
    let Some(url) = address(environment, agent)? else { return Ok(None) };
    let shown = url.origin().ascii_serialization();
    let service = format!("the container's credentials endpoint at {shown}");
    let token = authorization(environment)?;
    let http = http::direct(url.scheme() == "https", ca_file, CONNECT)?;
    let make = || {
        let mut request = http.get(url.clone()).header("accept", "application/json");
        if let Some(token) = &token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        request.build().map_err(|_| Error::Config(format!("{service} cannot be asked").into()))
    };
    let hint = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI names it; both are set by the container's agent.";
    let answer = http::ask(&http, PATIENCE, make).await?.map_err(|silence| silence.into_error(&service, hint))?;
    if answer.status.is_success() {
        return Document::read(&answer.text, &service)?.key(&service).map(Some);
    }
    let document = Document::read(&answer.text, &service).unwrap_or_default();
    let secret = token.as_ref().and_then(|token| token.to_str().ok()).unwrap_or_default();
    let said = [document.code, document.message].into_iter().flatten().map(|text| scrub(&text, &[secret]));
    let said = said.collect::<Vec<_>>().join(": ");
    let text = format!("{service} answered {} {said}", answer.status.as_u16()).trim_end().to_owned();
    if answer.may_pass() {
        return Err(Error::Busy(text.into()));
    }
    Err(Error::Denied(Why::hinted(text, "The task or the pod needs a role, and its authorization token.")))
}

/// Where to ask.
fn address(environment: &Environment, agent: &str) -> Result<Option<Url>, Error> {
    if let Some(path) = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
        let url = if path.starts_with('/') { format!("{agent}{path}").parse().ok() } else { None };
        let text = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not a path that begins with a slash";
        return url.map(Some).ok_or_else(|| Error::Config(text.into()));
    }
    let Some(text) = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") else { return Ok(None) };
    let url: Option<Url> = text.parse().ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some());
    let url = url.ok_or_else(|| Error::Config("AWS_CONTAINER_CREDENTIALS_FULL_URI is not a URL".into()))?;
    let host = url.host_str().unwrap_or_default();
    if url.scheme() == "http" && !near(host) {
        let text = format!("AWS_CONTAINER_CREDENTIALS_FULL_URI names {host} without TLS");
        let hint = "Without TLS only this machine and the agents of ECS and EKS are asked for keys: use https.";
        return Err(Error::Config(Why::hinted(text, hint)));
    }
    Ok(Some(url))
}

/// Whether nobody stands between this machine and that host.
fn near(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || AGENTS.contains(&bare) || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// What is shown to the endpoint: from a file, which is read each time, or from the variable.
fn authorization(environment: &Environment) -> Result<Option<HeaderValue>, Error> {
    let (text, place) = if let Some(file) = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        let text = std::fs::read_to_string(file).map_err(|e| {
            let text = format!("cannot read the container's authorization token in {file}: {}", root(&e));
            Error::Config(Why::hinted(text, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names that file."))
        })?;
        (text.trim_end().to_owned(), "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    } else if let Some(text) = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN") {
        (text.to_owned(), "AWS_CONTAINER_AUTHORIZATION_TOKEN")
    } else {
        return Ok(None);
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Error::Config(format!("the token of {place} cannot be sent: it is not one line").into()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_only_what_is_near_is_asked() {
        for host in
            ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"]
        {
            assert!(near(host), "{host}");
        }
        for host in ["169.254.169.254", "10.0.0.1", "localhost.evil.example", "127.0.0.1.nip.io", "[fd00:ec2::254]"] {
            assert!(!near(host), "{host}");
        }
    }
}
