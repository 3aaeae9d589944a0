//! Connecting, and what a refusal means.

use std::fmt;
use std::sync::mpsc;
use std::time::Duration;

use postgres::config::SslMode as Tls;
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use tool::{Failure, Status};

use super::{Parameters, Place, SslMode, Target, tls};

/// Connects to the first server that answers, as libpq does: one that answers and refuses ends the search.
///
/// # Errors
/// 69 where none answers, 77 where one refuses us, 75 where it has no room, 78 for what is wrong in the settings.
pub fn connect(parameters: &Parameters) -> Result<Client, Failure> {
    let mut silent = Vec::new();
    for target in &parameters.targets {
        match try_target(parameters, target) {
            Ok(client) => return Ok(client),
            Err(No::Answer(why)) => silent.push(format!("{target}: {why}")),
            Err(No::Entry(failure)) => return Err(failure),
        }
    }
    Err(Failure::new(Status::Unavailable, format!("cannot connect to PostgreSQL: {}", silent.join("; ")))
        .hint("Is the server running? PGHOST and PGPORT say where."))
}

/// Why there is no session.
enum No {
    /// Nobody there, or not yet; another host may be.
    Answer(String),
    /// Somebody there who refuses.
    Entry(Failure),
}

fn try_target(parameters: &Parameters, target: &Target) -> Result<Client, No> {
    let is_socket = matches!(target.place, Place::Socket(_));
    let (first, second) = match parameters.sslmode {
        _ if is_socket => (Tls::Disable, None),
        SslMode::Disable => (Tls::Disable, None),
        SslMode::Allow => (Tls::Disable, Some(Tls::Require)),
        SslMode::Prefer => (Tls::Prefer, Some(Tls::Disable)),
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => (Tls::Require, None),
    };
    let (password, from_file) = parameters.password_for(target);
    let open = |mode: Tls| {
        let config = config(parameters, target, mode, password.as_deref());
        let tls = (mode != Tls::Disable).then(|| tls::config(parameters)).transpose().map_err(Attempt::Settings)?;
        within(parameters.timeout, move || match tls {
            None => config.connect(NoTls),
            Some(tls) => config.connect(MakeRustlsConnect::new(tls)),
        })
    };
    let result = match (open(first), second) {
        (Err(Attempt::Refused(e)), Some(second)) if may_depend_on_tls(&e) => match open(second) {
            Err(Attempt::Refused(_)) => Err(Attempt::Refused(e)), // the first refusal is what was asked for
            other => other,
        },
        (result, _) => result,
    };
    result.map_err(|attempt| match attempt {
        Attempt::Settings(failure) => No::Entry(failure),
        Attempt::TimedOut => No::Answer("no answer within PGCONNECT_TIMEOUT".into()),
        Attempt::Refused(e) => refusal(parameters, target, from_file, &e),
    })
}

enum Attempt {
    Settings(Failure),
    TimedOut,
    Refused(postgres::Error),
}

/// Runs `open`, for no longer than `timeout`: the library's own limit ends where the first byte is waited for.
fn within(
    timeout: Option<Duration>,
    open: impl FnOnce() -> Result<Client, postgres::Error> + Send + 'static,
) -> Result<Client, Attempt> {
    let Some(timeout) = timeout else { return open().map_err(Attempt::Refused) };
    let (tell, hear) = mpsc::channel();
    std::thread::spawn(move || drop(tell.send(open())));
    match hear.recv_timeout(timeout) {
        Ok(result) => result.map_err(Attempt::Refused),
        Err(_) => Err(Attempt::TimedOut),
    }
}

fn config(p: &Parameters, target: &Target, tls: Tls, password: Option<&str>) -> Config {
    let mut config = Config::new();
    match &target.place {
        Place::Socket(dir) => config.host_path(dir),
        Place::Host(name, None) => config.host(name),
        Place::Host(name, Some(address)) => config.host(name).hostaddr(*address),
    };
    config.port(target.port).user(&p.user).dbname(&p.database).application_name(&p.application).ssl_mode(tls);
    config.notice_callback(|_| {});
    config.keepalives_idle(Duration::from_secs(60)).keepalives_interval(Duration::from_secs(10)).keepalives_retries(6);
    config.tcp_user_timeout(Duration::from_secs(120));
    if let Some(password) = password {
        config.password(password);
    }
    if let Some(options) = &p.options {
        config.options(options);
    }
    config
}

/// Whether the same attempt with or without TLS may end otherwise: pg_hba.conf asks, or the handshake failed.
fn may_depend_on_tls(error: &postgres::Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) || tls_cause(error).is_some()
}

fn refusal(p: &Parameters, target: &Target, from_file: bool, error: &postgres::Error) -> No {
    let entry = |status, why: &str| Failure::new(status, format!("cannot connect to PostgreSQL: {target}: {why}"));
    if let Some(db) = error.as_db_error() {
        let code = db.code();
        let failure = |status| entry(status, db.message());
        return No::Entry(if *code == SqlState::CANNOT_CONNECT_NOW {
            return No::Answer(db.message().to_owned());
        } else if *code == SqlState::INVALID_PASSWORD {
            failure(Status::Permission).hint(match (&p.passfile, from_file) {
                (Some(path), true) => format!("The password is from {}.", path.display()),
                _ => "The password is from PGPASSWORD, the service or the configuration file.".into(),
            })
        } else if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
            failure(Status::Permission).hint("PGUSER says who connects, pg_hba.conf on the server who may.")
        } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
            failure(Status::Permission)
        } else if *code == SqlState::INVALID_CATALOG_NAME {
            failure(Status::Config).hint("Any database will do; PGDATABASE names it.")
        } else if code.code().starts_with("53") {
            failure(Status::Busy)
        } else {
            failure(Status::Unavailable)
        });
    }
    if let Some(tls) = tls_cause(error) {
        let (why, hint) = tls::words(tls);
        let failure = entry(Status::Permission, &why);
        return No::Entry(match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        });
    }
    let cause = std::error::Error::source(error);
    if let Some(io) = cause.and_then(|e| e.downcast_ref::<std::io::Error>()) {
        if io.kind() == std::io::ErrorKind::PermissionDenied {
            return No::Entry(entry(Status::Permission, &tool::reason(io)));
        }
        return No::Answer(tool::reason(io));
    }
    match cause.map(ToString::to_string) {
        Some(why) if why == "password missing" => No::Entry(
            entry(Status::Permission, "the server wants a password, and there is none")
                .hint("Add a line HOST:PORT:DATABASE:USER:PASSWORD to ~/.pgpass (mode 0600), or set PGPASSWORD."),
        ),
        Some(why) => No::Entry(entry(Status::Permission, &format!("{error}: {why}"))),
        None => No::Answer(error.to_string()),
    }
}

/// What rustls says, where it was it that failed.
fn tls_cause(error: &postgres::Error) -> Option<&rustls::Error> {
    let io = std::error::Error::source(error)?.downcast_ref::<std::io::Error>()?;
    io.get_ref()?.downcast_ref()
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port;
        match &self.place {
            Place::Socket(dir) => write!(f, "{}", dir.join(format!(".s.PGSQL.{port}")).display()),
            Place::Host(name, address) => {
                let brackets = name.contains(':');
                if brackets {
                    write!(f, "[{name}]:{port}")?
                } else {
                    write!(f, "{name}:{port}")?
                }
                match address.map(|a| a.to_string()).filter(|a| a != name) {
                    Some(address) => write!(f, " ({address})"),
                    None => Ok(()),
                }
            }
        }
    }
}
