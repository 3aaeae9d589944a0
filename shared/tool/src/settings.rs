//! Settings: flag over environment over file.
//!
//! The names are WAL-G's (`WALG_…`, `WALE_…`), libpq's, each cloud's own, and ours (`WALPIPE_…`).  A
//! configuration file, JSON or YAML, is one flat map of the same names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::OnceLock;

use crate::{Failure, Status};

mod names;
pub use names::{Kind, Name, all as names, is_internal, kind_of, nearest, nearest_of};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The environment.
    Environment,
    /// The configuration file.
    File(PathBuf),
    /// Nobody set it; the default of its name.
    Default,
}

/// All settings of this program: the environment and the configuration file.
#[derive(Debug, Default)]
pub struct Settings {
    file: BTreeMap<String, String>,
    path: PathBuf,
}

static SETTINGS: OnceLock<Settings> = OnceLock::new();

/// The settings, read once.
///
/// # Errors
/// 78 if a configuration file is named (`WALG_CONFIG_PATH`) and absent, or cannot be read or understood.
pub fn settings() -> Result<&'static Settings, Failure> {
    if let Some(settings) = SETTINGS.get() {
        return Ok(settings);
    }
    let settings = Settings::load()?;
    Ok(SETTINGS.get_or_init(|| settings))
}

impl Settings {
    fn load() -> Result<Self, Failure> {
        if let Some(path) = env("WALG_CONFIG_PATH").map(PathBuf::from) {
            return Self::read(&path);
        }
        match env("HOME").map(|home| Path::new(&home).join(".walg.json")) {
            Some(path) if path.exists() => Self::read(&path),
            _ => Ok(Self::default()),
        }
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| {
            Failure::new(Status::Config, format!("cannot read the configuration file {shown}: {}", crate::reason(&e)))
        })?;
        let file = parse(&text).map_err(|why| {
            Failure::new(Status::Config, format!("cannot understand the configuration file {shown}: {why}"))
        })?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// The value of `name`, where anybody set it; an empty one counts as not set, as it does for wal-g.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        self.find(name).map(|(value, _)| value)
    }

    /// The value of `name` with its origin, the default of the name included.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(String, Origin)> {
        if let Some(value) = env(name) {
            return Some((value, Origin::Environment));
        }
        if let Some(value) = self.file.get(name).filter(|v| !v.is_empty()) {
            return Some((value.clone(), Origin::File(self.path.clone())));
        }
        names::default_of(name).map(|value| (value, Origin::Default))
    }

    /// The value of `name` as a number or the like.
    ///
    /// # Errors
    /// 78 if it is set to something else.
    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        self.get(name).map(|text| text.trim().parse().map_err(|_| wrong(name, &text, "a whole number"))).transpose()
    }

    /// The value of `name` as yes or no; not set is no.
    ///
    /// # Errors
    /// 78 if it is set to something else.
    pub fn flag(&self, name: &str) -> Result<bool, Failure> {
        let Some(text) = self.get(name) else { return Ok(false) };
        names::truth(&text).ok_or_else(|| wrong(name, &text, "true or false"))
    }

    /// Every name that somebody set, in the environment (of our prefixes) or in the file.
    #[must_use]
    pub fn set(&self) -> Vec<String> {
        let ours = std::env::vars_os()
            .filter(|(_, value)| !value.is_empty())
            .filter_map(|(name, _)| name.into_string().ok())
            .filter(|name| names::has_our_prefix(name) || !matches!(kind_of(name), Kind::Unknown));
        let mut set: Vec<_> = ours.chain(self.file.keys().cloned()).collect();
        set.sort();
        set.dedup();
        set
    }

    /// Refuses what would quietly change what is stored, where, or how protected; the names that are merely
    /// without effect here are returned.
    ///
    /// # Errors
    /// 78 with the name, and the nearest one that exists.
    pub fn check(&self) -> Result<Vec<String>, Failure> {
        let mut idle = Vec::new();
        for name in self.set() {
            if let Some(value) = self.get(&name)
                && let Some(wanted) = names::misfit(&name, &value)
            {
                return Err(wrong(&name, &value, &wanted));
            }
            match kind_of(&name) {
                Kind::Known | Kind::Secret => {}
                Kind::Idle => idle.push(name),
                Kind::Refused => {
                    if self.get(&name).is_some_and(|value| !names::harmless(&name, &value)) {
                        return Err(Failure::new(Status::Config, format!("the setting {name} is not supported"))
                            .hint(names::why_refused(&name)));
                    }
                }
                Kind::Unknown if !names::has_our_prefix(&name) => {} // a file may hold other programs' settings
                Kind::Unknown => {
                    let failure = Failure::new(Status::Config, format!("unknown setting {name}"));
                    return Err(match nearest(&name) {
                        Some(near) => failure.hint(format!("Is {near} meant?")),
                        None => failure.hint("Remove it, or see walpipe(7) for the settings there are."),
                    });
                }
            }
        }
        Ok(idle)
    }
}

/// An environment variable that is set and not empty.
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn wrong(name: &str, value: &str, wanted: &str) -> Failure {
    Failure::new(Status::Config, format!("the setting {name} is {value:?}, which is not {wanted}"))
}

/// A flat map of names to values from JSON, else YAML; names in capitals.
fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let map: serde_json::Map<String, serde_json::Value> = match serde_json::from_str(text) {
        Ok(map) => map,
        Err(json) => match serde_yaml_ng::from_str::<Option<_>>(text) {
            Ok(map) => map.unwrap_or_default(),
            Err(_) if text.trim_start().starts_with('{') => return Err(json.to_string()),
            Err(yaml) => return Err(yaml.to_string()),
        },
    };
    let mut file = BTreeMap::new();
    for (name, value) in map {
        let value = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        file.insert(name.to_ascii_uppercase(), value);
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_yaml_give_the_same_map() {
        let json = parse(r#"{"WALG_FILE_PREFIX": "/b", "WALG_UPLOAD_CONCURRENCY": 4, "WALG_TAR_DISABLE_FSYNC": true}"#);
        let yaml = parse("walg_file_prefix: /b\nWALG_UPLOAD_CONCURRENCY: 4\nWALG_TAR_DISABLE_FSYNC: true\n");
        assert_eq!(json, yaml);
        assert_eq!(json.expect("parsed")["WALG_UPLOAD_CONCURRENCY"], "4");
    }

    #[test]
    fn what_is_no_map_is_refused() {
        assert!(parse("[1]").is_err());
        assert!(parse("{\"a\": ").is_err());
    }
}
