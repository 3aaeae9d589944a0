//! settings - print effective settings, one value a line.

use std::io::Write;
use std::process::ExitCode;

use tool::{Failure, Kind, Origin, Settings, Status};

mod derived;

/// Check the names of all settings, then print the value of each NAME, one a line; an unset one is an empty line
#[derive(clap::Parser)]
struct Words {
    /// Print every setting with its value and where it came from; a secret only as set or not
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Print that of the NAMEs which WORD most resembles, if it is near enough to be a slip of the pen
    #[arg(long, value_name = "WORD", conflicts_with = "all")]
    near: Option<String>,
    /// A setting (WALG_…), or what follows from several: repository, scheme, method, extension, direct, jobs,
    /// share (of uploads in flight), restore_jobs
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

fn main() -> ExitCode {
    tool::run::<Words>("settings", |words| {
        if let Some(word) = &words.near {
            return near(word, &words.names);
        }
        let settings = tool::settings()?;
        let idle = settings.check()?;
        if !idle.is_empty() {
            tool::warn(format_args!("without effect here: {}", idle.join(" ")));
        }
        let text = if words.all { all(settings)? } else { chosen(settings, &words.names)? };
        tool::text_stdout()?.write_all(text.as_bytes()).map_err(|e| tool::cannot_write(&e))
    })
}

fn near(word: &str, names: &[String]) -> Result<(), Failure> {
    let near = tool::nearest_of(word, names.iter().map(String::as_str));
    let text = near.map_or_else(String::new, |name| format!("{name}\n"));
    tool::text_stdout()?.write_all(text.as_bytes()).map_err(|e| tool::cannot_write(&e))
}

fn chosen(settings: &Settings, names: &[String]) -> Result<String, Failure> {
    let mut text = String::new();
    for name in names {
        let value = match derived::derived(settings, name) {
            Some(value) => value?,
            None => match tool::kind_of(name) {
                Kind::Known => settings.get(name).unwrap_or_default(),
                Kind::Secret => return Err(Failure::new(Status::Usage, format!("{name} is a secret"))),
                Kind::Idle | Kind::Refused | Kind::Unknown => {
                    return Err(Failure::new(Status::Usage, format!("no setting {name}")));
                }
            },
        };
        if value.contains('\n') {
            return Err(Failure::new(Status::Config, format!("the setting {name} holds a newline")));
        }
        text.push_str(&value);
        text.push('\n');
    }
    Ok(text)
}

/// What `walpipe config` prints.
fn all(settings: &Settings) -> Result<String, Failure> {
    let mut text = String::new();
    let mut names: Vec<String> = tool::names().iter().map(|n| n.name.to_owned()).collect();
    let others = settings.set().into_iter().filter(|set| !tool::is_internal(set));
    names.extend(others.filter(|set| !tool::names().iter().any(|n| n.name == set)));
    for name in names {
        let value = if tool::kind_of(&name) == Kind::Secret {
            settings.find(&name).map(|(_, origin)| ("(a secret, not shown)".to_owned(), origin))
        } else {
            settings.find(&name)
        };
        text.push_str(&match value {
            None => format!("{name} is not set\n"),
            Some((value, origin)) => format!("{name}={value}  ({})\n", said(&origin)),
        });
    }
    for name in derived::NAMES {
        match derived::derived(settings, name) {
            Some(Ok(value)) => text.push_str(&format!("{name}={value}  (follows from the above)\n")),
            Some(Err(failure)) => text.push_str(&format!("{name} cannot be said: {}\n", failure.text())),
            None => {}
        }
    }
    Ok(text)
}

fn said(origin: &Origin) -> String {
    match origin {
        Origin::Environment => "environment".to_owned(),
        Origin::File(path) => path.display().to_string(),
        Origin::Default => "default".to_owned(),
    }
}
