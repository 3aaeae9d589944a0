//! What must be so before a backup starts.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use pg::{ControlFile, Major};
use tool::{Failure, Status};

use crate::cluster;
use crate::session::{Session, get};

/// The cluster that the session and the directory have been seen to agree upon.
#[derive(Debug)]
pub struct Cluster {
    /// The data directory by its real path.
    pub root: PathBuf,
    /// `global/pg_control`.
    pub control: ControlFile,
    /// Its directory in tablespaces.
    pub version_directory: String,
    /// The tablespaces of the catalogue by number, without `pg_default` and `pg_global`.
    pub tablespaces: BTreeSet<u32>,
}

impl Cluster {
    /// Its tablespaces as they are now.
    ///
    /// # Errors
    /// As [`cluster::tablespaces`].
    pub fn spaces(&self) -> Result<Vec<cluster::Tablespace>, Failure> {
        cluster::tablespaces(&self.root, &self.tablespaces, &self.version_directory)
    }
}

/// Finds the data directory, `data` or the one that the server names, and makes sure that it is the server's.
///
/// # Errors
/// 78 where they differ or the build is not supported, 77 where rights are missing.
pub fn cluster(session: &mut Session, data: Option<&Path>) -> Result<Cluster, Failure> {
    // The bytes as the server has them: in a database of another encoding than UTF-8, text would be converted.
    let sql = "SELECT convert_to(current_setting('data_directory'), getdatabaseencoding())";
    let what = "cannot ask for the server's data directory";
    let row = session.ask(what, sql, &[]).map_err(|failure| match failure.status() {
        Status::Permission => failure.hint("GRANT pg_read_all_settings TO the role."),
        _ => failure,
    })?;
    let server = PathBuf::from(OsString::from_vec(get::<Vec<u8>>(&row, 0)?));
    let root = match data {
        Some(data) => cluster::real(data)?,
        None => cluster::real(&server).map_err(not_here)?,
    };
    let control = cluster::control(&root)?;
    let row =
        session.ask("cannot ask whose server this is", "SELECT system_identifier FROM pg_control_system()", &[])?;
    let identifier = get::<i64>(&row, 0)?.cast_unsigned();
    if identifier != control.system_identifier {
        let shown = root.display();
        let ours = control.system_identifier;
        return Err(wrong(format!("{shown} is cluster {ours}, the server that answers is cluster {identifier}"))
            .hint("PGHOST and PGPORT lead to another server than the one of this directory."));
    }
    // A copy or a standby has the same identifier.
    if data.is_some() {
        let theirs = cluster::real(&server).map_err(not_here)?;
        if theirs != root {
            return Err(wrong(format!("the server's data directory is {}, not {}", theirs.display(), root.display()))
                .hint("Give the server's own directory, or let PGHOST and PGPORT lead to the server of this one."));
        }
    }
    let version_directory = match (cluster::version_directory(&control), control.major) {
        (Some(name), Some(major)) if major == session.major => name,
        _ => {
            let (catalog, major) = (control.catalog_version, session.major);
            return Err(wrong(format!(
                "pg_control has the catalogue version {catalog}, which no PostgreSQL {major} has"
            )));
        }
    };
    for (what, size) in [("blocks", control.block_size), ("WAL blocks", control.wal_block_size)] {
        if size != 8192 {
            return Err(wrong(format!("the server was built with {what} of {size} bytes; only 8192 is supported")));
        }
    }
    let sql = "SELECT oid FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')";
    let tablespaces: BTreeSet<u32> = session.column("cannot list the tablespaces", sql, &[])?.into_iter().collect();
    let is_there = |oid: &&u32| root.join(format!("pg_tblspc/{oid}")).symlink_metadata().is_ok();
    if let Some(oid) = tablespaces.iter().find(|oid| !is_there(oid)) {
        return Err(wrong(format!("the tablespace {oid} is not in {}/pg_tblspc", root.display())));
    }
    Ok(Cluster { root, control, version_directory, tablespaces })
}

/// The server's data directory cannot be opened: is it on this machine at all?
fn not_here(failure: Failure) -> Failure {
    match failure.status() {
        Status::Permission => failure.hint("pg-snapshot must run as the owner of the data directory."),
        _ => Failure::new(Status::Config, failure.text()).hint("pg-snapshot must run on the server's own machine."),
    }
}

