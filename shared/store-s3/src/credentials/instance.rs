//! Keys of an EC2 instance's role, from its metadata service, version 2: a token first, which no forwarded request gets.
//!
//! "Use the Instance Metadata Service to access instance metadata" in the EC2 user guide; version 1, which gives keys
//! to whoever can make this machine send a GET, is not spoken.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, StatusCode, Url};
use store::{Error, Why};

use super::document::Document;
use super::http::{self, Answer, Patience};
use super::{Credentials, Environment};
use crate::refusal::scrub;

const USUAL: &str = "http://169.254.169.254";
const USUAL_V6: &str = "http://[fd00:ec2::254]";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
/// How long a token is good, in seconds: it is used at once.
const TOKEN_TIME: &str = "300";
/// How long the service is waited for where nobody says, and how often it is asked: outside EC2 nobody answers, and
/// that is known after two seconds.
const TIME: Duration = Duration::from_secs(1);
const TRIES: u32 = 2;
/// The service was there a moment ago.
const PATIENCE: Patience = Patience { time: Duration::from_secs(3), tries: 3 };

/// Asks the service; none, and why in `notes`, where there is none, or none that gives keys.
///
/// # Errors
/// What goes wrong with a service that is there.
pub(super) async fn ask(environment: &Environment, notes: &mut Vec<String>) -> Result<Option<Credentials>, Error> {
    if environment.get("AWS_EC2_METADATA_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        notes.push("AWS_EC2_METADATA_DISABLED is set".to_owned());
        return Ok(None);
    }
    let base = base(environment)?;
    let (time, tries) =
        (number(environment, "AWS_METADATA_SERVICE_TIMEOUT"), number(environment, "AWS_METADATA_SERVICE_NUM_ATTEMPTS"));
    let time = time.map_or(TIME, |seconds| Duration::from_secs(seconds.clamp(1, 60).into()));
    let first = Patience { time, tries: tries.unwrap_or(TRIES).clamp(1, 10) };
    let http = http::direct(false, None, first.time)?;
    let Some(token) = token(&http, &base, first, notes).await? else { return Ok(None) };
    let roles = get(&http, &base, ROLES, &token).await?;
    let Some(role) = roles.text.lines().map(str::trim).find(|line| !line.is_empty()).filter(|_| well(&roles)) else {
        if well(&roles) || roles.status == StatusCode::NOT_FOUND {
            notes.push("this instance has no role".to_owned());
            return Ok(None);
        }
        return Err(odd(&base, &roles));
    };
    let answer = get(&http, &base, &format!("{ROLES}{role}"), &token).await?;
    if !well(&answer) {
        return Err(odd(&base, &answer));
    }
    let giver = format!("the instance metadata service at {base}");
    let document = Document::read(&answer.text, &giver)?;
    if let Some(code) = document.code.as_deref().filter(|code| *code != "Success") {
        let text = format!("{giver} has no key for the role {role}: {}", scrub(code, &[]));
        return Err(Error::Denied(Why::hinted(text, "The role has to exist, and to trust ec2.amazonaws.com.")));
    }
    let mut key = document.key(&giver)?;
    // in an outage the service gives out the last key, which the others then take beyond its end (botocore's
    // _evaluate_expiration in utils.py)
    let now = Timestamp::now();
    key.expires = key.expires.map(|end| if end <= now { now + SignedDuration::from_mins(10) } else { end });
    Ok(Some(key))
}

pub(super) fn base(environment: &Environment) -> Result<String, Error> {
    let v6 = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE").is_some_and(|m| m.eq_ignore_ascii_case("ipv6"));
    let usual = if v6 { USUAL_V6 } else { USUAL };
    let text = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or(usual).trim_end_matches('/');
    let url: Url = text.parse().map_err(|_| wrong())?;
    let plain = url.host_str().is_some() && url.username().is_empty() && url.password().is_none();
    if plain && url.scheme() == "http" { Ok(text.to_owned()) } else { Err(wrong()) }
}

fn number(environment: &Environment, name: &str) -> Option<u32> {
    environment.get(name)?.trim().parse().ok()
}

fn well(answer: &Answer) -> bool {
    answer.status == StatusCode::OK
}

fn odd(base: &str, answer: &Answer) -> Error {
    let text = format!("the instance metadata service at {base} answered {}", answer.status.as_u16());
    if answer.may_pass() { Error::Busy(text.into()) } else { Error::Denied(text.into()) }
}

fn wrong() -> Error {
    Error::Config("the setting AWS_EC2_METADATA_SERVICE_ENDPOINT is not a URL as http://host:port".into())
}

/// The token that the other questions need.
async fn token(
    http: &Client,
    base: &str,
    patience: Patience,
    notes: &mut Vec<String>,
) -> Result<Option<String>, Error> {
    let make = || {
        let request = http.put(format!("{base}/latest/api/token"));
        let request = request.header("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_TIME).header("content-length", "0");
        request.build().map_err(|_| wrong())
    };
    match http::ask(http, patience, make).await? {
        Ok(answer) if well(&answer) && !answer.text.trim().is_empty() => Ok(Some(answer.text.trim().to_owned())),
        Ok(answer) if answer.may_pass() => Err(odd(base, &answer)),
        Ok(answer) => {
            let status = answer.status.as_u16();
            notes.push(format!("{base} answered {status} where the instance metadata service (IMDSv2) would be"));
            Ok(None)
        }
        Err(silence) => {
            notes.push(format!("no instance metadata service: {}", silence.text()));
            Ok(None)
        }
    }
}

async fn get(http: &Client, base: &str, path: &str, token: &str) -> Result<Answer, Error> {
    let make = || {
        let request = http.get(format!("{base}{path}")).header("x-aws-ec2-metadata-token", token);
        request.build().map_err(|_| wrong())
    };
    let service = format!("the instance metadata service at {base}");
    let hint = "It answered a moment ago: try again.";
    http::ask(http, PATIENCE, make).await?.map_err(|silence| silence.into_error(&service, hint))
}
