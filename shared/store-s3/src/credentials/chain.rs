//! Which source a profile, or the environment beside it, leads to: decided before anything is asked of anybody.
//!
//! The order is botocore's (`create_credential_resolver` in botocore/credentials.py): a role with its source, a web
//! identity, the key in the file of credentials, a process, the key in the file of settings.

use std::path::PathBuf;

use store::{Error, Why};

use super::profile::{Profile, Profiles};
use super::{Credentials, Environment};

/// Where the first key comes from.
pub(super) enum Base {
    Key(Credentials),
    Web(Web),
    /// The command of `credential_process`.
    Process(String),
    Environment,
    Container,
    Instance,
}

/// A role that is assumed with a token of somebody else's.
#[derive(Debug)]
pub(super) struct Web {
    pub arn: String,
    pub token_file: PathBuf,
    pub session: Option<String>,
}

/// A role that is assumed with the key that is there by then.
#[derive(Debug)]
pub(super) struct Role {
    /// What is said of it in messages: `the profile x`.
    pub of: String,
    pub arn: String,
    pub session: Option<String>,
    pub external_id: Option<String>,
    pub seconds: Option<u32>,
}

/// A first key, and the roles that are assumed one after the other.
pub(super) struct Plan {
    pub base: Base,
    pub roles: Vec<Role>,
    /// What is said of it in messages: `the profile x`.
    pub name: String,
}

fn config(text: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::Config(Why::hinted(text, hint))
}

/// The way to a key, if the profile or the variables of a web identity show one.
///
/// # Errors
/// [`Error::Config`] for settings that are incomplete, contradict each other, or run in a circle.
pub(super) fn plan(environment: &Environment, profiles: &Profiles) -> Result<Option<Plan>, Error> {
    let chosen = profiles.chosen()?;
    if let Some(profile) = chosen.filter(is_role) {
        return walk(profiles, profile).map(Some);
    }
    if let Some(web) = Web::of_environment(environment)? {
        let name = "AWS_WEB_IDENTITY_TOKEN_FILE".to_owned();
        return Ok(Some(Plan { base: Base::Web(web), roles: Vec::new(), name }));
    }
    let Some(profile) = chosen else { return Ok(None) };
    let base = base_of(&profile)?;
    Ok(base.map(|base| Plan { base, roles: Vec::new(), name: format!("the profile {}", profile.name) }))
}

/// Whether the profile assumes a role with another's key.
fn is_role(profile: &Profile<'_>) -> bool {
    profile.get("role_arn").is_some() && profile.get("web_identity_token_file").is_none()
}

/// From a profile with a role along its sources to a key.
fn walk(profiles: &Profiles, chosen: Profile<'_>) -> Result<Plan, Error> {
    let (mut profile, mut roles, mut seen) = (chosen, Vec::new(), vec![chosen.name]);
    let base = loop {
        roles.push(Role::of(&profile)?);
        let here = profile.name;
        let source = match (profile.get("source_profile"), profile.get("credential_source")) {
            (Some(source), None) => source,
            (None, Some(source)) => break named_source(here, source)?,
            (Some(_), Some(_)) => {
                let text = format!("the profile {here} has both source_profile and credential_source");
                return Err(config(text, "Remove one of them."));
            }
            (None, None) => {
                let text = format!("the profile {here} has role_arn and neither source_profile nor credential_source");
                return Err(config(text, "One of them says whose key may assume the role."));
            }
        };
        let next = profiles.get(source).ok_or_else(|| {
            config(
                format!("the profile {here} has source_profile = {source}, which does not exist"),
                "Add that profile, or correct source_profile.",
            )
        })?;
        let keyed = next.key_of_credentials()?.is_some() || next.key_of_config()?.is_some();
        if seen.contains(&next.name) && !(next.name == here && keyed) {
            let text = format!("the source_profile of {here} leads back to the profile {}", next.name);
            return Err(config(text, "A chain of profiles ends in one that holds a key or says where to get one."));
        }
        if keyed || !is_role(&next) {
            break base_of(&next)?.ok_or_else(|| {
                let text = format!("the profile {source}, source_profile of {here}, holds no credentials");
                config(text, "It needs aws_access_key_id and aws_secret_access_key, or credential_process.")
            })?;
        }
        seen.push(next.name);
        profile = next;
    };
    roles.reverse();
    Ok(Plan { base, roles, name: format!("the profile {}", chosen.name) })
}

