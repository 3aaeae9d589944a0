//! The session with the server: opened, made safe from the role's own settings, asked, kept alive.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pg::Major;
use postgres::error::SqlState;
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::{FromSql, ToSql};
use postgres::{Client, Row};
use tool::{Failure, Status};

use crate::libpq::{self, Parameters, Sources};

/// How long one question whether the server lives may block.
const PING: Duration = Duration::from_secs(5);

/// After this long without an answer the server counts as gone, though the connection stands: a server whose disk
/// hangs for a while should not cost a backup of many hours.
const PATIENCE: Duration = Duration::from_secs(600);

/// A session with a server of a known version.
pub struct Session {
    client: Client,
    /// `server_version_num`.
    pub version_num: u32,
    /// The same as a major version.
    pub major: Major,
    /// Whether the server was a standby when the session began.
    pub in_recovery: bool,
    asked: Instant,
    answered: Instant,
}

impl Session {
    /// Connects as libpq's variables say, and looks which version answers.
    ///
    /// # Errors
    /// What connecting answers; 78 for a version that is not supported.
    pub fn open() -> Result<Self, Failure> {
        let settings = tool::settings()?;
        let sources = Sources {
            setting: &|name| settings.get(name),
            home: tool::variable("HOME").map(PathBuf::from),
            user: uzers::get_effective_username().and_then(|name| name.into_string().ok()),
        };
        let mut client = libpq::connect(&Parameters::gather(&sources)?)?;
        // What a role or a database may have set for all its sessions.
        let quiet = "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
            SET default_transaction_isolation = 'read committed'; SET search_path = pg_catalog";
        client.batch_execute(quiet).map_err(|e| failure("cannot prepare the session", &e))?;
        let sql = "SELECT current_setting('server_version_num')::int4, pg_is_in_recovery()";
        let row = client.query_one(sql, &[]).map_err(|e| failure("cannot ask for the server's version", &e))?;
        let version_num = u32::try_from(get::<i32>(&row, 0)?).unwrap_or(0);
        let major = Major::of(version_num).ok_or_else(|| {
            let (known, newest) = (Major::V9_6, Major::NEWEST);
            let text = format!("the server has version {version_num}; supported are PostgreSQL {known} to {newest}");
            Failure::new(Status::Config, text)
        })?;
        if major >= Major::V14 {
            client
                .batch_execute("SET idle_session_timeout = 0")
                .map_err(|e| failure("cannot prepare the session", &e))?;
        }
        if major >= Major::V17 {
            client
                .batch_execute("SET transaction_timeout = 0")
                .map_err(|e| failure("cannot prepare the session", &e))?;
        }
        let now = Instant::now();
        Ok(Self { client, version_num, major, in_recovery: get(&row, 1)?, asked: now, answered: now })
    }

    /// The one row that `sql` answers; `what` begins the message if it does not: "cannot start the backup".
    ///
    /// # Errors
    /// By the server's own code, see [`failure`].
    pub fn ask(&mut self, what: &str, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Row, Failure> {
        self.client.query_one(sql, values).map_err(|e| failure(what, &e))
    }

    /// The first column of all rows that `sql` answers.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub fn column<T>(&mut self, what: &str, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<T>, Failure>
    where
        T: for<'a> FromSql<'a>,
    {
        let rows = self.client.query(sql, values).map_err(|e| failure(what, &e))?;
        rows.iter().map(|row| get(row, 0)).collect()
    }

    /// Statements that answer nothing.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub fn run(&mut self, what: &str, sql: &str) -> Result<(), Failure> {
        self.client.batch_execute(sql).map_err(|e| failure(what, &e))
    }

    /// Waits for so long, and hears meanwhile if the server ends the session.
    ///
    /// # Errors
    /// 69 if it did.
    pub fn rest(&mut self, time: Duration) -> Result<(), Failure> {
        let heard = self.client.notifications().timeout_iter(time).next();
        heard.map_err(|e| failure("the session with the server was lost", &e))?;
        if self.client.is_closed() { Err(lost("the server closed the connection")) } else { Ok(()) }
    }

    /// Asks the server whether it lives, where `every` has passed since it was asked; a standby also whether it
    /// still is one.
    ///
    /// # Errors
    /// 69 if the session is lost, nobody has answered for long, or the standby was promoted.
    pub fn ping(&mut self, every: Option<Duration>) -> Result<(), Failure> {
        let Some(every) = every.filter(|every| self.asked.elapsed() >= *every) else { return Ok(()) };
        match self.client.is_valid(PING) {
            Ok(()) => self.answered = Instant::now(),
            Err(e) if e.to_string().starts_with("timeout") => {
                if self.answered.elapsed() > PATIENCE + every {
                    return Err(lost("the server does not answer any more"));
                }
                return Ok(());
            }
            Err(e) => return Err(failure("the session with the server was lost", &e)),
        }
        if self.in_recovery && !get::<bool>(&self.ask("cannot ask the standby", "SELECT pg_is_in_recovery()", &[])?, 0)?
        {
            return Err(Failure::new(Status::Unavailable, "the standby was promoted during the backup")
                .hint("Start the backup again: the server is a primary now."));
        }
        self.asked = Instant::now();
        Ok(())
    }
}

/// A column of a row.
///
/// # Errors
/// 70: the type is not what the statement was written for.
pub fn get<T: for<'a> FromSql<'a>>(row: &Row, column: usize) -> Result<T, Failure> {
    row.try_get(column).map_err(|e| {
        let why = std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
        Failure::new(Status::Bug, format!("cannot understand the server's answer, column {column}: {why}"))
    })
}

fn lost(why: &str) -> Failure {
    Failure::new(Status::Unavailable, format!("the session with the server was lost: {why}"))
}

/// An answer of the server that is no result, or none at all, as a failure to do `what`.
pub fn failure(what: impl Display, error: &postgres::Error) -> Failure {
    let Some(db) = error.as_db_error() else {
        let cause = std::error::Error::source(error);
        let why = match cause.map(|e| (e, e.downcast_ref::<std::io::Error>())) {
            Some((_, Some(io))) => tool::reason(io),
            Some((other, None)) => other.to_string(),
            None => error.to_string(),
        };
        return Failure::new(Status::Unavailable, format!("{what}: {why}"));
    };
    let code = db.code();
    let status = match code.code().get(..2).unwrap_or_default() {
        _ if *code == SqlState::INSUFFICIENT_PRIVILEGE => Status::Permission,
        _ if *code == SqlState::QUERY_CANCELED => Status::Busy,
        "53" => Status::Busy,
        "55" => Status::Config, // object not in prerequisite state: wal_level, full_page_writes, …
        _ => Status::Unavailable,
    };
    let failure = Failure::new(status, format!("{what}: {}", db.message()));
    match db.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
