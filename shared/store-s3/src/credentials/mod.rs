//! Where keys come from, in the order of the AWS CLI, and their renewal before they expire.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use store::{Error, Why};
use tokio::sync::Mutex;

mod environment;

pub(crate) use environment::Environment;

/// How long before its end a key is renewed.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// A key to sign with.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub id: String,
    pub secret: String,
    /// Of temporary keys.
    pub token: Option<String>,
    /// When it ends to be good.
    pub expires: Option<Timestamp>,
}

impl Credentials {
    fn fresh(&self) -> bool {
        self.expires.is_none_or(|end| Timestamp::now() + MARGIN < end)
    }
}

/// Finds a key, keeps it, and finds the next one in time.
pub(crate) struct Provider {
    environment: Environment,
    #[allow(dead_code)] // for the services that are reached by TLS
    ca_file: Option<PathBuf>,
    held: Mutex<Option<Credentials>>,
}

impl Provider {
    /// A provider; services that are reached by TLS are trusted by `ca_file`, else as the system does.
    pub(crate) fn new(environment: Environment, ca_file: Option<PathBuf>) -> Self {
        Self { environment, ca_file, held: Mutex::new(None) }
    }

    /// A key that is good for some minutes at least.
    ///
    /// # Errors
    /// [`Error::Config`] where there is none; what kept a service from giving one.
    pub(crate) async fn get(&self, _http: &reqwest::Client) -> Result<Credentials, Error> {
        let mut held = self.held.lock().await;
        if let Some(key) = held.as_ref().filter(|key| key.fresh()) {
            return Ok(key.clone());
        }
        let key = self.find().await?;
        *held = Some(key.clone());
        Ok(key)
    }

    /// Lets go of `key`, which the server refused; whether there may be another one.
    pub(crate) async fn refused(&self, key: &Credentials) -> bool {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|held| held.id == key.id && held.token == key.token) {
            *held = None;
        }
        key.expires.is_some()
    }

    async fn find(&self) -> Result<Credentials, Error> {
        if let Some(key) = self.environment.key()? {
            return Ok(key);
        }
        Err(Error::Config(Why::hinted(
            "no credentials for S3 were found",
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; walpipe-s3put(1) has the places that are searched.",
        )))
    }
}
