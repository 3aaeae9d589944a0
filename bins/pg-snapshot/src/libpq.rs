//! How a server is found and entered: libpq's variables, service file and password file.
//!
//! As libpq does it (PostgreSQL 10 to 18): a service's values, then the environment (here also the configuration
//! file), then defaults.  Two defaults are ours: the database is `postgres`, and without any host the sockets in
//! /var/run/postgresql and /tmp are tried before `localhost`, since builds of libpq disagree about it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tool::{Failure, Status};

mod connect;
mod passfile;
mod service;
mod tls;

pub use connect::connect;

use passfile::Wanted;

/// What libpq calls a parameter, and the variable that sets it.
const PARAMETERS: &[(&str, &str)] = &[
    ("application_name", "PGAPPNAME"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("dbname", "PGDATABASE"),
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("options", "PGOPTIONS"),
    ("passfile", "PGPASSFILE"),
    ("password", "PGPASSWORD"),
    ("port", "PGPORT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("user", "PGUSER"),
];

/// What would protect the connection more than is done here, or lead elsewhere; each with values that ask for nothing.
const REFUSED: &[(&str, &str, &[&str])] = &[
    ("channel_binding", "PGCHANNELBINDING", &["disable", "prefer"]),
    ("gssencmode", "PGGSSENCMODE", &["disable", "prefer"]),
    ("require_auth", "PGREQUIREAUTH", &[]),
    ("requirepeer", "PGREQUIREPEER", &[]),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", &["TLSv1", "TLSv1.1", "TLSv1.2"]),
    ("sslcrl", "PGSSLCRL", &[]),
    ("sslcrldir", "PGSSLCRLDIR", &[]),
    ("sslnegotiation", "PGSSLNEGOTIATION", &["postgres"]),
    ("target_session_attrs", "PGTARGETSESSIONATTRS", &["any"]),
];

/// `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted where the server insists.
    Allow,
    /// Encrypted where the server can.
    Prefer,
    /// Encrypted, whoever answers; with a root certificate at hand as [`SslMode::VerifyCa`].
    Require,
    /// Encrypted, and the server's certificate is from a trusted authority.
    VerifyCa,
    /// That, and it bears the name of the host.
    VerifyFull,
}

/// One place where a server may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The directory of a unix socket.
    Socket(PathBuf),
    /// A name, and perhaps the address to use instead of asking for it.
    Host(String, Option<IpAddr>),
}

/// A server's place and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where.
    pub place: Place,
    /// The port, which also numbers the socket.
    pub port: u16,
}

/// Everything that is needed to connect.
pub struct Parameters {
    /// Tried in this order.
    pub targets: Vec<Target>,
    user: String,
    database: String,
    password: Option<String>,
    passfile: Option<PathBuf>,
    application: String,
    options: Option<String>,
    timeout: Option<Duration>,
    sslmode: SslMode,
    sslrootcert: Option<PathBuf>,
    /// Whether it was named: the default one need not be there.
    sslrootcert_given: bool,
    sslcert: Option<PathBuf>,
    sslcert_given: bool,
    sslkey: Option<PathBuf>,
}

/// Where values come from; a table in tests.
pub struct Sources<'a> {
    /// The environment or the configuration file.
    pub setting: &'a dyn Fn(&str) -> Option<String>,
    /// The home directory, for the files in it.
    pub home: Option<PathBuf>,
    /// The name of the user who runs this.
    pub user: Option<String>,
}

impl Parameters {
    /// What the settings, the service and the defaults say.
    ///
    /// # Errors
    /// 78 for a value that makes no sense, a service that is not there, or what is not supported.
    pub fn gather(sources: &Sources<'_>) -> Result<Self, Failure> {
        let service = service::parameters(sources)?;
        for name in service.keys() {
            let known = |(parameter, _): &(&str, &str)| parameter == name;
            if !PARAMETERS.iter().any(known) && !REFUSED.iter().any(|(p, v, _)| known(&(p, v))) {
                tool::warn(format_args!("the parameter {name} of the service has no effect here"));
            }
        }
        let get = |name: &str, variable: &str| {
            let value = service.get(name).cloned().or_else(|| (sources.setting)(variable));
            value.filter(|value| !value.is_empty())
        };
        let of =
            |name: &str| PARAMETERS.iter().find(|(n, _)| *n == name).and_then(|(name, variable)| get(name, variable));
        for (name, variable, harmless) in REFUSED {
            if let Some(value) = get(name, variable).filter(|value| !harmless.contains(&value.as_str())) {
                return Err(wrong(format!("{name} ({variable}) is {value:?}, which is not supported")));
            }
        }
        let at_home = |name: &str| sources.home.as_ref().map(|home| home.join(".postgresql").join(name));
        let file = |name: &str, default: &str| of(name).map(PathBuf::from).or_else(|| at_home(default));
        let no_user = || wrong("no user to connect as".into()).hint("Set PGUSER.");
        let user = of("user").or_else(|| sources.user.clone()).ok_or_else(no_user)?;
        Ok(Self {
            targets: targets(of("host"), of("hostaddr"), of("port"))?,
            user,
            database: of("dbname").unwrap_or_else(|| "postgres".into()),
            password: of("password"),
            passfile: of("passfile").map(PathBuf::from).or_else(|| sources.home.as_ref().map(|h| h.join(".pgpass"))),
            application: of("application_name").unwrap_or_else(|| "walpipe".into()),
            options: of("options"),
            timeout: timeout(of("connect_timeout"))?,
            sslmode: sslmode(of("sslmode").as_deref())?,
            sslrootcert_given: of("sslrootcert").is_some(),
            sslcert_given: of("sslcert").is_some(),
            sslrootcert: file("sslrootcert", "root.crt"),
            sslcert: file("sslcert", "postgresql.crt"),
            sslkey: file("sslkey", "postgresql.key"),
        })
    }

