//! How a bucket is reached and how objects are kept in it, by WAL-G's names (spec/layout.md §9, spec/crypto-compression.md §7).

use std::path::PathBuf;
use std::time::Duration;

use store::{CreateOnly, Error, Why};

/// The value of a setting or a variable of the environment, if it is set and not empty.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Settings that are never shown, nor handed to programs that do not need them.
pub const SECRETS: &[&str] = &[
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "WALG_S3_SSE_C",
    "WALE_S3_SSE_C",
    "S3_SSE_C",
];

/// The least that a part may have (all but the last), in bytes.
const LEAST_PART: u64 = 5 << 20;
/// The most that a part may have, in bytes.
pub(crate) const MOST_PART: u64 = 5 << 30;

/// How objects are encrypted by the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sse {
    /// As the bucket does it by itself.
    Unasked,
    /// With keys of the store's own (`AES256`).
    Aes256,
    /// With the key of this id in the server's key management (`aws:kms`).
    Kms(String),
    /// With this key, which every reader has to send.
    Customer(String),
}

/// How a bucket is reached, and how objects are kept in it.
#[derive(Clone, Debug)]
pub struct Config {
    /// `http://` or `https://`, host, port; none for AWS.
    pub endpoint: Option<String>,
    /// The region that requests are signed for; none: it is found out.
    pub region: Option<String>,
    /// The bucket stands in the path, not in the host's name.
    pub path_style: bool,
    /// `STANDARD`, `STANDARD_IA`, …
    pub storage_class: String,
    /// How the server encrypts.
    pub sse: Sse,
    /// Bytes of a part of a multipart upload, and the most that is put at once.
    pub part_size: u64,
    /// Parts of one object in flight, at most.
    pub flights: usize,
    /// How often a request is tried again.
    pub retries: u32,
    /// How often a download is taken up again where it broke off, without a byte in between.
    pub resumes: u32,
    /// How long a request may be without progress.
    pub timeout: Duration,
    /// Certificate authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// `k=v&k2=v2`, each of them encoded as in a URL.
    pub tags: Option<String>,
    /// Metadata beside walpipe's own: names without `x-amz-meta-`.
    pub metadata: Vec<(String, String)>,
    /// Object lock: the mode, and for how long from the moment of the put.
    pub retention: Option<(String, Duration)>,
    /// The requester pays.
    pub payer: bool,
    /// Payloads are not signed, only what TLS and Content-MD5 protect.
    pub unsigned_payload: bool,
    /// Lists are asked for in the first version's way.
    pub list_v1: bool,
    /// What the server is known to do with `If-None-Match: *`; none where nobody has found out.
    pub create_only: Option<CreateOnly>,
    /// Where keys are found: what [`Config::read`] was given, of the names that matter to that.
    pub(crate) environment: crate::credentials::Environment,
}

/// A setting by any of the names that it has had: `WALG_S3_X`, `WALE_S3_X`, `S3_X`.
fn s3(look: Lookup<'_>, name: &str) -> Option<String> {
    ["WALG_S3_", "WALE_S3_", "S3_"].iter().find_map(|prefix| look(&format!("{prefix}{name}")))
}

fn wrong(name: &str, value: &str, wanted: &str) -> Error {
    Error::Config(format!("the setting {name} is {value:?}, which is not {wanted}").into())
}

fn number<T: std::str::FromStr>(name: &str, value: Option<String>, wanted: &str) -> Result<Option<T>, Error> {
    value.map(|text| text.trim().parse().map_err(|_| wrong(name, &text, wanted))).transpose()
}

fn truth(name: &str, value: Option<String>) -> Result<Option<bool>, Error> {
    let Some(text) = value else { return Ok(None) };
    match text.to_ascii_lowercase().as_str() {
        "false" | "0" | "f" | "no" | "off" => Ok(Some(false)),
        "true" | "1" | "t" | "yes" | "on" => Ok(Some(true)),
        _ => Err(wrong(name, &text, "true or false")),
    }
}

