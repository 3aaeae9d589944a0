//! The list of files of a backup: files_metadata.json, or `Files` in an old sentinel.

use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::Error;

/// What a restore needs to know of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileFlags {
    /// The tar member holds changed pages only.
    pub incremented: bool,
    /// There is no tar member: the file is as in the backup below.
    pub skipped: bool,
}

/// Hands every entry of `Files` to `each`: the name, which is the tar member's byte for byte, and
/// its flags. Nothing is kept, whatever the size; the number of entries is returned.
///
/// Reads files_metadata.json and a sentinel of v0.2.9 alike. Everything else in them is passed
/// over whatever its shape (`DatabasesByNames` changed its type twice). A list that is absent or
/// null has no entries. [`Error::Corrupt`] where the JSON is cut short, a flag is no boolean, or a
/// file claims both flags.
pub fn visit_files(reader: impl Read, each: &mut dyn FnMut(&str, FileFlags)) -> Result<u64, Error> {
    let mut json = serde_json::Deserializer::from_reader(reader);
    let read = Document { each, count: 0 }.deserialize(&mut json).and_then(|count| json.end().map(|()| count));
    read.map_err(|e| Error::Corrupt(format!("list of files is no sound JSON object: {e}")))
}

/// The whole object, of which only `Files` counts.
struct Document<'a> {
    each: &'a mut dyn FnMut(&str, FileFlags),
    count: u64,
}

/// The object under `Files`.
struct List<'a>(&'a mut dyn FnMut(&str, FileFlags));

/// One entry.
struct Entry;

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<u64, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<u64, A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key.eq_ignore_ascii_case("files") {
                self.count += map.next_value_seed(List(&mut *self.each))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(self.count)
    }
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<u64, D::Error> {
        json.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of files")
    }

    fn visit_none<E>(self) -> Result<u64, E> {
        Ok(0)
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<u64, D::Error> {
        json.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u64, A::Error> {
        let mut count = 0;
        while let Some(name) = map.next_key::<String>()? {
            let flags = map.next_value_seed(Entry)?;
            if flags.incremented && flags.skipped {
                return Err(A::Error::custom(format_args!("'{name}' is both incremented and skipped")));
            }
            (self.0)(&name, flags);
            count += 1;
        }
        Ok(count)
    }
}

impl<'de> DeserializeSeed<'de> for Entry {
    type Value = FileFlags;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<FileFlags, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Entry {
    type Value = FileFlags;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a file's description")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FileFlags, A::Error> {
        let mut flags = FileFlags::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                k if k.eq_ignore_ascii_case("isincremented") => {
                    flags.incremented = map.next_value::<Option<bool>>()? == Some(true)
                }
                k if k.eq_ignore_ascii_case("isskipped") => {
                    flags.skipped = map.next_value::<Option<bool>>()? == Some(true)
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, bool, bool)>, Error> {
        let mut found = Vec::new();
        let count = visit_files(text.as_bytes(), &mut |name, flags| {
            found.push((name.to_owned(), flags.incremented, flags.skipped));
        })?;
        assert_eq!(count, found.len() as u64);
        Ok(found)
    }

    #[test]
    fn names_and_flags_are_read_from_both_places() {
        let side = r#"{"Files":{"/":{"IsIncremented":false,"IsSkipped":false,"MTime":"2026-01-02T03:00:00.1Z","UpdatesCount":0},"/PG_VERSION":{"IsIncremented":false,"IsSkipped":true,"MTime":"x"},"/base/5/\u0041\n":{"IsIncremented":true}},"TarFileSets":{"part_001.tar.lz4":["/"]},"DatabasesByNames":{"p":{"tables":[1,"x"]}}}"#;
        let expected = [("/", false, false), ("/PG_VERSION", false, true), ("/base/5/A\n", true, false)];
        let expected: Vec<_> = expected.map(|(name, i, s)| (name.to_owned(), i, s)).into();
        assert_eq!(read(side).unwrap(), expected);
        let inside = side.replace("{\"Files\"", "{\"LSN\":1,\"Files\"");
        assert_eq!(read(&inside).unwrap(), expected);
    }

    #[test]
    fn no_list_is_an_empty_one() {
        for text in ["{}", r#"{"Files":null}"#, r#"{"Files":{}}"#, r#"{"TarFileSets":{}}"#] {
            assert_eq!(read(text), Ok(vec![]), "{text}");
        }
    }

    #[test]
    fn a_list_that_is_cut_or_contradicts_itself_is_corrupt() {
        let text = r#"{"Files":{"/a":{"IsIncremented":false,"IsSkipped":true}}}"#;
        for end in 0..text.len() {
            assert!(read(&text[..end]).is_err(), "{end}");
        }
        assert!(read(r#"{"Files":{"/a":{"IsIncremented":true,"IsSkipped":true}}}"#).is_err());
        assert!(read(r#"{"Files":{"/a":{"IsIncremented":1}}}"#).is_err());
        assert!(read(r#"{"Files":[]}"#).is_err());
    }
}
