//! Where keys come from, in the order of the AWS CLI, and their renewal before they expire.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use reqwest::Client;
use store::{Error, Why};

mod chain;
mod container;
mod document;
mod environment;
mod http;
mod ini;
mod instance;
mod process;
mod profile;
mod sts;
#[cfg(test)]
mod tests;

use chain::{Base, Plan, Role};
pub(crate) use environment::Environment;
use profile::Profiles;
use sts::Sts;

/// How long before its end a key is renewed; a key that lives less than twice as long, at half of what it has left.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);
/// After how long a renewal that came to nothing is tried again, at most and at least.
const AGAIN: [SignedDuration; 2] = [SignedDuration::from_secs(30), SignedDuration::from_millis(200)];
/// A refusal that comes this soon after a key does not speak of that key, but of the one before it.
const YOUNG: Duration = Duration::from_secs(2);
/// How long a process may take that prints a key: one that waits for somebody at a terminal waits for ever.
const PROCESS: Duration = Duration::from_secs(60);
/// How long a connection to a service outside may take.
const CONNECT: Duration = Duration::from_secs(5);

/// The source whose keys are what they are.
const VARIABLES: &str = "AWS_ACCESS_KEY_ID";

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
    fn good(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}

/// The key in use.
struct Held {
    key: Credentials,
    since: Instant,
    /// When to look for the next one.
    due: Option<Timestamp>,
    /// Whether another look may find another key.
    changes: bool,
}

/// What the last search came to, if to nothing.
struct Failure {
    at: Instant,
    error: Error,
}

/// Finds a key, keeps it, and finds the next one in time.
pub(crate) struct Provider {
    environment: Environment,
    ca_file: Option<PathBuf>,
    /// Whether the store's own client can speak TLS.
    secure: bool,
    held: Mutex<Option<Held>>,
    /// Of every key there was.
    secrets: Mutex<Vec<String>>,
    /// Held by the one that looks for a key.
    turn: tokio::sync::Mutex<Option<Failure>>,
    /// Of containers; and the patience with processes.
    agent: String,
    patience: Duration,
}

impl Provider {
    /// A provider; services that are reached by TLS are trusted by `ca_file`, else as the system does.  `secure`: the
    /// client that [`Provider::get`] is given trusts them already.
    pub(crate) fn new(environment: Environment, ca_file: Option<PathBuf>, secure: bool) -> Self {
        let (held, turn) = (Mutex::new(None), tokio::sync::Mutex::new(None));
        let secrets = Mutex::new(Vec::new());
        Self {
            environment,
            ca_file,
            secure,
            held,
            secrets,
            turn,
            agent: container::AGENT.to_owned(),
            patience: PROCESS,
        }
    }

    /// A key that is good for some minutes at least, or, where no newer one can be had, still good.
    ///
    /// # Errors
    /// [`Error::Config`] where there is none; what kept a service from giving one.
    pub(crate) async fn get(&self, http: &Client) -> Result<Credentials, Error> {
        if let Some(key) = self.held(true) {
            return Ok(key);
        }
        let asked = Instant::now();
        let mut last = match self.turn.try_lock() {
            Ok(turn) => turn,
            Err(_) => match self.held(false) {
                Some(key) => return Ok(key), // somebody looks for the next one already
                None => self.turn.lock().await,
            },
        };
        if let Some(key) = self.held(true) {
            return Ok(key);
        }
        if let Some(failure) = last.as_ref().filter(|failure| failure.at >= asked) {
            return Err(failure.error.clone()); // somebody looked while this one waited
        }
        match self.find(http).await {
            Ok((key, changes)) => {
                *last = None;
                let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
                secrets.extend([Some(&key.secret), key.token.as_ref()].into_iter().flatten().cloned());
                drop(secrets);
                *self.lock() = Some(Held { due: due(&key), since: Instant::now(), key: key.clone(), changes });
                Ok(key)
            }
            Err(error) => self.postpone().ok_or_else(|| {
                *last = Some(Failure { at: Instant::now(), error: error.clone() });
                error
            }),
        }
    }

    /// Lets go of `key`, which the server refused as expired; whether there may be another one.
    pub(crate) async fn refused(&self, key: &Credentials) -> bool {
        let mut held = self.lock();
        let Some(now) = held.as_ref() else { return true };
        if now.key.id != key.id || now.key.token != key.token {
            return true;
        }
        let changes = now.changes;
        if now.since.elapsed() >= YOUNG {
            *held = None;
        }
        changes
    }

    /// What no message may have in it: the secrets and tokens of all keys that were given.
    pub(crate) fn secrets(&self) -> Vec<String> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key in use, if it is still good and, where that is wanted, need not be renewed yet.
    fn held(&self, fresh: bool) -> Option<Credentials> {
        let now = Timestamp::now();
        let held = self.lock();
        let held = held.as_ref().filter(|held| held.key.good(now))?;
        (!fresh || held.due.is_none_or(|due| now < due)).then(|| held.key.clone())
    }

