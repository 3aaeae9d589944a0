//! The store's programs, run as anybody else would run them (walpipe-store(7)).

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::str::FromStr;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tool::{Child, Failure, Status};

/// A repository: a URL, and by its scheme the programs that serve it.
#[derive(Clone, Debug)]
pub struct Repository {
    url: String,
    programs: String,
}

/// One line of `ls --json`.
#[derive(Debug, Deserialize)]
pub struct Listed {
    /// Relative to what was listed; a folder ends with a slash.
    pub name: String,
    /// In bytes.
    #[serde(default)]
    pub size: u64,
    #[serde(default)]
    time: Option<String>,
}

impl Listed {
    /// When it was stored.
    pub fn stored(&self) -> Option<Timestamp> {
        self.time.as_deref().and_then(|time| time.parse().ok())
    }
}

/// One line of `get --each`: a small object, or none of that name.
#[derive(Debug, Deserialize)]
pub struct Small {
    /// As it was asked for.
    pub key: String,
    /// `None` where there is no such object.
    pub text: Option<String>,
}

impl FromStr for Repository {
    type Err = String;

    fn from_str(url: &str) -> Result<Repository, String> {
        let scheme = url.split_once("://").map_or("file", |(scheme, _)| scheme);
        let programs = match scheme {
            "azure" => "az",
            "ssh" => "sftp",
            other => other,
        };
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if url.is_empty() || programs.is_empty() || !programs.chars().all(good) {
            return Err(format!("'{url}' is no URL of a repository"));
        }
        Ok(Repository { url: url.trim_end_matches('/').to_owned(), programs: programs.to_owned() })
    }
}

impl Repository {
    /// Whether it is a directory of this machine.
    pub fn is_local(&self) -> bool {
        self.programs == "file"
    }

    /// The name of the program for `verb`: `s3get`.
    pub fn program(&self, verb: &str) -> String {
        format!("{}{verb}", self.programs)
    }

    /// The URL of a key.
    pub fn at(&self, key: &str) -> String {
        format!("{}/{key}", self.url)
    }

    /// `ls` of a folder, which ends with a slash; `words` narrow it down. Each entry goes to `each`,
    /// which says whether it wants more.
    pub fn ls(&self, folder: &str, words: &[&str], each: &mut dyn FnMut(Listed) -> bool) -> Result<(), Failure> {
        let mut command = self.command("ls", folder);
        command.arg("--json").args(words);
        let mut child = Running::start(command)?;
        while let Some(entry) = child.next()? {
            if !each(entry) {
                return Ok(()); // dropped, it is ended
            }
        }
        child.wait()
    }

    /// Whether there is no object of that key.
    pub fn lacks(&self, key: &str) -> Result<bool, Failure> {
        let (folder, name) = key.rsplit_once('/').map_or(("", key), |(folder, name)| (folder, name));
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut empty = true;
        self.ls(&folder, &["--delimiter", "/", "--prefix", name], &mut |entry| {
            empty = entry.name != name;
            empty
        })?;
        Ok(empty)
    }

    /// `get --each`: small objects below `folder` by their names, in that order.
    pub fn each(
        &self,
        folder: &str,
        names: &[String],
        take: &mut dyn FnMut(Small) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if names.is_empty() {
            return Ok(());
        }
        let mut command = self.command("get", folder);
        command.arg("--each").stdin(Stdio::piped());
        let mut child = Running::start(command)?;
        let stdin = child.child.stdin();
        let text = names.iter().map(|name| format!("{name}\n")).collect::<String>();
        let mut came = 0;
        std::thread::scope(|scope| {
            let mut child = child; // ended before the scope is, also by a failure here
            // Beside the reading, so that neither of two full pipes waits for the other. If it cannot
            // take the names, its status says why.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(text.as_bytes())));
            while let Some(small) = child.next()? {
                take(small)?;
                came += 1;
            }
            child.wait()
        })?;
        if came == names.len() {
            return Ok(());
        }
        let text = format!("{}get answered {came} of {} names below {}", self.programs, names.len(), self.at(folder));
        Err(Failure::new(Status::Data, text))
    }

    /// A program that writes the content of the stored WAL file `object` to its standard output, decoded.
    pub fn decoded_wal(&self, object: &str) -> Result<Command, Failure> {
        let (get, url) = (self.program("get"), self.at(&format!("{}{object}", repo::key::WAL)));
        let mut command = tool::command(&["compress", "-d", "--as", object, "--", get.as_str(), url.as_str()])?;
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        Ok(command)
    }

