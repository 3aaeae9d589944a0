//! A program that prints a key: `credential_process`.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use store::{Error, Why};

use super::Credentials;
use super::document::Document;
use crate::client::root;

/// The most that is read of what it prints, in bytes.
const MOST: u64 = 256 << 10;

/// Secrets of ours that are nobody's business who only gives a key.
const OURS: &[&str] = &["PGPASSWORD", "WALG_LIBSODIUM_KEY", "WALG_PGP_KEY", "WALG_PGP_KEY_PASSPHRASE"];

/// Runs the `command` of `profile`, for at most `limit`, and reads the key that it prints.
///
/// Without a shell.  Its messages go where ours go; its input is empty, for ours may be what is stored.
///
/// # Errors
/// [`Error::Config`] if it cannot be run or fails, [`Error::Busy`] if it takes too long, [`Error::Corrupt`] if it
/// prints anything else.
pub(super) async fn ask(command: &str, profile: &str, limit: Duration) -> Result<Credentials, Error> {
    let what = format!("the credential_process of {profile}");
    let words = split(command).filter(|words| !words.is_empty()).ok_or_else(|| {
        let hint = "It is split into words as by a shell, and run without one.";
        Error::Config(Why::hinted(format!("{what} is no command: a quote is not closed, or nothing is there"), hint))
    })?;
    let task = {
        let what = what.clone();
        tokio::task::spawn_blocking(move || run(&words, &what, limit))
    };
    let text = task.await.map_err(|_| Error::Broken(format!("{what} was not waited for").into()))??;
    let document = Document::read(&text, &what)?;
    if document.version.as_ref().and_then(serde_json::Value::as_u64) != Some(1) {
        return Err(Error::Corrupt(format!("what {what} gave has not \"Version\": 1").into()));
    }
    document.key(&what)
}

fn run(words: &[String], what: &str, limit: Duration) -> Result<String, Error> {
    let end = Instant::now() + limit;
    let mut command = Command::new(&words[0]);
    // a group of its own, so that what it starts can be ended as well
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
    let container = "AWS_CONTAINER_AUTHORIZATION_TOKEN"; // which the AWS CLI may need
    for name in OURS.iter().chain(crate::SECRETS.iter().filter(|name| **name != container)) {
        command.env_remove(name);
    }
    let program = &words[0];
    let mut child = sys::end_with_parent(&mut command).spawn().map_err(|e| {
        let text = format!("{what} cannot be run: {program}: {}", root(&e));
        Error::Config(Why::hinted(text, "It is run without a shell, by its path or from PATH."))
    })?;
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = stdout.take(MOST).read_to_end(&mut bytes);
            let _ = sender.send(read.map(|_| bytes));
        });
    }
    let printed = receiver.recv_timeout(limit);
    if printed.is_err() {
        end_group(&child); // what it started may hold the pipe open without it
    }
    let status = wait(&mut child, end);
    let late = || {
        let text = format!("{what} ({program}) was ended after {} s without a key", limit.as_secs().max(1));
        Error::Busy(Why::hinted(text, "It must need no terminal: run it by hand as this user."))
    };
    let bytes = match (status, printed) {
        (None, _) | (_, Err(mpsc::RecvTimeoutError::Timeout)) => return Err(late()),
        (Some(status), _) if !status.success() => {
            let text = format!("{what} ({program}) {}", ending(status));
            return Err(Error::Config(Why::hinted(text, "Run it by hand as this user to see why.")));
        }
        (Some(_), Ok(Ok(bytes))) => bytes,
        (Some(_), _) => return Err(Error::Broken(format!("cannot read what {what} prints").into())),
    };
    String::from_utf8(bytes).map_err(|_| Error::Corrupt(format!("what {what} gave is no text").into()))
}

/// How the child ended by itself, if it did in time; ended it is in any case, and its group with it.
fn wait(child: &mut Child, end: Instant) -> Option<ExitStatus> {
    let mut status = None;
    while status.is_none() {
        status = child.try_wait().ok()?;
        if Instant::now() >= end {
            break;
        }
        if status.is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    if status.is_none() {
        end_group(child);
        let _ = child.wait();
    }
    status
}

/// Ends a child that was not waited for yet, and all that it started.
fn end_group(child: &Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        _ => "ended badly".to_owned(),
    }
}

/// The words of a command, as a POSIX shell and Python's `shlex.split` see them; none if a quote is not closed.
fn split(command: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut letters) = (Vec::new(), None::<String>, command.chars());
    while let Some(c) = letters.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '"' => break,
                        '\\' => match letters.next()? {
                            c @ ('"' | '\\') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(letters.next()?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        let cases: [(&str, &[&str]); 6] = [
            ("/opt/a b  c", &["/opt/a", "b", "c"]),
            ("\"/opt/with blank/x\" '$HOME' a\\ b", &["/opt/with blank/x", "$HOME", "a b"]),
            ("a '' \"\"", &["a", "", ""]),
            ("a\"b\\\"c\\d\"e", &["ab\"c\\de"]),
            ("a 'it'\\''s'", &["a", "it's"]),
            ("  ", &[]),
        ];
        for (text, words) in cases {
            assert_eq!(split(text).unwrap(), words, "{text}");
        }
        for open in ["a 'b", "a \"b", "a \\", "\"\\"] {
            assert_eq!(split(open), None, "{open}");
        }
    }
}
