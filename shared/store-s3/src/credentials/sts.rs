//! Roles, by AWS's Security Token Service or what speaks its protocol.
//!
//! `AssumeRole` (signed) and `AssumeRoleWithWebIdentity` (the token is the proof), API version 2011-06-15: a form in a
//! POST, XML in the answer.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{Client, Method, Request, Url};
use serde::Deserialize;
use store::{Error, Why};

use super::chain::{Role, Web};
use super::document::expiration;
use super::http::{self, Answer, Patience};
use super::{Credentials, Environment};
use crate::answer::ErrorBody;
use crate::client::root;
use crate::refusal::scrub;
use crate::sign::{Unsigned, sign};

const PATIENCE: Patience = Patience { time: Duration::from_secs(10), tries: 3 };
const FORM: &str = "application/x-www-form-urlencoded";

/// Where the service is.
pub(super) struct Sts {
    pub endpoint: String,
    pub region: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    #[serde(alias = "AssumeRoleWithWebIdentityResult")]
    assume_role_result: Outcome,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Outcome {
    credentials: Key,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Key {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refused {
    error: ErrorBody,
}

impl Sts {
    /// The service of the region that is set, or the one that `AWS_ENDPOINT_URL_STS` names.
    ///
    /// # Errors
    /// [`Error::Config`] if that is no URL.
    pub(super) fn of(environment: &Environment) -> Result<Self, Error> {
        let region = environment.get("AWS_REGION").or_else(|| environment.get("AWS_DEFAULT_REGION"));
        let region = region.map(str::to_owned).or_else(|| environment.profile_region());
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        if let Some(endpoint) = environment.get("AWS_ENDPOINT_URL_STS") {
            let good = |url: &Url| matches!(url.scheme(), "http" | "https") && url.username().is_empty();
            if !endpoint.parse().is_ok_and(|url: Url| good(&url) && url.query().is_none() && url.password().is_none()) {
                let text = "the setting AWS_ENDPOINT_URL_STS is not a URL as https://host:port";
                return Err(Error::Config(text.into()));
            }
            return Ok(Self { endpoint: endpoint.trim_end_matches('/').to_owned(), region });
        }
        if !region.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') {
            return Err(Error::Config(format!("the region {region:?} is no region").into()));
        }
        let end = if region.starts_with("cn-") { ".cn" } else { "" };
        Ok(Self { endpoint: format!("https://sts.{region}.amazonaws.com{end}"), region })
    }

    /// Assumes `role` with `key`.
    ///
    /// # Errors
    /// [`Error::Denied`] if that is refused, and what else keeps the service from answering.
    pub(super) async fn assume(&self, http: &Client, key: &Credentials, role: &Role) -> Result<Credentials, Error> {
        let mut form = vec![("Action", "AssumeRole".to_owned()), ("RoleArn", role.arn.clone())];
        form.push(("RoleSessionName", session(role.session.as_deref())));
        form.extend(role.external_id.clone().map(|id| ("ExternalId", id)));
        form.extend(role.seconds.map(|seconds| ("DurationSeconds", seconds.to_string())));
        let body = encoded(&form);
        let headers = [("content-type".into(), FORM.to_owned())];
        let (origin, path) = self.parts();
        let make = || {
            let (url, headers) = sign(
                &Unsigned {
                    service: "sts",
                    region: &self.region,
                    method: &Method::POST,
                    origin,
                    path,
                    query: &[],
                    headers: &headers,
                    payload: &body,
                    payload_too: true,
                },
                key,
            )?;
            let mut request = Request::new(Method::POST, url);
            *request.headers_mut() = headers;
            *request.body_mut() = Some(body.clone().into());
            Ok(request)
        };
        let what = format!("cannot assume the role {} of {}", role.arn, role.of);
        let answer = self.ask(http, make).await?;
        let secrets = [key.secret.as_str(), key.token.as_deref().unwrap_or_default()];
        let hint =
            format!("The role's trust policy and these credentials have to allow sts:AssumeRole on {}.", role.arn);
        self.read(&answer, &what, &secrets, &hint)
    }

    /// Assumes the role that a token is for; the file is read each time, for whoever wrote it renews it.
    ///
    /// # Errors
    /// As [`Sts::assume`]; [`Error::Config`] if the file cannot be read.
    pub(super) async fn present(&self, http: &Client, web: &Web) -> Result<Credentials, Error> {
        let file = web.token_file.display();
        let token = std::fs::read_to_string(&web.token_file).map_err(|e| {
            let text = format!("cannot read the web identity token in {file}: {}", root(&e));
            Error::Config(Why::hinted(text, "AWS_WEB_IDENTITY_TOKEN_FILE, or the profile, names that file."))
        })?;
        let token = token.trim();
        let body = encoded(&[
            ("Action", "AssumeRoleWithWebIdentity".to_owned()),
            ("RoleArn", web.arn.clone()),
            ("RoleSessionName", session(web.session.as_deref())),
            ("WebIdentityToken", token.to_owned()),
        ]);
        let make = || {
            let request = http.post(&self.endpoint).header("content-type", FORM).body(body.clone()).build();
            request.map_err(|_| Error::Config("the setting AWS_ENDPOINT_URL_STS cannot be asked".into()))
        };
        let what = format!("cannot assume the role {} with the web identity token in {file}", web.arn);
        let answer = self.ask(http, make).await?;
        let hint =
            format!("The role's trust policy has to allow sts:AssumeRoleWithWebIdentity to the holder of {file}.");
        self.read(&answer, &what, &[token], &hint)
    }

    async fn ask(&self, http: &Client, make: impl FnMut() -> Result<Request, Error>) -> Result<Answer, Error> {
        let service = format!("the token service (STS) at {}", self.endpoint);
        let hint = "Is it reached from here? AWS_REGION chooses it, AWS_ENDPOINT_URL_STS names another.";
        http::ask(http, PATIENCE, make).await?.map_err(|silence| silence.into_error(&service, hint))
    }

    /// The endpoint's origin, and its path.
    fn parts(&self) -> (&str, &str) {
        let host = self.endpoint.find("://").map_or(0, |at| at + 3);
        match self.endpoint[host..].find('/') {
            Some(at) => self.endpoint.split_at(host + at),
            None => (&self.endpoint, "/"),
        }
    }

    fn read(&self, answer: &Answer, what: &str, secrets: &[&str], hint: &str) -> Result<Credentials, Error> {
        if !answer.status.is_success() {
            return Err(refusal(answer, what, secrets, hint));
        }
        let giver = format!("the token service (STS) at {}", self.endpoint);
        // no word of what was there: it may be a key
        let given: Given = quick_xml::de::from_str(&answer.text)
            .map_err(|_| Error::Corrupt(format!("{what}: what {giver} gave is no key").into()))?;
        let key = given.assume_role_result.credentials;
        Ok(Credentials {
            expires: Some(expiration(&key.expiration, &giver)?),
            id: key.access_key_id,
            secret: key.secret_access_key,
            token: Some(key.session_token),
        })
    }
}

fn refusal(answer: &Answer, what: &str, secrets: &[&str], hint: &str) -> Error {
    let body = quick_xml::de::from_str::<Refused>(&answer.text).map(|refused| refused.error).unwrap_or_default();
    let status = answer.status.as_u16();
    // the message to a wrong signature quotes the request, and its token with it
    let clock = body.message.starts_with("Signature expired") || body.message.starts_with("Signature not yet current");
    let quotes = body.code == "SignatureDoesNotMatch" && !clock;
    let message = if quotes { String::new() } else { scrub(&body.message, secrets) };
    let code = scrub(&body.code, secrets);
    let said = [code.as_str(), message.as_str()].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
    let text = format!("{what}: {status} {}", said.join(": ")).trim_end().to_owned();
    let hinted = |hint: &str| Why::hinted(text.clone(), hint);
    match body.code.as_str() {
        _ if clock => Error::Config(hinted("Set this machine's clock.")),
        _ if answer.may_pass() => Error::Busy(text.into()),
        "SignatureDoesNotMatch" => Error::Denied(hinted("The secret key of the source is not that of its key id.")),
        "InvalidClientTokenId" => Error::Denied(hinted("The service does not know the source's key.")),
        "ExpiredToken" => Error::Denied(hinted("The source's temporary key has expired: get a new one.")),
        "ExpiredTokenException" => Error::Denied(hinted("Whoever writes the token's file has to renew it.")),
        "ValidationError" | "PackedPolicyTooLarge" | "MalformedPolicyDocument" => Error::Config(text.into()),
        "RegionDisabledException" => Error::Config(hinted("Activate STS in that region, or set another AWS_REGION.")),
        _ => Error::Denied(hinted(hint)),
    }
}

/// What the session is called where nobody called it anything.
fn session(name: Option<&str>) -> String {
    name.map_or_else(|| format!("walpipe-{}", Timestamp::now().as_second()), str::to_owned)
}

/// A form as it is sent.
fn encoded(fields: &[(&str, String)]) -> Bytes {
    let Ok(mut url) = Url::parse("http://form/") else { return Bytes::new() };
    url.query_pairs_mut().append_pair("Version", "2011-06-15").extend_pairs(fields);
    Bytes::from(url.query().unwrap_or_default().to_owned())
}