    /// The key in use, if it is still good: for a while more.
    fn postpone(&self) -> Option<Credentials> {
        let now = Timestamp::now();
        let mut held = self.lock();
        let held = held.as_mut().filter(|held| held.key.good(now))?;
        let left = held.key.expires.map_or(AGAIN[0], |end| now.duration_until(end));
        held.due = Some(now + (left / 2).clamp(AGAIN[1], AGAIN[0]));
        Some(held.key.clone())
    }

    /// A key, and whether another look may find another one.
    async fn find(&self, http: &Client) -> Result<(Credentials, bool), Error> {
        let (mut key, source) = self.search(http).await?;
        let mut changes = source != VARIABLES && (key.token.is_some() || key.expires.is_some());
        if let Some(end) = key.expires.filter(|_| !key.good(Timestamp::now())) {
            let text = format!("the credentials that {source} gave expired at {end}");
            let hint = "Their source has to be renewed, or this machine's clock be set.";
            return Err(Error::Denied(Why::hinted(text, hint)));
        }
        if let Some(role) = Role::of_environment(&self.environment) {
            let (sts, client) = self.service(http)?;
            key = sts.assume(&client, &key, &role).await?;
            changes = true;
        }
        Ok((key, changes))
    }

    /// The first key there is, and who gave it.
    async fn search(&self, http: &Client) -> Result<(Credentials, String), Error> {
        let environment = &self.environment;
        if let Some(key) = environment.key()? {
            return Ok((key, VARIABLES.to_owned()));
        }
        let profiles = Profiles::read(environment)?;
        let mut notes = vec!["AWS_ACCESS_KEY_ID is not set".to_owned(), profiles.note()];
        if let Some(plan) = chain::plan(environment, &profiles)? {
            return Ok((self.follow(&plan, http).await?, plan.name));
        }
        if let Some(key) = container::ask(environment, &self.agent, self.ca_file.as_deref()).await? {
            return Ok((key, "the container's credentials endpoint".to_owned()));
        }
        if let Some(key) = instance::ask(environment, &mut notes).await? {
            return Ok((key, "the instance metadata service".to_owned()));
        }
        Err(Error::Config(Why::hinted(
            format!("no credentials for S3 were found: {}", notes.join("; ")),
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; walpipe-s3put(1) has the places that are searched.",
        )))
    }

    /// The first key of a plan, and the roles assumed with it.
    async fn follow(&self, plan: &Plan, http: &Client) -> Result<Credentials, Error> {
        let environment = &self.environment;
        let name = &plan.name;
        let none = |source: &str, why: &str| {
            let text = format!("{name} has credential_source = {source}, and {why}");
            Error::Config(Why::hinted(text, "Its role is assumed with the key that is found there."))
        };
        let mut service = None;
        let mut key = match &plan.base {
            Base::Key(key) => key.clone(),
            Base::Web(web) => {
                let (sts, client) = service.insert(self.service(http)?);
                sts.present(client, web).await?
            }
            Base::Process(command) => process::ask(command, name, self.patience).await?,
            Base::Environment => {
                environment.key()?.ok_or_else(|| none("Environment", "AWS_ACCESS_KEY_ID is not set"))?
            }
            Base::Container => {
                let found = container::ask(environment, &self.agent, self.ca_file.as_deref()).await?;
                found.ok_or_else(|| none("EcsContainer", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set"))?
            }
            Base::Instance => {
                let mut notes = Vec::new();
                let found = instance::ask(environment, &mut notes).await?;
                found.ok_or_else(|| none("Ec2InstanceMetadata", &notes.join("; ")))?
            }
        };
        for role in &plan.roles {
            if service.is_none() {
                service = Some(self.service(http)?);
            }
            if let Some((sts, client)) = &service {
                key = sts.assume(client, &key, role).await?;
            }
        }
        Ok(key)
    }

    /// The token service, and a client that reaches it: the store's own where that will do, for it takes time to read
    /// the system's certificate authorities.
    fn service(&self, http: &Client) -> Result<(Sts, Client), Error> {
        let sts = Sts::of(&self.environment)?;
        let will_do = self.secure || !sts.endpoint.starts_with("https:");
        let client = if will_do { http.clone() } else { http::outside(self.ca_file.as_deref(), CONNECT)? };
        Ok((sts, client))
    }
}

/// When to look for the next key.
fn due(key: &Credentials) -> Option<Timestamp> {
    let (now, end) = (Timestamp::now(), key.expires?);
    let left = now.duration_until(end);
    Some(if left > MARGIN * 2 { end - MARGIN } else { now + left / 2 })
}