    /// The text of one small object; `None` if there is none.
    pub fn small(&self, key: &str) -> Result<Option<String>, Failure> {
        let mut text = None;
        self.each("", &[key.to_owned()], &mut |small| {
            text = small.text;
            Ok(())
        })?;
        Ok(text)
    }

    /// `get`: what `read` makes of an object of any size, which it need not read to its end.
    ///
    /// A failure of the program counts before that of the reading, which it may have caused.
    pub fn get<T>(&self, key: &str, read: impl FnOnce(&mut dyn Read) -> Result<T, Failure>) -> Result<T, Failure> {
        let mut child = Running::start(self.command("get", key))?;
        let result = read(&mut child.stdout);
        match result {
            Ok(value) => child.wait().map(|()| value),
            Err(failure) if failure.status() == Status::Data => child.wait().and(Err(failure)),
            Err(failure) => Err(failure),
        }
    }

    /// `put`: stores `size` bytes from `content` under `key`, all or nothing.
    ///
    /// The size goes along, so that our own death in the middle stores nothing.
    pub fn put(&self, key: &str, content: &mut dyn Read, size: u64, create_only: bool) -> Result<(), Failure> {
        let mut command = self.command("put", key);
        command.arg("--size").arg(size.to_string()).stdin(Stdio::piped());
        if create_only {
            command.arg("--create-only");
        }
        let mut child = Running::start(command)?;
        let written = match child.child.stdin() {
            Some(mut stdin) => std::io::copy(content, &mut stdin).map(drop),
            None => Ok(()),
        };
        child.wait()?;
        written.map_err(|e| Failure::io(format_args!("cannot hand over {key}"), &e))
    }

    /// What a create-only put is worth here: `complete`, `put` or `no`; `None` where the store's programs do not say.
    ///
    /// The scratch object for it has a name that no reader takes for anything.
    pub fn probe(&self) -> Result<Option<String>, Failure> {
        #[derive(Deserialize)]
        struct Found {
            create_only: String,
        }
        let scratch = format!("walpipe/FFFFFFFFFFFFFFFFFFFFFFFF.probe-{}", std::process::id());
        let mut command = self.command("put", &scratch);
        command.arg("--probe");
        let mut child = Running::start(command)?;
        let found: Option<Found> = child.next()?;
        match child.wait() {
            Ok(()) => Ok(found.map(|found| found.create_only)),
            Err(failure) if failure.status().code() == Status::Usage.code() => Ok(None), // it knows no such word
            Err(failure) => Err(failure),
        }
    }

    /// A program of this store on a key; its output is a pipe, its input nothing.
    fn command(&self, verb: &str, key: &str) -> Command {
        let mut command = Command::new(self.program(verb));
        command.arg(self.at(key)).stdin(Stdio::null()).stdout(Stdio::piped());
        if self.is_local() {
            // Below which it may make directories, and without which nothing is there at all.
            command.env("WALG_FILE_PREFIX", &self.url);
        }
        command
    }
}

/// A program that runs, and what it writes.
struct Running {
    program: String,
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn start(mut command: Command) -> Result<Running, Failure> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = Child::start(&mut command)?;
        let stdout = child.stdout().ok_or_else(|| Failure::new(Status::Bug, "a program without a pipe"))?;
        Ok(Running { program, child, stdout: BufReader::with_capacity(64 << 10, stdout) })
    }

    /// What the next line says; `None` at the end.
    fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Failure> {
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line);
        if read.map_err(|e| Failure::io(format_args!("cannot read from {}", self.program), &e))? == 0 {
            return Ok(None);
        }
        serde_json::from_str(&line).map(Some).or_else(|odd| {
            self.wait()?; // a line that is cut short has its cause there
            let text = format!("{} printed what is no line of its kind: {odd}", self.program);
            Err(Failure::new(Status::Data, text))
        })
    }

    /// Reads what is left and demands its 0. What it says of a failure itself is not repeated.
    fn wait(&mut self) -> Result<(), Failure> {
        let _ = std::io::copy(&mut self.stdout, &mut std::io::sink());
        let end = self.child.wait()?;
        end.success().map_err(|failure| if end.code() < 128 { Failure::silent(failure.status()) } else { failure })
    }
}
