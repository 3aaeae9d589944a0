//! Where a bucket is, and whether it is there at all.

use reqwest::Method;
use store::Error;

use crate::client::{Call, Client};
use crate::refusal::Intent;

/// Whether this host's name is a number: no name can be put before it.
fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok()
}

/// Whether the bucket can be the first part of a host's name, under TLS as well.
fn is_label(bucket: &str, tls: bool) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || (c == '.' && !tls);
    (3..=63).contains(&bucket.len()) && bucket.chars().all(good)
}

/// `https://host:port`, and what the path of a key begins with.
pub(crate) fn place(endpoint: Option<&str>, region: &str, bucket: &str, path_style: bool) -> (String, String) {
    let aws = if region.starts_with("cn-") {
        format!("https://s3.{region}.amazonaws.com.cn")
    } else {
        format!("https://s3.{region}.amazonaws.com")
    };
    let endpoint = endpoint.unwrap_or(&aws);
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("https", endpoint));
    let (authority, base) = rest.split_once('/').map_or((rest, String::new()), |(a, path)| (a, format!("/{path}")));
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|c| c.is_ascii_digit()) => host,
        _ => authority,
    };
    if path_style || is_address(host) || !is_label(bucket, scheme == "https") {
        (format!("{scheme}://{authority}"), format!("{base}/{bucket}/"))
    } else {
        (format!("{scheme}://{bucket}.{authority}"), format!("{base}/"))
    }
}

/// Sees that the bucket is there, once: an answer of 404 to HEAD has no body that would tell which of the two is absent.
///
/// # Errors
/// [`Error::Gone`] where it is not, and the others as they say.
pub(crate) async fn must_be_there(client: &Client) -> Result<(), Error> {
    if client.seen_bucket() {
        return Ok(());
    }
    let query = [("list-type", "2".to_owned()), ("max-keys", "1".to_owned()), ("prefix", client.prefix().to_owned())];
    let call = Call { query: &query, ..Call::new(Method::GET, Intent::List) };
    client.call(&call).await.map(|_| client.see_bucket())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(endpoint: Option<&str>, bucket: &str, path_style: bool) -> String {
        let (origin, path) = place(endpoint, "eu-west-1", bucket, path_style);
        origin + &path
    }

    #[test]
    fn a_bucket_stands_in_the_host_or_in_the_path() {
        assert_eq!(text(None, "bkt", false), "https://bkt.s3.eu-west-1.amazonaws.com/");
        assert_eq!(text(None, "bkt", true), "https://s3.eu-west-1.amazonaws.com/bkt/");
        assert_eq!(text(None, "b.k.t", false), "https://s3.eu-west-1.amazonaws.com/b.k.t/");
        assert_eq!(text(Some("http://h:90"), "b.k.t", false), "http://b.k.t.h:90/");
        assert_eq!(text(Some("http://127.0.0.1:90"), "bkt", false), "http://127.0.0.1:90/bkt/");
        assert_eq!(text(Some("http://[::1]:90"), "bkt", false), "http://[::1]:90/bkt/");
        assert_eq!(text(Some("https://h/base"), "bkt", true), "https://h/base/bkt/");
        assert_eq!(place(None, "cn-north-1", "bkt", true).0, "https://s3.cn-north-1.amazonaws.com.cn");
    }
}