fn named_source(profile: &str, source: &str) -> Result<Base, Error> {
    match source {
        "Environment" => Ok(Base::Environment),
        "EcsContainer" => Ok(Base::Container),
        "Ec2InstanceMetadata" => Ok(Base::Instance),
        _ => Err(config(
            format!("the profile {profile} has credential_source = {source}"),
            "It is one of Environment, EcsContainer and Ec2InstanceMetadata.",
        )),
    }
}

/// What a profile has of its own.
fn base_of(profile: &Profile<'_>) -> Result<Option<Base>, Error> {
    if let Some(file) = profile.get("web_identity_token_file") {
        let Some(arn) = profile.get("role_arn") else {
            let text = format!("the profile {} has web_identity_token_file and no role_arn", profile.name);
            return Err(config(text, "Add the role that the token is for."));
        };
        let session = profile.get("role_session_name").map(str::to_owned);
        return Ok(Some(Base::Web(Web { arn: arn.to_owned(), token_file: file.into(), session })));
    }
    if let Some(key) = profile.key_of_credentials()? {
        return Ok(Some(Base::Key(key)));
    }
    if let Some(command) = profile.get("credential_process") {
        return Ok(Some(Base::Process(command.to_owned())));
    }
    if let Some(key) = profile.key_of_config()? {
        return Ok(Some(Base::Key(key)));
    }
    // botocore asks for SSO first; here a process or a key beside it helps out
    if ["sso_session", "sso_start_url", "sso_account_id", "login_session"].iter().any(|n| profile.get(n).is_some()) {
        let name = profile.name;
        let text = format!("the profile {name} logs in through IAM Identity Center (sso), which is not supported");
        let process =
            format!("credential_process = aws configure export-credentials --profile {name} --format process");
        return Err(config(text, format!("Add to that profile: {process}")));
    }
    Ok(None)
}

impl Web {
    /// The role and the token that variables name, as on EKS.
    fn of_environment(environment: &Environment) -> Result<Option<Self>, Error> {
        let Some(file) = environment.get("AWS_WEB_IDENTITY_TOKEN_FILE") else { return Ok(None) };
        let Some(arn) = environment.get("AWS_ROLE_ARN") else {
            let text = "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not";
            return Err(config(text, "Set AWS_ROLE_ARN to the role that the token is for."));
        };
        let session = environment.get("AWS_ROLE_SESSION_NAME").map(str::to_owned);
        Ok(Some(Self { arn: arn.to_owned(), token_file: file.into(), session }))
    }
}

impl Role {
    /// The role that wal-g assumes with whatever key there is: `AWS_ROLE_ARN` without a token to show for it
    /// (`configureSession` in its pkg/storages/s3/session.go); the AWS CLI has no use for that name alone.
    pub(super) fn of_environment(environment: &Environment) -> Option<Self> {
        if environment.get("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() {
            return None;
        }
        let session = environment.get("AWS_ROLE_SESSION_NAME").map(str::to_owned);
        let arn = environment.get("AWS_ROLE_ARN")?.to_owned();
        Some(Self { of: "AWS_ROLE_ARN".to_owned(), arn, session, external_id: None, seconds: None })
    }

    fn of(profile: &Profile<'_>) -> Result<Self, Error> {
        let name = profile.name;
        let get = |setting: &str| profile.get(setting).map(str::to_owned);
        if profile.get("mfa_serial").is_some() {
            let text = format!("the profile {name} has mfa_serial: its role wants a code from somebody's device");
            return Err(config(text, "Nobody is there to type it: use a role without, or credential_process."));
        }
        let seconds = profile.get("duration_seconds").map(|text| {
            let number = text.parse().ok().filter(|seconds| (900..=43200).contains(seconds));
            number.ok_or_else(|| {
                let text = format!("the profile {name} has duration_seconds = {text}");
                config(text, "STS gives keys for 900 to 43200 seconds.")
            })
        });
        Ok(Self {
            of: format!("the profile {name}"),
            arn: get("role_arn").unwrap_or_default(),
            session: get("role_session_name"),
            external_id: get("external_id"),
            seconds: seconds.transpose()?,
        })
    }
}
