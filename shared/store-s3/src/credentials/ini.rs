//! The form of AWS's two files, as far as it matters here.
//!
//! Python's `configparser` as botocore uses it (botocore/configloader.py), and where that and the "shared config file
//! format" of the AWS SDKs differ, what both would read: sections in brackets, `name = value` lines, comments that
//! begin with `#` or `;`, deeper indented lines that belong to the setting above them and are not read here.

use std::collections::BTreeMap;

/// The settings below one head, by their names in lower case.
pub(super) type Section = BTreeMap<String, String>;

/// The sections of a file, by their heads without brackets, or the number of the line that is none.
///
/// A section that comes twice is one; of a setting that comes twice the last counts.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, Section>, usize> {
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    let mut head: Option<String> = None;
    let mut above: Option<usize> = None; // the indentation of the setting that deeper lines belong to
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let words = line.trim();
        let indent = line.len() - line.trim_start().len();
        if words.is_empty() || words.starts_with(['#', ';']) || above.is_some_and(|above| indent > above) {
            continue;
        }
        if let Some(rest) = words.strip_prefix('[') {
            let (name, _) = rest.split_once(']').ok_or(number + 1)?;
            let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
            sections.entry(name.clone()).or_default();
            (head, above) = (Some(name), None);
            continue;
        }
        let (name, value) = words.split_once(['=', ':']).ok_or(number + 1)?;
        let name = name.trim().to_lowercase();
        let section = head.as_ref().and_then(|head| sections.get_mut(head)).ok_or(number + 1)?;
        let value = if name == "credential_process" { value.trim() } else { bare(value).trim() };
        section.insert(name, value.to_owned());
        above = Some(indent);
    }
    Ok(sections)
}

/// A value without the comment after it, which a blank sets apart.
fn bare(value: &str) -> &str {
    let comment = |at: &usize| {
        let before = value[..*at].chars().next_back();
        before.is_some_and(char::is_whitespace)
    };
    let marks = value.match_indices(['#', ';']).map(|(at, _)| at);
    marks.into_iter().find(comment).map_or(value, |at| &value[..at])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn blanks_comments_carriage_returns_and_nested_settings_are_no_values() {
        let text = "\u{feff}# first\r\n[default]\r\nRegion=eu-west-1 # near\r\n  ; indented\r\n\r\n[ profile   a b ] ; x\r\n\
            s3 =\r\n  region = not-this\r\n\tendpoint_url = nor-this\r\naws_secret_access_key = a#b;c=d \r\n\
            role_arn : arn:aws:iam::1:role/x\r\ncredential_process = p '# no comment' # one\r\n[empty]\r\n";
        let read = parse(text).unwrap();
        assert_eq!(read["default"]["region"], "eu-west-1");
        let section = &read["profile a b"];
        assert_eq!(section["aws_secret_access_key"], "a#b;c=d");
        assert_eq!(section["role_arn"], "arn:aws:iam::1:role/x");
        assert_eq!(section["credential_process"], "p '# no comment' # one");
        assert_eq!(section["s3"], "");
        assert!(!section.contains_key("region") && !section.contains_key("endpoint_url"));
        assert!(read["empty"].is_empty());
    }

    #[test]
    fn a_section_whose_lines_are_all_indented_is_read() {
        let read = parse("[default]\n  a = 1\n  b = 2\n    c = 3\n[default]\n  a = 4\n").unwrap();
        assert_eq!(read["default"], Section::from([("a".into(), "4".into()), ("b".into(), "2".into())]));
    }

    #[test]
    fn a_line_that_is_nothing_is_told_by_its_number() {
        assert_eq!(parse("[a]\nx = 1\nsecret\n"), Err(3));
        assert_eq!(parse("[a\n"), Err(1));
        assert_eq!(parse("x = 1\n"), Err(1));
    }
}
