//! Durations as Go writes them, since settings of WAL-G are: `90s`, `1m30s`, `1.5h`, `300ms`, `0`.

use std::time::Duration;

use tool::{Failure, Status};

/// The setting `name` as a duration; `None` where it is not set, zero or negative: that means "not at all".
///
/// # Errors
/// 78 where it is set to something else; a bare number has no unit and is refused.
pub fn setting(name: &str) -> Result<Option<Duration>, Failure> {
    let Some(text) = tool::settings()?.get(name) else { return Ok(None) };
    match parse(text.trim()) {
        Some(duration) => Ok(duration),
        None => Err(Failure::new(Status::Config, format!("the setting {name} is {text:?}, which is no duration"))
            .hint("Write it with a unit: 30s, 10m, 1h30m, 500ms.")),
    }
}

/// A duration; `Some(None)` for zero and less.
fn parse(text: &str) -> Option<Option<Duration>> {
    let (negative, text) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if text == "0" {
        return Some(None);
    }
    let mut seconds = 0.0;
    let mut rest = text;
    if text.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit_end = rest[end..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |n| end + n);
        seconds += number * unit(&rest[end..unit_end])?;
        rest = &rest[unit_end..];
    }
    let duration = Duration::try_from_secs_f64(seconds).ok()?;
    Some((!negative && !duration.is_zero()).then_some(duration))
}

/// A unit in seconds.
fn unit(name: &str) -> Option<f64> {
    Some(match name {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, millis) in
            [("90s", 90_000), ("1m30s", 90_000), ("1.5h", 5_400_000), ("300ms", 300), ("+2m", 120_000)]
        {
            assert_eq!(parse(text), Some(Some(Duration::from_millis(millis))), "{text}");
        }
        for text in ["0", "-1m", "0s", "-0"] {
            assert_eq!(parse(text), Some(None), "{text}");
        }
        for text in ["", "10", "s", "1x", "1m30", ".s", "1..5s", "-", "1 m", "1d", "9e99h"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
