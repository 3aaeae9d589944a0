//! What is said to people, on standard error, one write a message so that parallel tools do not tear lines.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

static NAME: OnceLock<String> = OnceLock::new();

/// Remembers how this program calls itself in its messages.
pub(crate) fn call_me(name: &str) {
    let _ = NAME.set(name.to_owned());
}

/// The program's name, as its messages begin.
#[must_use]
pub fn name() -> &'static str {
    NAME.get().map_or("walpipe", String::as_str)
}

/// Says one thing that is neither a result nor a failure: `NAME: TEXT`.
pub fn note(text: impl std::fmt::Display) {
    print(&format!("{}: {}\n", name(), text.to_string().replace('\n', "\\n")));
}

/// Says that something is not as it should be, though the work goes on.
pub fn warn(text: impl std::fmt::Display) {
    note(format_args!("warning: {text}"));
}

/// Writes `text` to standard error in one write; an error there has no one left to hear it.
pub(crate) fn print(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Whether a person sees standard error.
#[must_use]
pub fn seen() -> bool {
    std::io::stderr().is_terminal()
}
