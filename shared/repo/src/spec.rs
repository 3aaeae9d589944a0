//! `Spec`: where the tablespaces of a backup were; also the format of a restore spec file.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::Error;

/// The tablespaces of a backup. A local backup without any has no `Spec` at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spec {
    /// The data directory, without a slash at its end.
    pub base_prefix: String,
    /// The tablespaces besides pg_default and pg_global.
    pub tablespaces: Vec<Tablespace>,
}

/// One tablespace: a directory somewhere, and the link to it below `pg_tblspc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tablespace {
    /// Its OID in decimal, which is the link's name.
    pub name: String,
    /// The directory, absolute, without a slash at its end.
    pub location: String,
    /// The link relative to the data directory, as `pg_tblspc/16384`.
    pub link: String,
}

impl Tablespace {
    /// The tablespace with that OID in decimal, in that directory.
    pub fn new(oid: &str, location: &str) -> Tablespace {
        let trimmed = location.trim_end_matches('/');
        let location = if trimmed.is_empty() { location } else { trimmed }.to_owned();
        Tablespace { name: oid.to_owned(), location, link: format!("pg_tblspc/{oid}") }
    }
}

impl Spec {
    /// Reads a restore spec file.
    pub fn parse(text: &[u8]) -> Result<Spec, Error> {
        let value: Value = serde_json::from_slice(text)
            .map_err(|e| Error::Corrupt(format!("restore spec is no sound JSON object: {e}")))?;
        Spec::of(&value)
    }

    /// Takes what stands under `Spec` in a sentinel: `base_prefix`, `tablespaces` (may be missing)
    /// and for each name in it an object of `loc` and `link`.
    pub(crate) fn of(value: &Value) -> Result<Spec, Error> {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let missing = |what: &str| Error::Corrupt(format!("tablespace spec has no {what}"));
        let base_prefix = text(value.get("base_prefix")).ok_or_else(|| missing("base_prefix"))?;
        let names = match value.get("tablespaces") {
            None | Some(Value::Null) => &[][..],
            Some(Value::Array(names)) => names,
            Some(_) => return Err(missing("list under tablespaces")),
        };
        let tablespace = |name: &Value| {
            let name = name.as_str().ok_or_else(|| missing("text as a tablespace's name"))?;
            let entry = value.get(name).ok_or_else(|| missing(&format!("entry for tablespace {name}")))?;
            let location = text(entry.get("loc")).ok_or_else(|| missing(&format!("loc for tablespace {name}")))?;
            let link = text(entry.get("link")).ok_or_else(|| missing(&format!("link for tablespace {name}")))?;
            Ok(Tablespace { link, ..Tablespace { name: name.to_owned(), ..Tablespace::new(name, &location) } })
        };
        Ok(Spec { base_prefix, tablespaces: names.iter().map(tablespace).collect::<Result<_, _>>()? })
    }
}

impl Serialize for Spec {
    /// All keys in the order of their bytes, as Go writes a map: the OIDs before the words.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names: Vec<&str> = self.tablespaces.iter().map(|t| t.name.as_str()).collect();
        let entry = |t: &Tablespace| (t.name.clone(), json!({"loc": t.location, "link": t.link}));
        let mut keys: BTreeMap<String, Value> = self.tablespaces.iter().map(entry).collect();
        keys.insert("base_prefix".to_owned(), json!(self.base_prefix));
        keys.insert("tablespaces".to_owned(), json!(names));
        keys.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // In the sentinel of fixture v309-pg15-lz4-full.
    const REAL: &str = r#"{"16384":{"loc":"/srv/db/ts1","link":"pg_tblspc/16384"},"base_prefix":"/srv/db/data","tablespaces":["16384"]}"#;

    #[test]
    fn a_real_spec_is_read_and_written_back() {
        let spec = Spec::parse(REAL.as_bytes()).unwrap();
        assert_eq!(spec.tablespaces, [Tablespace::new("16384", "/srv/db/ts1/")]);
        assert_eq!(crate::to_text(&spec), REAL);
    }

    #[test]
    fn keys_are_in_the_order_of_bytes_and_names_in_their_own() {
        let tablespaces =
            vec![Tablespace::new("9", "/"), Tablespace::new("100000", "/b"), Tablespace::new("16384", "/a")];
        let text = crate::to_text(&Spec { base_prefix: "/d".to_owned(), tablespaces });
        assert_eq!(
            text,
            r#"{"100000":{"loc":"/b","link":"pg_tblspc/100000"},"16384":{"loc":"/a","link":"pg_tblspc/16384"},"9":{"loc":"/","link":"pg_tblspc/9"},"base_prefix":"/d","tablespaces":["9","100000","16384"]}"#
        );
    }

    #[test]
    fn a_spec_without_its_parts_is_refused() {
        assert_eq!(Spec::parse(br#"{"base_prefix":"/d"}"#).map(|s| s.tablespaces.len()), Ok(0));
        for text in [
            "{}",
            "[]",
            r#"{"base_prefix":1}"#,
            r#"{"base_prefix":"/d","tablespaces":["1"]}"#,
            r#"{"base_prefix":"/d","tablespaces":["1"],"1":{"loc":"/x"}}"#,
            r#"{"base_prefix":"/d","tablespaces":[1]}"#,
            r#"{"base_prefix":"/d","tablespaces":{}}"#,
        ] {
            assert!(Spec::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
