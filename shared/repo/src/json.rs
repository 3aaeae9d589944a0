//! JSON as WAL-G reads and writes it.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use crate::Error;

/// `value` in one line, with the characters escaped that Go escapes: `<`, `>`, `&`, U+2028, U+2029.
pub fn to_text(value: &impl Serialize) -> String {
    written(value, CompactFormatter)
}

/// As [`to_text`], over several lines, each level indented by four spaces more.
pub fn to_indented_text(value: &impl Serialize) -> String {
    written(value, PrettyFormatter::with_indent(b"    "))
}

fn written(value: &impl Serialize, formatter: impl Formatter) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    // Writing to memory cannot fail, nor can types whose keys are all text.
    let written = value.serialize(&mut serializer).is_ok();
    debug_assert!(written, "a value that JSON cannot hold");
    let mut text = String::with_capacity(bytes.len());
    // They stand inside strings only, so they can be escaped without looking where.
    for letter in String::from_utf8_lossy(&bytes).chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => text.push_str(&format!("\\u{:04x}", u32::from(letter))),
            other => text.push(other),
        }
    }
    text
}

/// The values of the keys that were asked for, under their lower-case names; keys match in any case.
pub(crate) struct Fields {
    what: &'static str,
    values: HashMap<&'static str, Value>,
}

impl Fields {
    /// Reads one JSON object called `what` and keeps the keys in `known` (lower-case); all others
    /// are passed over without being kept, however large.
    pub(crate) fn read(what: &'static str, reader: impl Read, known: &'static [&'static str]) -> Result<Fields, Error> {
        let mut fields = Fields { what, values: HashMap::new() };
        let mut json = serde_json::Deserializer::from_reader(reader);
        let read = Known { known, values: &mut fields.values }.deserialize(&mut json).and_then(|()| json.end());
        read.map(|()| fields).map_err(|e| Error::Corrupt(format!("{what} is no sound JSON object: {e}")))
    }

    /// A number; absent and null are `None`, anything else is [`Error::Corrupt`].
    pub(crate) fn number(&mut self, key: &'static str) -> Result<Option<u64>, Error> {
        match self.values.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or_else(|| self.wrong(key, "a number from 0 to 2^64-1")),
        }
    }

    /// A string; absent and null are `None`, anything else is [`Error::Corrupt`].
    pub(crate) fn string(&mut self, key: &'static str) -> Result<Option<String>, Error> {
        match self.values.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(key, "a string")),
        }
    }

    /// `true` or `false`; absent and null are `None`, anything else is [`Error::Corrupt`].
    pub(crate) fn flag(&mut self, key: &'static str) -> Result<Option<bool>, Error> {
        match self.values.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_bool().map(Some).ok_or_else(|| self.wrong(key, "true or false")),
        }
    }

    /// A time; what is none, or not set, is `None`: no decision rests on a time alone.
    pub(crate) fn time(&mut self, key: &'static str) -> Option<jiff::Timestamp> {
        self.values.remove(key).as_ref().and_then(Value::as_str).and_then(crate::time::parse)
    }

    /// Any value; null is `None`.
    pub(crate) fn any(&mut self, key: &'static str) -> Option<Value> {
        self.values.remove(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, expected: &str) -> Error {
        Error::Corrupt(format!("{} has a '{key}' that is not {expected}", self.what))
    }
}

struct Known<'a> {
    known: &'static [&'static str],
    values: &'a mut HashMap<&'static str, Value>,
}

impl<'de> DeserializeSeed<'de> for Known<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Known<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match self.known.iter().find(|known| known.eq_ignore_ascii_case(&key)) {
                Some(known) => drop(self.values.insert(known, map.next_value()?)),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Writes an LSN as WAL-G does: a decimal number.
pub(crate) fn lsn<S: Serializer>(lsn: &pg::Lsn, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(lsn.0)
}

/// Writes an LSN or null.
pub(crate) fn lsn_or_null<S: Serializer>(lsn: &Option<pg::Lsn>, serializer: S) -> Result<S::Ok, S::Error> {
    lsn.map(|lsn| lsn.0).serialize(serializer)
}

/// Writes a time, or Go's zero time where there is none.
pub(crate) fn time<S: Serializer>(time: &Option<jiff::Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.serialize_str(&crate::time::to_text(*time)),
        None => serializer.serialize_str(crate::time::UNSET),
    }
}

/// Writes the constant `DateFmt`.
pub(crate) fn date_format<S: Serializer>(_: &(), serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("%Y-%m-%dT%H:%M:%S.%fZ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_escapes_is_escaped_and_nothing_else() {
        let text = to_text(&"<a> & \"b\"\u{2028}\u{2029}é\n\u{7f}");
        assert_eq!(text, r#""\u003ca\u003e \u0026 \"b\"\u2028\u2029é\n"#.to_owned() + "\u{7f}\"");
    }

    #[test]
    fn keys_match_in_any_case_and_unknown_ones_are_passed_over() {
        let text = r#"{"lsn":1,"FILES":{"x":[1,{"y":2}]},"Name":"n","Ok":true,"Nothing":null}"#;
        let mut fields = Fields::read("this", text.as_bytes(), &["lsn", "name", "ok", "nothing", "none"]).unwrap();
        assert_eq!(fields.number("lsn"), Ok(Some(1)));
        assert_eq!(fields.string("name"), Ok(Some("n".to_owned())));
        assert_eq!(
            (fields.flag("ok"), fields.number("nothing"), fields.number("none")),
            (Ok(Some(true)), Ok(None), Ok(None))
        );
    }

    #[test]
    fn what_is_no_object_or_has_another_type_is_corrupt() {
        for text in ["", "{", "[]", "null", "{}x", r#"{"lsn":}"#, "\u{feff}{}"] {
            assert!(matches!(Fields::read("this", text.as_bytes(), &["lsn"]), Err(Error::Corrupt(_))), "{text}");
        }
        for value in ["1.5", "-1", "\"1\"", "18446744073709551616", "{}"] {
            let text = format!("{{\"lsn\":{value}}}");
            assert!(Fields::read("this", text.as_bytes(), &["lsn"]).unwrap().number("lsn").is_err(), "{value}");
        }
        let most = Fields::read("this", &br#"{"lsn":18446744073709551615}"#[..], &["lsn"]).unwrap().number("lsn");
        assert_eq!(most, Ok(Some(u64::MAX)));
    }
}
