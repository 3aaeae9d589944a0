//! The profiles of AWS's two files.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use store::{Error, Why};

use super::ini::{self, Section};
use super::{Credentials, Environment};
use crate::client::root;

/// One of the two files.
struct File {
    path: Option<PathBuf>,
    profiles: BTreeMap<String, Section>,
}

/// What the files hold, and which profile is meant.
pub(super) struct Profiles {
    /// By `AWS_PROFILE` or `AWS_DEFAULT_PROFILE`.
    named: Option<String>,
    credentials: File,
    config: File,
    /// Files that are not there, or cannot be looked into where nobody named them.
    notes: Vec<String>,
}

/// A profile: what the file of credentials says goes before what the file of settings says.
#[derive(Clone, Copy)]
pub(super) struct Profile<'a> {
    pub name: &'a str,
    credentials: Option<&'a Section>,
    config: Option<&'a Section>,
}

impl Profiles {
    /// Reads both files; one that is absent is empty, as for the AWS CLI.
    ///
    /// # Errors
    /// [`Error::Config`] for a file that is no such file, or that is named and cannot be read.
    pub(super) fn read(environment: &Environment) -> Result<Self, Error> {
        let mut notes = Vec::new();
        let credentials = File::read(environment, "AWS_SHARED_CREDENTIALS_FILE", "credentials", &mut notes)?;
        let mut config = File::read(environment, "AWS_CONFIG_FILE", "config", &mut notes)?;
        config.keep_profiles();
        let named = environment.get("AWS_PROFILE").or_else(|| environment.get("AWS_DEFAULT_PROFILE"));
        Ok(Self { named: named.map(str::to_owned), credentials, config, notes })
    }

    /// The profile that is meant: the one that is named, else `default` if there is one.
    ///
    /// # Errors
    /// [`Error::Config`] if one is named and there is none of that name.
    pub(super) fn chosen(&self) -> Result<Option<Profile<'_>>, Error> {
        let Some(name) = &self.named else { return Ok(self.get("default")) };
        let found = self.get(name);
        if found.is_none() {
            let text = format!("there is no profile {name} in {}", self.places());
            return Err(Error::Config(Why::hinted(
                text,
                "AWS_PROFILE names a profile; AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE say where profiles are.",
            )));
        }
        Ok(found)
    }

    pub(super) fn get<'a>(&'a self, name: &str) -> Option<Profile<'a>> {
        let (in_credentials, in_config) =
            (self.credentials.profiles.get_key_value(name), self.config.profiles.get_key_value(name));
        let (name, _) = in_credentials.or(in_config)?;
        Some(Profile {
            name,
            credentials: in_credentials.map(|(_, section)| section),
            config: in_config.map(|(_, section)| section),
        })
    }

    /// Why no profile gave a key.
    pub(super) fn note(&self) -> String {
        let name = self.named.as_deref().unwrap_or("default");
        match self.get(name) {
            Some(_) => format!("the profile {name} holds none"),
            None if self.notes.is_empty() => format!("there is no profile {name} in {}", self.places()),
            None => format!("there is no profile {name} ({})", self.notes.join(", ")),
        }
    }

    /// The files, for people.
    fn places(&self) -> String {
        let paths: Vec<_> = [&self.credentials.path, &self.config.path].into_iter().flatten().collect();
        match paths.as_slice() {
            [] => "any file (HOME is not set)".to_owned(),
            [one] => one.display().to_string(),
            [one, other, ..] => format!("{} and {}", one.display(), other.display()),
        }
    }
}

impl File {
    fn read(environment: &Environment, variable: &str, usual: &str, notes: &mut Vec<String>) -> Result<Self, Error> {
        let home = environment.get("HOME").map(Path::new);
        let told = environment.get(variable).map(|path| match (path.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(path),
        });
        let named = told.is_some();
        let path = told.or_else(|| home.map(|home| home.join(".aws").join(usual)));
        let Some(file) = &path else { return Ok(Self { path, profiles: BTreeMap::new() }) };
        let shown = file.display();
        let profiles = match std::fs::read(file) {
            Ok(bytes) => ini::parse(&String::from_utf8_lossy(&bytes)).map_err(|line| {
                let text = format!("line {line} of {shown} is neither a [section] nor a setting as name = value");
                Error::Config(text.into())
            })?,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                notes.push(format!("{shown} does not exist"));
                BTreeMap::new()
            }
            // HOME may be another user's, as after su
            Err(e) if e.kind() == ErrorKind::PermissionDenied && !named => {
                notes.push(format!("{shown} may not be read"));
                BTreeMap::new()
            }
            Err(e) => {
                let text = format!("cannot read {shown}: {}", root(&e));
                return Err(Error::Config(Why::hinted(text, format!("{variable} names a file of profiles."))));
            }
        };
        Ok(Self { path, profiles })
    }

    /// Of the file of settings: `[profile x]` and `[default]` are profiles, all else (`[sso-session x]`) is not.
    fn keep_profiles(&mut self) {
        let mut kept = BTreeMap::new();
        for (head, section) in std::mem::take(&mut self.profiles) {
            if let Some(name) = head.strip_prefix("profile ") {
                kept.insert(name.trim_matches(['"', '\'']).to_owned(), section); // [profile default] before [default]
            } else if head == "default" {
                kept.entry(head).or_insert(section);
            }
        }
        self.profiles = kept;
    }
}

impl<'a> Profile<'a> {
    /// A setting, if it is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let of = |section: Option<&'a Section>| section.and_then(|section| section.get(name));
        of(self.credentials).or_else(|| of(self.config)).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The key in the file of credentials.
    ///
    /// # Errors
    /// [`Error::Config`] if there is half of one.
    pub(super) fn key_of_credentials(&self) -> Result<Option<Credentials>, Error> {
        self.key(self.credentials)
    }

    /// The key in the file of settings, which goes last of all that a profile may have.
    ///
    /// # Errors
    /// [`Error::Config`] if there is half of one.
    pub(super) fn key_of_config(&self) -> Result<Option<Credentials>, Error> {
        self.key(self.config)
    }

    fn key(&self, section: Option<&Section>) -> Result<Option<Credentials>, Error> {
        let get = |name: &str| section.and_then(|section| section.get(name)).filter(|value| !value.is_empty()).cloned();
        let half = |set: &str, missing: &str| {
            let text = format!("the profile {} has {set} and no {missing}", self.name);
            Err(Error::Config(Why::hinted(text, format!("Add {missing}, in the same file."))))
        };
        match (get("aws_access_key_id"), get("aws_secret_access_key")) {
            (Some(id), Some(secret)) => {
                let token = get("aws_session_token").or_else(|| get("aws_security_token"));
                Ok(Some(Credentials { id, secret, token, expires: None::<Timestamp> }))
            }
            (None, None) => Ok(None),
            (Some(_), None) => half("aws_access_key_id", "aws_secret_access_key"),
            (None, Some(_)) => half("aws_secret_access_key", "aws_access_key_id"),
        }
    }
}
