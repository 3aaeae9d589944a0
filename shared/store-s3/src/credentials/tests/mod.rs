//! The chain, against services that are played by threads of the test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;
use crate::tls;

mod containers;
mod files;
mod instances;
mod order;
mod processes;
mod renewal;
mod roles;
mod secrets;

/// A request as a service saw it.
#[derive(Clone, Debug)]
struct Asked {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// A field of the form that was posted.
    fn field(&self, name: &str) -> Option<String> {
        let url: reqwest::Url = format!("http://x/?{}", self.body).parse().unwrap();
        url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
    }
}

/// A service: what it answers is the status and the text, by the request and how many there were before.
struct Service {
    origin: String,
    seen: Arc<Mutex<Vec<Asked>>>,
}

impl Service {
    fn new(answer: impl Fn(&Asked, usize) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(asked) = stream.ok().and_then(|stream| request(&stream).map(|asked| (stream, asked))) else {
                    continue;
                };
                let (mut stream, asked) = asked;
                let number = log.lock().unwrap().len();
                log.lock().unwrap().push(asked.clone());
                let (status, text) = answer(&asked, number);
                let length = text.len();
                let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(format!("{head}{text}").as_bytes());
            }
        });
        Self { origin, seen }
    }

    fn seen(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().clone()
    }
}

fn request(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, headers, body: String::from_utf8(body).ok()? })
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn environment(set: &[(&str, &str)]) -> Environment {
    let look = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    Environment::read(&look).unwrap()
}

/// A provider that looks at nothing but `set`.
fn provider(set: &[(&str, &str)]) -> Provider {
    let mut set = set.to_vec();
    if !set.iter().any(|(name, _)| name.starts_with("AWS_EC2_METADATA")) {
        set.push(("AWS_EC2_METADATA_DISABLED", "true"));
    }
    Provider::new(environment(&set), None, false)
}

fn client() -> Client {
    let settings = tls::settings(false, None).unwrap();
    Client::builder().no_proxy().tls_backend_preconfigured(settings).build().unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn get(provider: &Provider) -> Result<Credentials, Error> {
    runtime().block_on(provider.get(&client()))
}

/// The id of the key that is found.
fn id(set: &[(&str, &str)]) -> String {
    get(&provider(set)).map(|key| key.id).unwrap_or_else(|e| panic!("{e:?}"))
}

/// Why none is found.
fn failure(set: &[(&str, &str)]) -> Error {
    get(&provider(set)).err().unwrap()
}

fn in_seconds(seconds: i64) -> String {
    (Timestamp::now() + SignedDuration::from_secs(seconds)).to_string()
}

/// What STS answers to the action.
fn sts_key(asked: &Asked, id: &str, seconds: i64) -> String {
    let action = asked.field("Action").unwrap();
    let end = in_seconds(seconds);
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><AssumedRoleUser>\
         <Arn>arn:aws:sts::1:assumed-role/r/s</Arn><AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser><Credentials>\
         <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>sts-secret-{id}</SecretAccessKey><SessionToken>sts-token-{id}\
         </SessionToken><Expiration>{end}</Expiration></Credentials></{action}Result><ResponseMetadata><RequestId>r\
         </RequestId></ResponseMetadata></{action}Response>"
    )
}

fn sts_error(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}\
         </Code><Message>{message}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
    )
}

/// A key in JSON.
fn json_key(id: &str, token: &str, seconds: i64) -> String {
    let end = in_seconds(seconds);
    format!(
        "{{\"Version\": 1, \"Code\": \"Success\", \"AccessKeyId\": \"{id}\", \"SecretAccessKey\": \"json-secret\", \
         \"{token}\": \"json-token\", \"Expiration\": \"{end}\"}}"
    )
}

/// An instance whose metadata service speaks version 2 only.
fn instance(id: &'static str) -> Service {
    Service::new(move |asked, _| match (asked.method.as_str(), asked.path.as_str()) {
        ("PUT", "/latest/api/token") if asked.header("x-aws-ec2-metadata-token-ttl-seconds").parse::<u32>().is_ok() => {
            (200, "imds-token".to_owned())
        }
        ("GET", _) if asked.header("x-aws-ec2-metadata-token") != "imds-token" => (401, String::new()),
        ("GET", "/latest/meta-data/iam/security-credentials/") => (200, "backup-role\n".to_owned()),
        ("GET", "/latest/meta-data/iam/security-credentials/backup-role") => (200, json_key(id, "Token", 3600)),
        _ => (404, String::new()),
    })
}

/// A directory with both files, and the variables that name them.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new(credentials: &str, config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".aws")).unwrap();
        std::fs::write(folder.path().join(".aws/credentials"), credentials).unwrap();
        std::fs::write(folder.path().join(".aws/config"), config).unwrap();
        Self { folder }
    }

    fn path(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    /// Writes a file, and returns its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}
