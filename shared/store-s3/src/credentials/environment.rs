//! What the settings and the environment say of keys.

use std::collections::BTreeMap;

use store::{Error, Why};

use super::Credentials;
use crate::config::Lookup;

/// The names that matter here.
const NAMES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_ACCESS_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ENDPOINT_URL_STS",
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_METADATA_SERVICE_TIMEOUT",
    "HOME",
];

/// The values of those names that are set.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    values: BTreeMap<&'static str, String>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish() // never a value
    }
}

impl Environment {
    /// What `look` finds.
    ///
    /// # Errors
    /// [`Error::Config`] if a profile is asked for that there is none of.
    pub(crate) fn read(look: Lookup<'_>) -> Result<Self, Error> {
        let values = NAMES.iter().filter_map(|name| look(name).map(|value| (*name, value))).collect();
        Ok(Self { values })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The region that the profile says.
    pub(crate) fn profile_region(&self) -> Option<String> {
        None
    }

    /// The key that stands in the variables themselves.
    ///
    /// # Errors
    /// [`Error::Config`] if there is half of one.
    pub(crate) fn key(&self) -> Result<Option<Credentials>, Error> {
        let id = self.get("AWS_ACCESS_KEY_ID").or_else(|| self.get("AWS_ACCESS_KEY"));
        let secret = self.get("AWS_SECRET_ACCESS_KEY").or_else(|| self.get("AWS_SECRET_KEY"));
        let token = self.get("AWS_SESSION_TOKEN").or_else(|| self.get("AWS_SECURITY_TOKEN"));
        match (id, secret) {
            (Some(id), Some(secret)) => Ok(Some(Credentials {
                id: id.to_owned(),
                secret: secret.to_owned(),
                token: token.map(str::to_owned),
                expires: None,
            })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(half("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
            (None, Some(_)) => Err(half("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")),
        }
    }
}

fn half(set: &str, missing: &str) -> Error {
    Error::Config(Why::hinted(format!("{set} is set and {missing} is not"), format!("Set {missing} as well.")))
}
