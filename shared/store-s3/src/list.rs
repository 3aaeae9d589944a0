//! Lists of keys, page by page, in the order of their bytes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reqwest::Method;
use store::{Entry, Error, Key, Meta};

use crate::answer::{Page, decode};
use crate::client::{Call, Client};
use crate::object;
use crate::refusal::Intent;

/// Names that begin alike for at least so many bytes are found by one list.
const ALIKE: usize = 8;

/// Where a list goes on.
#[derive(PartialEq, Eq)]
enum Next {
    Token(String),
    Marker(String),
}

/// Asks for one page.
async fn page(client: &Client, prefix: &str, shallow: bool, next: Option<&Next>) -> Result<Page, Error> {
    let mut query = vec![("encoding-type", "url".to_owned()), ("prefix", prefix.to_owned())];
    if !client.config.list_v1 {
        query.push(("list-type", "2".to_owned()));
    }
    if shallow {
        query.push(("delimiter", "/".to_owned()));
    }
    match next {
        Some(Next::Token(token)) => query.push(("continuation-token", token.clone())),
        Some(Next::Marker(key)) => query.push(("marker", key.clone())),
        None => {}
    }
    client.document(&Call { query: &query, ..Call::new(Method::GET, Intent::List) }).await
}

/// As [`store::Store::list`] says.
pub(crate) async fn list(
    client: &Client,
    folder: Option<&Key>,
    prefix: &str,
    shallow: bool,
    each: &mut dyn FnMut(Entry) -> Result<(), Error>,
) -> Result<(), Error> {
    let base = folder.map_or_else(|| client.prefix().to_owned(), |key| client.full(&format!("{key}/")));
    let whole = format!("{base}{prefix}");
    let mut next = None;
    loop {
        let page = page(client, &whole, shallow, next.as_ref()).await?;
        let encoding = page.encoding_type.as_deref();
        let mut last = None;
        let mut entries = Vec::with_capacity(page.contents.len() + page.common_prefixes.len());
        for one in &page.common_prefixes {
            entries.push((decode(&one.prefix, encoding), None));
        }
        for one in &page.contents {
            let time: Timestamp = one.last_modified.parse().unwrap_or(Timestamp::UNIX_EPOCH);
            entries.push((decode(&one.key, encoding), Some(Meta { size: one.size, time, content: None })));
        }
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (key, meta) in entries {
            // a key that equals the folder itself is what some tools make of a folder
            if let Some(name) = key.strip_prefix(&base).filter(|name| !name.is_empty()) {
                let name = name.to_owned();
                each(meta.map_or_else(|| Entry::Folder(name.clone()), |meta| Entry::Object(name.clone(), meta)))?;
            }
            last = Some(key);
        }
        if !page.is_truncated {
            return Ok(());
        }
        let then = match (page.next_continuation_token, page.next_marker, last) {
            (Some(token), _, _) => Next::Token(token),
            (None, Some(marker), _) => Next::Marker(decode(&marker, encoding)),
            (None, None, Some(key)) => Next::Marker(key), // a server of the first version
            (None, None, None) => {
                return Err(Error::Corrupt("the list breaks off, and does not say where to go on".into()));
            }
        };
        if next.replace(then) == next {
            return Err(Error::Corrupt("the list goes on where it was, and would not end".into()));
        }
    }
}

/// As [`store::Store::which`] says: names that begin alike cost one list, others a look each.
pub(crate) async fn which(client: &Client, keys: &[Key]) -> Result<Vec<Option<Meta>>, Error> {
    let folder = |key: &str| key.rfind('/').map_or(0, |at| at + 1);
    let common = keys.iter().skip(1).fold(keys.first().map_or("", Key::as_str).to_owned(), |common, key| {
        let same = common.char_indices().zip(key.as_str().chars()).take_while(|((_, a), b)| a == b);
        same.map(|((_, c), _)| c).collect()
    });
    if keys.len() < 2 || common.len() < folder(keys[0].as_str()) + ALIKE {
        let mut found = Vec::new();
        for key in keys {
            found.push(object::head(client, key).await?.map(|object| object.meta()));
        }
        return Ok(found);
    }
    let mut found: BTreeMap<String, Meta> = BTreeMap::new();
    list(client, None, &common, false, &mut |entry| {
        if let Entry::Object(name, meta) = entry
            && keys.iter().any(|key| key.as_str() == name)
        {
            found.insert(name, meta);
        }
        Ok(())
    })
    .await?;
    Ok(keys.iter().map(|key| found.get(key.as_str()).cloned()).collect())
}
