//! A throwaway PostgreSQL 15, as Debian has it; as root it runs as the user `walpipetest`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const BIN: &str = "/usr/lib/postgresql/15/bin";

/// A server on a unix socket of its own.
pub struct Server {
    /// Where everything of it is; `data` is its data directory, `out` an empty one.
    pub dir: PathBuf,
    /// Removes the directory at the end.
    _temporary: Option<tempfile::TempDir>,
    process: Option<Child>,
}

/// How a run of pg-snapshot ended.
#[derive(Debug)]
pub struct Ended {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The user that servers run as; `None` where that is who runs the tests.
///
/// Made once: while useradd is at work, tests beside it could see half of it.
fn user() -> Option<(u32, u32)> {
    static USER: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    if uzers::get_effective_uid() != 0 {
        return None;
    }
    *USER.get_or_init(|| {
        let find = || uzers::get_user_by_name("walpipetest").map(|u| (u.uid(), u.primary_group_id()));
        if find().is_none() {
            let words = ["--system", "--no-create-home", "--home-dir", "/nonexistent", "walpipetest"];
            let _ = Command::new("useradd").args(words).status();
        }
        find()
    })
}

fn command(program: &str) -> Command {
    let mut command = Command::new(Path::new(BIN).join(program));
    if let Some((uid, gid)) = user() {
        command.uid(uid).gid(gid);
    }
    command.current_dir("/").stdin(Stdio::null()).env_clear().env("PATH", "/usr/bin:/bin");
    command
}

impl Server {
    /// A new cluster with these lines in postgresql.conf, started; `None`, said aloud, without a PostgreSQL 15.
    pub fn start(lines: &[&str]) -> Option<Self> {
        if !Path::new(BIN).join("postgres").exists() {
            let required = std::env::var("WALPIPE_TEST_REQUIRE").is_ok_and(|r| r.contains("pg15"));
            assert!(!required, "PostgreSQL 15 is required (WALPIPE_TEST_REQUIRE) and not under {BIN}");
            eprintln!("SKIP: no PostgreSQL 15 under {BIN}");
            return None;
        }
        let temporary = tempfile::tempdir().expect("a directory");
        let dir = temporary.path().to_owned();
        let data = dir.join("data");
        for name in ["data", "out", "archive"] {
            fs::create_dir(dir.join(name)).expect("a directory");
        }
        for path in [dir.clone(), data.clone(), dir.join("archive")] {
            if let Some((uid, gid)) = user() {
                chown(path, Some(uid), Some(gid)).expect("chown");
            }
        }
        let made =
            command("initdb").args(["-N", "-U", "postgres", "-A", "trust", "-E", "UTF8", "-D"]).arg(&data).output();
        assert!(made.as_ref().is_ok_and(|o| o.status.success()), "{made:?}");
        let mut conf = fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).expect("postgresql.conf");
        let shown = dir.display();
        writeln!(conf, "listen_addresses = ''\nfsync = off\nshared_buffers = 16MB\narchive_mode = on").expect("conf");
        writeln!(conf, "archive_command = 'cp %p {shown}/archive/%f'\nmax_wal_senders = 4").expect("conf");
        writeln!(conf, "{}", lines.join("\n")).expect("conf");
        Some(Self { dir, _temporary: Some(temporary), process: None }.up())
    }

    /// A standby of this server, made from a cold copy, so the server restarts.
    pub fn standby(&mut self) -> Self {
        let socket = self.dir.clone();
        self.down();
        let dir = self.dir.join("standby");
        for (from, to) in [(self.dir.join("out"), dir.clone()), (self.dir.join("data"), dir.join("data"))] {
            assert!(Command::new("cp").arg("-a").args([from, to]).status().expect("cp").success());
        }
        fs::create_dir(dir.join("out")).expect("out");
        if let Some((uid, gid)) = user() {
            chown(&dir, Some(uid), Some(gid)).expect("chown");
        }
        let mut conf =
            fs::OpenOptions::new().append(true).open(dir.join("data/postgresql.conf")).expect("postgresql.conf");
        writeln!(conf, "primary_conninfo = 'host={} user=postgres'", socket.display()).expect("conf");
        fs::write(dir.join("data/standby.signal"), "").expect("signal");
        self.process = self.launch();
        Self { dir, _temporary: None, process: None }.up()
    }

    fn up(mut self) -> Self {
        self.process = self.launch();
        self
    }

    fn launch(&self) -> Option<Child> {
        let mut postgres = command("postgres");
        postgres.arg("-D").arg(self.data()).arg("-k").arg(&self.dir).stdout(Stdio::null()).stderr(Stdio::null());
        let process = postgres.spawn().expect("started");
        self.wait("the server answers", || self.client().is_some());
        Some(process)
    }

    fn down(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = Pid::from_raw(process.id().cast_signed()).map(|pid| kill_process(pid, Signal::INT));
            let _ = process.wait();
        }
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Waits until `ready`, half a minute at most.
    pub fn wait(&self, what: &str, ready: impl Fn() -> bool) {
        let began = Instant::now();
        while !ready() {
            assert!(began.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn client(&self) -> Option<postgres::Client> {
        let config = format!("host={} user=postgres dbname=postgres", self.dir.display());
        postgres::Client::connect(&config, postgres::NoTls).ok()
    }

    /// The first column of the first row, as text.
    pub fn ask(&self, sql: &str) -> String {
        let answer = self.client().expect("a session").simple_query(sql).expect(sql);
        let rows = answer.iter().filter_map(|m| match m {
            postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        });
        rows.last().unwrap_or_default()
    }

    /// pg-snapshot with these words, towards this server.
    pub fn snapshot(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pg-snapshot"));
        command.args(words).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &self.dir).current_dir("/");
        command.env("PGHOST", &self.dir).env("PGUSER", "postgres").stdin(Stdio::null());
        command
    }

    /// Runs a backup into `out` with the sh command `script` over the list.
    pub fn backup(&self, script: &str) -> Ended {
        self.backup_command(script).output().expect("run").into()
    }

    /// The same, to be run.
    pub fn backup_command(&self, script: &str) -> Command {
        self.backup_with(&[], script)
    }

    /// The same, with more words.
    pub fn backup_with(&self, words: &[&str], script: &str) -> Command {
        let out = self.dir.join("out");
        for name in fs::read_dir(&out).expect("out").flatten() {
            fs::remove_file(name.path()).expect("removed");
        }
        let mut command = self.snapshot(&["--out"]);
        command.arg(out).args(words).args(["--", "sh", "-c", script]).current_dir(&self.dir);
        command
    }

    /// Whether a backup is written down in `out`.
    pub fn is_backed_up(&self) -> bool {
        self.dir.join("out/snapshot.json").exists()
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { status: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.down();
    }
}
