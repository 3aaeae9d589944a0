//! A key as JSON, as processes, containers and instances give it.

use jiff::Timestamp;
use serde::Deserialize;
use store::{Error, Why};

use super::Credentials;

/// The union of the three forms: the AWS CLI's "Sourcing credentials with an external process", the ECS agent's
/// credentials endpoint, and `iam/security-credentials/ROLE` of the instance metadata.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Document {
    /// Of a process: 1.
    pub version: Option<serde_json::Value>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    #[serde(alias = "SessionToken")]
    token: Option<String>,
    expiration: Option<String>,
    /// `Success`, or why there is none.  The container's endpoint begins these two with small letters.
    #[serde(alias = "code")]
    pub code: Option<String>,
    #[serde(alias = "message")]
    pub message: Option<String>,
}

impl Document {
    /// Reads `text`, which came from `giver`.
    ///
    /// # Errors
    /// [`Error::Corrupt`], without a word of what was there: it may be a key.
    pub(super) fn read(text: &str, giver: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|e| {
            let place = format!("line {}, column {}", e.line(), e.column());
            Error::Corrupt(format!("what {giver} gave is not a key in JSON (at {place})").into())
        })
    }

    /// The key.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a part is missing or no such part.
    pub(super) fn key(self, giver: &str) -> Result<Credentials, Error> {
        let part = |value: Option<String>, name: &str| {
            let missing = || Error::Corrupt(format!("what {giver} gave has no {name}").into());
            value.filter(|value| !value.is_empty()).ok_or_else(missing)
        };
        let expires = self.expiration.filter(|text| !text.is_empty()).map(|text| expiration(&text, giver));
        Ok(Credentials {
            id: part(self.access_key_id, "AccessKeyId")?,
            secret: part(self.secret_access_key, "SecretAccessKey")?,
            token: self.token.filter(|token| !token.is_empty()),
            expires: expires.transpose()?,
        })
    }
}

/// A time in RFC 3339.
///
/// # Errors
/// [`Error::Corrupt`] for anything else.
pub(super) fn expiration(text: &str, giver: &str) -> Result<Timestamp, Error> {
    text.parse().map_err(|_| {
        let why = format!("the Expiration that {giver} gave is no time");
        Error::Corrupt(Why::hinted(why, "It is written as 2026-01-31T12:00:00Z."))
    })
}
