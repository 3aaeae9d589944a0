//! Pages of lists.

use s3s::dto::{CommonPrefix, EncodingType, Object};

use super::bucket::Bucket;

/// What a list is asked for.
pub struct Wanted<'a> {
    pub prefix: &'a str,
    pub delimiter: Option<&'a str>,
    /// Only what comes after this.
    pub after: &'a str,
    pub most: usize,
    /// Names are encoded.
    pub encoded: bool,
}

/// A page of a list; names are encoded as wanted.
#[derive(Default)]
pub struct Page {
    pub objects: Vec<Object>,
    pub folders: Vec<CommonPrefix>,
    /// The last entry, not encoded, where there are more.
    pub next: Option<String>,
}

impl Page {
    pub fn of(bucket: &Bucket, wanted: &Wanted<'_>) -> Self {
        let mut page = Self::default();
        let mut last = String::new();
        let found = bucket.objects.range(wanted.prefix.to_owned()..);
        for (key, object) in found.take_while(|(key, _)| key.starts_with(wanted.prefix)) {
            let folder = wanted.folder(key);
            let entry = folder.unwrap_or(key);
            if entry <= wanted.after || entry == last {
                continue;
            }
            if page.objects.len() + page.folders.len() == wanted.most {
                page.next = Some(last);
                break;
            }
            entry.clone_into(&mut last);
            let name = Some(encode(entry, wanted.encoded));
            if folder.is_some() {
                page.folders.push(CommonPrefix { prefix: name });
            } else {
                page.objects.push(Object {
                    key: name,
                    size: i64::try_from(object.bytes.len()).ok(),
                    e_tag: object.etag(),
                    last_modified: Some(object.time.into()),
                    ..Object::default()
                });
            }
        }
        page
    }
}

impl Wanted<'_> {
    /// The folder that stands for this key.
    fn folder<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.delimiter?;
        let at = key[self.prefix.len()..].find(delimiter)?;
        Some(&key[..self.prefix.len() + at + delimiter.len()])
    }
}

/// A name as AWS gives it where `encoding-type` is `url`: a blank is a plus.
pub fn encode(name: &str, encoded: bool) -> String {
    let one = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        _ => format!("%{byte:02X}"),
    };
    if encoded { name.bytes().map(one).collect() } else { name.to_owned() }
}

/// What an answer says of its encoding.
pub fn encoding(encoded: bool) -> Option<EncodingType> {
    encoded.then(|| EncodingType::from_static(EncodingType::URL))
}