impl Config {
    /// The settings that `look` finds.
    ///
    /// # Errors
    /// [`Error::Config`] with the setting that is no such setting.
    pub fn read(look: Lookup<'_>) -> Result<Self, Error> {
        let endpoint =
            look("AWS_ENDPOINT").or_else(|| look("AWS_ENDPOINT_URL_S3")).or_else(|| look("AWS_ENDPOINT_URL"));
        let environment = crate::credentials::Environment::read(look)?;
        let endpoint = endpoint.or_else(|| environment.profile_endpoint());
        let endpoint = endpoint.map(|text| endpoint_of(&text)).transpose()?;
        let region = look("AWS_REGION").or_else(|| look("AWS_DEFAULT_REGION")).or_else(|| environment.profile_region());
        let part_size: u64 =
            number("WALG_S3_MAX_PART_SIZE", s3(look, "MAX_PART_SIZE"), "a number of bytes")?.unwrap_or(20 << 20);
        if !(LEAST_PART..=MOST_PART).contains(&part_size) {
            let why = Why::hinted(
                format!("the setting WALG_S3_MAX_PART_SIZE is {part_size}"),
                format!("S3 takes parts from {LEAST_PART} to {MOST_PART} bytes."),
            );
            return Err(Error::Config(why));
        }
        let seconds = number::<u64>("WALPIPE_S3_TIMEOUT", look("WALPIPE_S3_TIMEOUT"), "a number of seconds")?;
        let create_only = match look("WALPIPE_S3_CREATE_ONLY").as_deref() {
            None | Some("unknown") => None,
            Some("no") => Some(CreateOnly::No),
            Some("put") => Some(CreateOnly::Put),
            Some("complete") => Some(CreateOnly::Complete),
            Some(other) => return Err(wrong("WALPIPE_S3_CREATE_ONLY", other, "one of unknown, no, put, complete")),
        };
        let config = Self {
            path_style: truth("AWS_S3_FORCE_PATH_STYLE", look("AWS_S3_FORCE_PATH_STYLE"))?.unwrap_or(false),
            storage_class: s3(look, "STORAGE_CLASS").unwrap_or_else(|| "STANDARD".to_owned()),
            sse: sse(look)?,
            part_size,
            flights: number("WALPIPE_UPLOAD_SHARE", look("WALPIPE_UPLOAD_SHARE"), "a whole number")?
                .or(number("WALG_UPLOAD_CONCURRENCY", look("WALG_UPLOAD_CONCURRENCY"), "a whole number")?)
                .unwrap_or(16),
            retries: number("S3_MAX_RETRIES", s3(look, "MAX_RETRIES"), "a whole number")?.unwrap_or(15),
            resumes: number("S3_RANGE_MAX_RETRIES", s3(look, "RANGE_MAX_RETRIES"), "a whole number")?.unwrap_or(10),
            timeout: Duration::from_secs(seconds.unwrap_or(60).max(1)),
            ca_file: s3(look, "CA_CERT_FILE").or_else(|| look("AWS_CA_BUNDLE")).map(PathBuf::from),
            tags: look("WALPIPE_S3_TAGS"),
            metadata: metadata(look)?,
            retention: retention(look)?,
            payer: truth("WALPIPE_S3_REQUESTER_PAYS", look("WALPIPE_S3_REQUESTER_PAYS"))?.unwrap_or(false),
            unsigned_payload: truth("WALPIPE_S3_UNSIGNED_PAYLOAD", look("WALPIPE_S3_UNSIGNED_PAYLOAD"))?
                .unwrap_or(false),
            list_v1: truth("S3_USE_LIST_OBJECTS_V1", s3(look, "USE_LIST_OBJECTS_V1"))?.unwrap_or(false),
            create_only,
            endpoint,
            region,
            environment,
        };
        match config.flights {
            0 => Err(wrong("WALG_UPLOAD_CONCURRENCY", "0", "a whole number, 1 at least")),
            _ => Ok(config),
        }
    }
}

