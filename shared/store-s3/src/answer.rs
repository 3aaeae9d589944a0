//! What S3 answers in XML, as far as it is read here.

use quick_xml::Reader;
use quick_xml::events::Event;
use serde::Deserialize;

/// An error, in the body of a refusal or of an answer that began as a success.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ErrorBody {
    pub code: String,
    pub message: String,
    pub region: Option<String>,
}

/// A document that answers a request.
pub(crate) trait Document: serde::de::DeserializeOwned {
    /// Its root element: what is called otherwise is something else, whatever it lacks.
    const ROOT: &'static str;
}

impl Document for Initiated {
    const ROOT: &'static str = "InitiateMultipartUploadResult";
}

impl Document for Completed {
    const ROOT: &'static str = "CompleteMultipartUploadResult";
}

impl Document for Page {
    const ROOT: &'static str = "ListBucketResult";
}

impl Document for Deleted {
    const ROOT: &'static str = "DeleteResult";
}

impl Document for Uploads {
    const ROOT: &'static str = "ListMultipartUploadsResult";
}

/// The beginning of a multipart upload.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Initiated {
    pub upload_id: String,
}

/// The end of one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Completed {
    #[serde(rename = "ETag")]
    pub etag: Option<String>,
}

/// A page of a list, in either version's way.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Page {
    pub is_truncated: bool,
    pub encoding_type: Option<String>,
    pub next_continuation_token: Option<String>,
    pub next_marker: Option<String>,
    pub contents: Vec<Contents>,
    pub common_prefixes: Vec<Common>,
}

/// An object in a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Contents {
    pub key: String,
    pub last_modified: String,
    pub size: u64,
}

/// A folder in a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Common {
    pub prefix: String,
}

/// What a batch of deletions came to.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Deleted {
    pub deleted: Vec<DeletedKey>,
    pub error: Vec<DeleteError>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeletedKey {
    pub key: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeleteError {
    pub key: String,
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub message: String,
}

/// A page of unfinished uploads.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Uploads {
    pub is_truncated: bool,
    pub encoding_type: Option<String>,
    pub next_key_marker: Option<String>,
    pub next_upload_id_marker: Option<String>,
    pub upload: Vec<OneUpload>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct OneUpload {
    pub key: String,
    pub upload_id: String,
    #[serde(default)]
    pub initiated: String,
}

/// What a document's root element is called, without its namespace.
///
/// Before it there may be blanks, comments and declarations, also more than one: s3s 0.14.1 sends one when it begins to
/// answer, and another with the error that comes of it.
pub(crate) fn root(text: &str) -> Option<String> {
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) | Event::Empty(element) => {
                return Some(String::from_utf8_lossy(element.local_name().as_ref()).into_owned());
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

/// Text as it stands in XML.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\r' | '\t' => escaped.push_str(&format!("&#{};", c as u32)),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A key in a list whose `EncodingType` is `url`.
pub(crate) fn decode(text: &str, encoding: Option<&str>) -> String {
    if encoding != Some("url") {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        match (first, after) {
            (b'%', [a, b, ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                bytes.extend(hex(&after[..2]));
                rest = &after[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_in_either_version() {
        let text = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <Name>b</Name><Prefix/><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
            <Contents><Key>a+b%2Bc%0A</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>3</Size>\
            <Owner><ID>x</ID></Owner></Contents><CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes>\
            <Contents><Key>z</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>0</Size></Contents>\
            <NextContinuationToken>t</NextContinuationToken></ListBucketResult>";
        let page: Page = quick_xml::de::from_str(text).unwrap();
        assert!(page.is_truncated);
        assert_eq!(page.contents.len(), 2);
        assert_eq!(decode(&page.contents[0].key, page.encoding_type.as_deref()), "a b+c\n");
        assert_eq!(page.common_prefixes[0].prefix, "d/");
    }

    #[test]
    fn what_is_not_encoded_is_left() {
        assert_eq!(decode("a+b%41", None), "a+b%41");
        assert_eq!(decode("100%", Some("url")), "100%");
        assert_eq!(decode("%E6%97%A5", Some("url")), "日");
    }
}