    /// The password for a target, and whether it is the password file's.
    fn password_for(&self, target: &Target) -> (Option<String>, bool) {
        if let Some(password) = &self.password {
            return (Some(password.clone()), false);
        }
        let host = match &target.place {
            Place::Socket(dir) if DEFAULT_SOCKETS.iter().any(|d| dir == Path::new(d)) => "localhost".to_owned(),
            Place::Socket(dir) => dir.to_string_lossy().into_owned(),
            Place::Host(name, _) => name.clone(),
        };
        let wanted = Wanted { host: &host, port: target.port, database: &self.database, user: &self.user };
        let password = self.passfile.as_deref().and_then(|path| passfile::password(path, &wanted));
        let found = password.is_some();
        (password, found)
    }
}

/// Where the builds of PostgreSQL put their sockets: Debian's and Red Hat's, then PostgreSQL's own.
const DEFAULT_SOCKETS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// The servers to try, from libpq's lists with commas.
fn targets(host: Option<String>, hostaddr: Option<String>, port: Option<String>) -> Result<Vec<Target>, Failure> {
    let split = |text: Option<String>| -> Vec<String> {
        text.map(|text| text.split(',').map(|part| part.trim().to_owned()).collect()).unwrap_or_default()
    };
    let (hosts, addresses, ports) = (split(host), split(hostaddr), split(port));
    let count = hosts.len().max(addresses.len());
    if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
        return Err(wrong(format!("PGHOST names {} hosts, PGHOSTADDR {} addresses", hosts.len(), addresses.len())));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(wrong(format!("PGPORT names {} ports for {count} hosts", ports.len())));
    }
    let ports = ports.iter().map(|p| number(p)).collect::<Result<Vec<u16>, _>>()?;
    let port = |i: usize| ports.get(i).or(ports.first()).copied().unwrap_or(5432);
    let default = |port| {
        let sockets = DEFAULT_SOCKETS.map(|dir| Target { place: Place::Socket(dir.into()), port });
        sockets.into_iter().chain([Target { place: Place::Host("localhost".into(), None), port }])
    };
    if count == 0 {
        return Ok(default(port(0)).collect());
    }
    let mut targets = Vec::new();
    for i in 0..count {
        let host = hosts.get(i).map_or("", String::as_str);
        let address = match addresses.get(i).filter(|a| !a.is_empty()) {
            Some(text) => Some(
                text.parse::<IpAddr>().map_err(|_| wrong(format!("PGHOSTADDR has {text:?}, which is no address")))?,
            ),
            None => None,
        };
        match (host, address) {
            ("", None) => targets.extend(default(port(i))),
            (host, None) if host.starts_with('/') => {
                targets.push(Target { place: Place::Socket(host.into()), port: port(i) });
            }
            (host, address) => {
                let name =
                    if host.is_empty() { address.map(|a| a.to_string()).unwrap_or_default() } else { host.into() };
                targets.push(Target { place: Place::Host(name, address), port: port(i) });
            }
        }
    }
    Ok(targets)
}

fn number(port: &str) -> Result<u16, Failure> {
    match port {
        "" => Ok(5432),
        port => {
            port.parse().ok().filter(|p| *p != 0).ok_or_else(|| wrong(format!("PGPORT has {port:?}, which is no port")))
        }
    }
}

fn timeout(text: Option<String>) -> Result<Option<Duration>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let seconds: i64 = text
        .trim()
        .parse()
        .map_err(|_| wrong(format!("PGCONNECT_TIMEOUT is {text:?}, which is no number of seconds")))?;
    Ok(u64::try_from(seconds).ok().filter(|s| *s > 0).map(Duration::from_secs))
}

fn sslmode(text: Option<&str>) -> Result<SslMode, Failure> {
    Ok(match text {
        Some("disable") => SslMode::Disable,
        Some("allow") => SslMode::Allow,
        None | Some("prefer") => SslMode::Prefer,
        Some("require") => SslMode::Require,
        Some("verify-ca") => SslMode::VerifyCa,
        Some("verify-full") => SslMode::VerifyFull,
        Some(other) => {
            return Err(wrong(format!("PGSSLMODE is {other:?}"))
                .hint("It may be disable, allow, prefer, require, verify-ca or verify-full."));
        }
    })
}

fn wrong(text: String) -> Failure {
    Failure::new(Status::Config, text)
}

#[cfg(test)]
mod tests;
