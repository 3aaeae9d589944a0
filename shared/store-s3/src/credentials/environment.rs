//! What the settings and the environment say of keys.

use std::collections::BTreeMap;

use store::{Error, Why};

use super::Credentials;
use super::profile::Profiles;
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
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
    "AWS_METADATA_SERVICE_TIMEOUT",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
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
    /// What `look` finds; no file is opened yet.
    ///
    /// # Errors
    /// None yet.
    pub(crate) fn read(look: Lookup<'_>) -> Result<Self, Error> {
        let values = NAMES.iter().filter_map(|name| look(name).map(|value| (*name, value))).collect();
        Ok(Self { values })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The region that the profile says.
    ///
    /// What keeps a profile from being read is said when a key is looked for in it.
    pub(crate) fn profile_region(&self) -> Option<String> {
        self.of_profile("region")
    }

    /// Where the profile says that services are, if the profile is where keys are looked for at all.
    pub(crate) fn profile_endpoint(&self) -> Option<String> {
        let ignored = self.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|t| t.eq_ignore_ascii_case("true"));
        let keyed = self.get("AWS_ACCESS_KEY_ID").or_else(|| self.get("AWS_ACCESS_KEY")).is_some();
        if ignored || keyed {
            return None; // keys in variables: no file is opened
        }
        self.of_profile("endpoint_url")
    }

    fn of_profile(&self, setting: &str) -> Option<String> {
        let profiles = Profiles::read(self).ok()?;
        profiles.chosen().ok()??.get(setting).map(str::to_owned)
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
