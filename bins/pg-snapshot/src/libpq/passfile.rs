//! The password file.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What a password is wanted for.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The host's name; the directory of a socket that is not a default one; else `localhost`.
    pub host: &'a str,
    /// The port.
    pub port: u16,
    /// The database.
    pub database: &'a str,
    /// The role.
    pub user: &'a str,
}

/// The password in the file `path`; none where there is no such file or no such line.
///
/// As libpq: a file that others may read is warned of and not used.
pub fn password(path: &Path, wanted: &Wanted<'_>) -> Option<String> {
    let meta = path.metadata().ok()?;
    if !meta.is_file() {
        tool::warn(format_args!("the password file {} is no plain file, not used", path.display()));
        return None;
    }
    if meta.mode() & 0o077 != 0 {
        tool::warn(format_args!(
            "the password file {} can be read by others, not used: its mode must be 0600",
            path.display()
        ));
        return None;
    }
    match std::fs::read(path) {
        Ok(bytes) => find(&String::from_utf8_lossy(&bytes), wanted),
        Err(e) => {
            tool::warn(format_args!("cannot read the password file {}: {}", path.display(), tool::reason(&e)));
            None
        }
    }
}

/// The password of the first line that fits: `HOST:PORT:DATABASE:USER:PASSWORD`, `*` for any, `\` before `:` and `\`.
fn find(text: &str, wanted: &Wanted<'_>) -> Option<String> {
    let port = wanted.port.to_string();
    let wanted = [wanted.host, &port, wanted.database, wanted.user];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut rest = line;
        for want in wanted {
            let (field, after) = field(rest)?;
            let any = field.is_any;
            if !any && field.text != want {
                return None;
            }
            rest = after;
        }
        let password = unescape(rest);
        (!password.is_empty()).then_some(password)
    })
}

struct Field {
    text: String,
    /// Written as a bare `*`.
    is_any: bool,
}

/// The first field of a line, and what comes after its colon.
fn field(line: &str) -> Option<(Field, &str)> {
    let mut escaped = false;
    let end = line.char_indices().find_map(|(at, c)| match c {
        _ if escaped => {
            escaped = false;
            None
        }
        '\\' => {
            escaped = true;
            None
        }
        ':' => Some(at),
        _ => None,
    })?;
    Some((Field { text: unescape(&line[..end]), is_any: &line[..end] == "*" }, &line[end + 1..]))
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(c) = letters.next() {
        match c {
            '\\' => plain.extend(letters.next()),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str, host: &str, user: &str) -> Option<String> {
        find(text, &Wanted { host, port: 5432, database: "postgres", user })
    }

    #[test]
    fn the_first_line_that_fits_counts() {
        let text = "# h:5432:postgres:u:no\nh:5433:*:u:wrong\nh:*:postgres:u:right\n*:*:*:*:any\nh:*:*:u:late";
        assert_eq!(ask(text, "h", "u").as_deref(), Some("right"));
        assert_eq!(ask(text, "x", "u").as_deref(), Some("any"));
        assert_eq!(ask("h:5432:postgres:u:pw\r\n", "h", "u").as_deref(), Some("pw"));
        assert_eq!(ask("h:5432:postgres:u:\nh:5432", "h", "u"), None);
    }

    #[test]
    fn colons_and_backslashes_are_escaped_with_a_backslash() {
        let text = "fe80\\:\\:1:5432:*:a\\\\b:p\\:w\\\\d:x";
        assert_eq!(ask(text, "fe80::1", "a\\b").as_deref(), Some("p:w\\d:x"));
        assert_eq!(ask("\\*:*:*:*:pw", "h", "u"), None);
    }
}
