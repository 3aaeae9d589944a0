//! What stands before s3s: writes requests down, brings the faults in, and has a region and a clock.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use s3s::service::S3Service;
use s3s::{Body, HttpError, StdError};

use super::{Fault, Shared};

/// The headers whose values are secrets.
const TOKEN: &str = "x-amz-security-token";
const CUSTOMER_KEY: &str = "x-amz-server-side-encryption-customer-key";

/// Answers one request.
pub async fn answer(
    shared: Arc<Shared>,
    s3: S3Service,
    request: Request<Incoming>,
) -> Result<Response<Body>, HttpError> {
    let (kind, _here) = shared.log.begin(&request);
    let mut request = request.map(Body::from);
    let faults = shared.faults.of(kind);
    for fault in &faults {
        match &**fault {
            Fault::Answer(status, code, headers) => {
                read_all(&mut request).await;
                return Ok(refusal(*status, code, "", headers));
            }
            Fault::Quote(status, code) => {
                read_all(&mut request).await;
                let quoted =
                    [TOKEN, CUSTOMER_KEY].iter().filter_map(|name| request.headers().get(*name)?.to_str().ok());
                let message = format!("<Message>{}</Message>", quoted.collect::<Vec<_>>().join("; "));
                return Ok(refusal(*status, code, &message, &[]));
            }
            Fault::Document(text) => {
                read_all(&mut request).await;
                return Ok(Response::new(Body::from(text.clone())));
            }
            Fault::Drop => return Err(gone()),
            Fault::Before(deed) => deed(&mut shared.bucket()),
            Fault::Meet(barrier) => {
                barrier.wait().await;
            }
            Fault::Hold(time) => tokio::time::sleep(*time).await,
            Fault::LoseAnswer | Fault::Cut(_) | Fault::Without(_) => {}
        }
    }
    if let Some(region) = shared.options.region.filter(|region| !signed_for(request.headers(), region)) {
        read_all(&mut request).await;
        let more = format!("<Region>{region}</Region>");
        return Ok(refusal(400, "AuthorizationHeaderMalformed", &more, &[("x-amz-bucket-region", region)]));
    }
    let mut answer = s3.call(request).await?;
    for fault in &faults {
        match &**fault {
            Fault::LoseAnswer => return Err(gone()),
            Fault::Cut(size) => cut(&mut answer, *size).await,
            Fault::Without(name) => drop(answer.headers_mut().remove(*name)),
            _ => {}
        }
    }
    if shared.options.ahead != 0 {
        let now = Timestamp::now() + SignedDuration::from_secs(shared.options.ahead);
        let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        answer.headers_mut().insert("date", date.parse().unwrap());
    }
    Ok(answer)
}

/// What has hyper drop the connection.
fn gone() -> HttpError {
    HttpError::new("gone".into())
}

async fn read_all(request: &mut Request<Body>) {
    let _ = request.body_mut().store_all_limited(1 << 30).await;
}

fn refusal(status: u16, code: &str, more: &str, headers: &[(&'static str, &'static str)]) -> Response<Body> {
    let body = if code.is_empty() { String::new() } else { format!("<Error><Code>{code}</Code>{more}</Error>") };
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        answer.headers_mut().insert(*name, value.parse().unwrap());
    }
    answer
}

/// Whether the signature's scope names this region.
fn signed_for(headers: &HeaderMap, region: &str) -> bool {
    let scope = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    scope.contains(&format!("/{region}/s3/"))
}

/// Leaves so much of a body; what was said of its length stays.
async fn cut(answer: &mut Response<Body>, size: usize) {
    let whole = answer.body_mut().store_all_limited(1 << 30).await.unwrap();
    *answer.body_mut() = Body::http_body(Short { bytes: Some(whole.slice(..size)), sent: false });
}

/// A body that breaks off, once what there is of it has been sent.
struct Short {
    bytes: Option<Bytes>,
    sent: bool,
}

impl http_body::Body for Short {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        if let Some(bytes) = self.bytes.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if !std::mem::replace(&mut self.sent, true) {
            context.waker().wake_by_ref(); // what is idle is flushed
            return Poll::Pending;
        }
        Poll::Ready(Some(Err("cut".into())))
    }
}
