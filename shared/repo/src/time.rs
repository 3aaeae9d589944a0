//! Times in the repository's objects.

use jiff::{Timestamp, ToSpan, tz::Offset};

/// A time as WAL-G writes it into sentinel and metadata: RFC 3339, UTC, microseconds, the fraction
/// without its trailing zeros.
/// ```
/// let time: jiff::Timestamp = "2026-11-23T03:08:38.965800999+01:00".parse()?;
/// assert_eq!(repo::time::to_text(time), "2026-11-23T02:08:38.9658Z");
/// # Ok::<(), jiff::Error>(())
/// ```
pub fn to_text(time: Timestamp) -> String {
    let below = time.as_nanosecond().rem_euclid(1000) as i64;
    let whole = time.checked_sub(below.nanoseconds()).unwrap_or(time);
    exact(whole, Offset::UTC)
}

/// A time with all its digits, as Go prints it (RFC3339Nano) in a zone that is `offset` from UTC.
pub fn exact(time: Timestamp, offset: Offset) -> String {
    if offset == Offset::UTC { time.to_string() } else { time.display_with_offset(offset).to_string() }
}

/// Reads a time with a zone; `None` for no text, no time, and Go's zero time, which means "not set".
pub fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|time: &Timestamp| time.as_second() > ZERO)
}

/// Go's zero time, 0001-01-01T00:00:00Z, in seconds since 1970; a zone may move it by a day.
const ZERO: i64 = -62_135_596_800 + 86_400;

/// The zero time as Go prints it: what WAL-G's JSON has where a time is not known.
pub const UNSET: &str = "0001-01-01T00:00:00Z";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_lose_their_trailing_zeros_only() {
        for text in [
            "2026-11-22T12:07:56.79275Z",
            "2026-11-22T12:07:56Z",
            "2026-11-22T12:07:56.1Z",
            "2026-11-22T12:07:56.000001Z",
        ] {
            assert_eq!(to_text(parse(text).unwrap()), text);
        }
        let nanos = parse("2026-11-23T02:11:42.431364220Z").unwrap();
        assert_eq!(exact(nanos, Offset::UTC), "2026-11-23T02:11:42.43136422Z");
        assert_eq!(exact(nanos, Offset::constant(1)), "2026-11-23T03:11:42.43136422+01:00");
    }

    #[test]
    fn the_zero_time_is_no_time() {
        for text in [UNSET, "0001-01-01T00:00:00+05:30", "", "yesterday", "2026-11-22T12:07:56"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert!(parse("2019-05-01T10:00:00.123456789+02:00").is_some());
    }
}