impl Config {
    /// What is asked for beside the plain storing of bytes, in words; never a key.
    pub(crate) fn asked(&self) -> String {
        let sse = match &self.sse {
            Sse::Unasked => None,
            Sse::Aes256 => Some("encryption AES256".to_owned()),
            Sse::Kms(id) => Some(format!("encryption aws:kms with the key {id}")),
            Sse::Customer(_) => Some("encryption with a customer's key".to_owned()),
        };
        let tags = self.tags.as_ref().map(|tags| format!("the tags {tags}"));
        let lock = self.retention.as_ref().map(|(mode, _)| format!("a lock in {mode} mode"));
        let class = Some(format!("storage class {}", self.storage_class));
        [class, sse, tags, lock].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// An endpoint with its scheme, without a slash at its end.
fn endpoint_of(text: &str) -> Result<String, Error> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url: reqwest::Url =
        with_scheme.parse().map_err(|_| wrong("AWS_ENDPOINT", text, "a URL as https://host:port"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || url.query().is_some() {
        return Err(wrong("AWS_ENDPOINT", text, "a URL as https://host:port"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::Config("the setting AWS_ENDPOINT holds a user name or a password".into()));
    }
    Ok(with_scheme.trim_end_matches('/').to_owned())
}

fn sse(look: Lookup<'_>) -> Result<Sse, Error> {
    let kind = s3(look, "SSE");
    let id = s3(look, "SSE_KMS_ID");
    let key = s3(look, "SSE_C");
    let refused = |text: &str, hint: &str| Err(Error::Config(Why::hinted(text, hint)));
    match (kind.as_deref(), id, key) {
        (None, None, None) => Ok(Sse::Unasked),
        (Some("AES256"), None, None) => Ok(Sse::Aes256),
        (Some("aws:kms"), Some(id), None) => Ok(Sse::Kms(id)),
        (Some("AES256"), None, Some(key)) => customer(&key).map(Sse::Customer),
        (Some("aws:kms"), None, None) => refused("WALG_S3_SSE is aws:kms without a key", "Set WALG_S3_SSE_KMS_ID."),
        (_, Some(_), None) => refused("WALG_S3_SSE_KMS_ID is set without its kind", "Set WALG_S3_SSE to aws:kms."),
        (_, Some(_), Some(_)) => refused("both WALG_S3_SSE_KMS_ID and WALG_S3_SSE_C are set", "Set one of them."),
        (None, _, Some(_)) => refused("WALG_S3_SSE_C is set without its kind", "Set WALG_S3_SSE to AES256."),
        (Some(other), _, _) => Err(wrong("WALG_S3_SSE", other, "AES256 or aws:kms")),
    }
}

/// A customer's key: 32 bytes, as they are.
fn customer(key: &str) -> Result<String, Error> {
    if key.len() == 32 {
        return Ok(key.to_owned());
    }
    let text = format!("the setting WALG_S3_SSE_C has {} bytes", key.len());
    Err(Error::Config(Why::hinted(text, "A key for AES256 has 32 bytes, as they are, not encoded.")))
}

/// `name=value` pairs with commas between them.
fn metadata(look: Lookup<'_>) -> Result<Vec<(String, String)>, Error> {
    let Some(text) = look("WALPIPE_S3_METADATA") else { return Ok(Vec::new()) };
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let visible = |c: char| (' '..='~').contains(&c);
    let pair = |part: &str| match part.split_once('=') {
        Some((name, value)) if !name.is_empty() && name.chars().all(good) && value.chars().all(visible) => {
            Ok((name.to_ascii_lowercase(), value.to_owned()))
        }
        _ => Err(wrong("WALPIPE_S3_METADATA", &text, "name=value,name=value in ASCII")),
    };
    text.split(',').map(pair).collect()
}

fn retention(look: Lookup<'_>) -> Result<Option<(String, Duration)>, Error> {
    let seconds = number::<u64>("S3_RETENTION_PERIOD", s3(look, "RETENTION_PERIOD"), "a number of seconds")?;
    let mode = s3(look, "RETENTION_MODE");
    match (mode.as_deref(), seconds) {
        (None | Some("GOVERNANCE" | "COMPLIANCE"), Some(seconds)) if seconds > 0 => {
            let mode = mode.unwrap_or_else(|| "GOVERNANCE".to_owned());
            Ok(Some((mode, Duration::from_secs(seconds))))
        }
        (None, _) => Ok(None),
        (Some("GOVERNANCE" | "COMPLIANCE"), _) => {
            Err(Error::Config(Why::hinted("S3_RETENTION_MODE is set without a period", "Set S3_RETENTION_PERIOD.")))
        }
        (Some(other), _) => Err(wrong("S3_RETENTION_MODE", other, "GOVERNANCE or COMPLIANCE")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Config, Error> {
        Config::read(&|name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn defaults_are_wal_gs() {
        let config = read(&[]).unwrap();
        assert_eq!((config.part_size, config.retries, config.flights), (20 << 20, 15, 16));
        assert_eq!((config.storage_class.as_str(), config.sse), ("STANDARD", Sse::Unasked));
        assert!(config.endpoint.is_none() && config.region.is_none() && !config.path_style);
    }

    #[test]
    fn each_name_that_a_setting_has_had_is_read() {
        for name in ["WALG_S3_MAX_PART_SIZE", "WALE_S3_MAX_PART_SIZE", "S3_MAX_PART_SIZE"] {
            assert_eq!(read(&[(name, "6000000")]).unwrap().part_size, 6_000_000);
        }
    }

    #[test]
    fn encryption_that_is_half_set_is_refused() {
        for set in [
            &[("WALG_S3_SSE", "aws:kms")][..],
            &[("WALG_S3_SSE_KMS_ID", "k")],
            &[("WALG_S3_SSE_C", "0123456789abcdef0123456789abcdef")],
            &[("WALG_S3_SSE", "AES256"), ("WALG_S3_SSE_C", "short")],
            &[("WALG_S3_SSE", "aes")],
            &[("S3_RETENTION_MODE", "COMPLIANCE")],
            &[("WALG_S3_MAX_PART_SIZE", "1000")],
        ] {
            assert!(matches!(read(set), Err(Error::Config(_))), "{set:?}");
        }
    }

    #[test]
    fn an_endpoint_has_a_scheme_and_no_secret() {
        assert_eq!(endpoint_of("minio.local:9000").unwrap(), "https://minio.local:9000");
        assert_eq!(endpoint_of("http://[::1]:9000/").unwrap(), "http://[::1]:9000");
        for bad in ["ftp://x", "http://", "http://u:p@x", "http://x/?q"] {
            assert!(endpoint_of(bad).is_err(), "{bad}");
        }
    }
}
