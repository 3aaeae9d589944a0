//! How a URL or a path names an object in a local directory.

use std::path::{Component, Path, PathBuf};

use store::Key;
use store_file::FileStore;
use tool::{Failure, Status};
use verbs::Place;

/// The words of the file programs beside those of every store.
#[derive(Debug, clap::Args)]
pub struct Root {
    /// URL is below DIR, which must exist; fileput makes what lies between (default: WALG_FILE_PREFIX, where URL is below it)
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

impl Root {
    /// The store and key that `url` names: below the root that was given, else below the repository's, else in the
    /// directory that the object is in.
    ///
    /// # Errors
    /// 64 for what is no path or URL of a file, or lies outside the root.
    pub fn open(&self, url: &str) -> Result<Place, Failure> {
        let path = plain(&path_of(url)?);
        let root = match &self.root {
            Some(root) => {
                let root = plain(root);
                if !path.starts_with(&root) {
                    return Err(Failure::new(Status::Usage, format!("{url} is not below {}", root.display())));
                }
                Some(root)
            }
            None => repository()?.filter(|root| path.starts_with(root)),
        };
        let folder = url.ends_with('/');
        let root = match root {
            Some(root) => root,
            None if folder => path.clone(),
            None => path.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf),
        };
        let root = if root.as_os_str().is_empty() { PathBuf::from(".") } else { root };
        let below = path.strip_prefix(&root).unwrap_or(&path).to_str();
        let below = below.ok_or_else(|| Failure::new(Status::Usage, format!("{url} is not UTF-8")))?;
        let key = match below {
            "" => None,
            below => Some(Key::new(below).map_err(|e| verbs::failure(format_args!("cannot use {url}"), &e))?),
        };
        let store = FileStore::new(&root).on_temporary(Box::new(|path| Box::new(tool::stop::HalfDone::new(path))));
        Ok(Place { store: Box::new(store), key, secrets: (&[], "") })
    }
}

/// The path that a URL says: `/dir`, `dir`, `file:///dir`, `file://localhost/dir`.
fn path_of(url: &str) -> Result<PathBuf, Failure> {
    let path = match url.split_once("://") {
        Some(("file", rest)) => match rest.strip_prefix("localhost").unwrap_or(rest) {
            path if path.starts_with('/') => path,
            _ => return Err(Failure::new(Status::Usage, format!("{url} names another host's file"))),
        },
        Some((scheme, _)) if !scheme.contains('/') => {
            return Err(Failure::new(Status::Usage, format!("{url} is not a file: its scheme is {scheme}")));
        }
        _ => url,
    };
    if path.is_empty() {
        return Err(Failure::new(Status::Usage, "an empty name"));
    }
    Ok(PathBuf::from(path))
}

/// The path without `.` and doubled or trailing slashes; `..` stays, and is refused as part of a key.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, Component::CurDir)).collect()
}

/// The repository's root as it is set, if it is a directory here.
fn repository() -> Result<Option<PathBuf>, Failure> {
    let settings = tool::settings()?;
    let prefix = settings.get("WALG_FILE_PREFIX").or_else(|| settings.get("WALE_FILE_PREFIX"));
    prefix.map(|prefix| path_of(&prefix).map(|path| plain(&path))).transpose()
}