/// Of an advisory lock of ours: "walp".
const LOCK: u32 = 0x7761_6c70;

/// Nobody else who was told the same text asks this server; the session's end lets the next one begin.
///
/// # Errors
/// 75 with the process that does.
pub fn alone(session: &mut Session, text: &str) -> Result<(), Failure> {
    let key = pg::crc32c(text.as_bytes());
    let what = "cannot ask whether another backup is being made";
    let (ours, theirs) = (LOCK.cast_signed(), key.cast_signed());
    let row = session.ask(what, "SELECT pg_try_advisory_lock($1, $2)", &[&ours, &theirs])?;
    if get(&row, 0)? {
        return Ok(());
    }
    let sql = format!(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = {LOCK} AND objid = {key} AND granted"
    );
    let holders: Vec<i32> = session.column(what, &sql, &[])?;
    let by = holders.first().map_or_else(String::new, |pid| format!(", by the server's process {pid}"));
    Err(Failure::new(Status::Busy, format!("another backup into {text} is being made{by}"))
        .hint("Wait for its end; pg_stat_activity shows its session."))
}

/// The WAL of this primary goes to an archive, as far as its settings tell; of a standby nothing can be seen here.
///
/// # Errors
/// 78 where it cannot.
pub fn archiving(session: &mut Session) -> Result<(), Failure> {
    if session.in_recovery {
        return Ok(());
    }
    let library = if session.major >= Major::V15 { "current_setting('archive_library')" } else { "''" };
    let sql = format!("SELECT current_setting('archive_mode'), current_setting('archive_command'), {library}");
    let row = session.ask("cannot ask about archiving", &sql, &[])?;
    let (mode, command, library): (String, String, String) = (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
    let hint = "Set archive_mode = on (needs a restart) and archive_command = 'walpipe wal-push %p'; \
        or --no-archive-check, if the WAL is kept otherwise.";
    if mode != "on" && mode != "always" {
        let text = format!("archive_mode is {mode}: without its WAL a backup cannot be restored");
        return Err(wrong(text).hint(hint));
    }
    if library.is_empty() && (command.is_empty() || command == "(disabled)") {
        let text = "archive_command is empty: without its WAL a backup cannot be restored";
        return Err(wrong(text.into()).hint(hint));
    }
    Ok(())
}

/// On a standby, pages that were torn while they were copied are mended only if the primary writes whole ones.
///
/// # Errors
/// 78 where the last checkpoint says that it does not.
pub fn whole_pages(session: &mut Session) -> Result<(), Failure> {
    if !session.in_recovery {
        return Ok(()); // a primary is made to write them for the time of the backup
    }
    let row = session.ask(
        "cannot ask about full_page_writes",
        "SELECT full_page_writes FROM pg_control_checkpoint()",
        &[],
    )?;
    if get(&row, 0)? {
        return Ok(());
    }
    Err(wrong("full_page_writes is off on the primary: a backup of the standby could not be restored".into())
        .hint("Set full_page_writes = on on the primary, and CHECKPOINT there."))
}

/// The role may call these functions, which others than superusers may not unless granted.
///
/// # Errors
/// 77 with the first that it may not.
pub fn rights(session: &mut Session, functions: &[&str]) -> Result<(), Failure> {
    let names: Vec<String> = functions.iter().map(|name| format!("pg_catalog.{name}")).collect();
    let sql = "SELECT f FROM unnest($1::text[]) f WHERE NOT has_function_privilege(f, 'execute')";
    let missing: Vec<String> = session.column("cannot ask for the role's rights", sql, &[&names])?;
    let Some(function) = missing.first() else { return Ok(()) };
    let row =
        session.ask("cannot ask for the role", "SELECT quote_ident(current_user), current_database()::text", &[])?;
    let (role, database): (String, String) = (get(&row, 0)?, get(&row, 1)?);
    Err(Failure::new(Status::Permission, format!("the role {role} may not call {function}"))
        .hint(format!("GRANT EXECUTE ON FUNCTION {function} TO {role}; in the database {database}.")))
}

fn wrong(text: String) -> Failure {
    Failure::new(Status::Config, text)
}
