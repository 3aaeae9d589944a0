//! The data directory on disk: whose it is, and where its tablespaces are.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use pg::ControlFile;
use tool::{Failure, Status};

/// A tablespace that a link leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tablespace {
    /// Its number, the name of the link.
    pub oid: u32,
    /// What the link says, without a slash at the end.
    pub location: String,
}

/// Reads `global/pg_control` below `root`.
///
/// # Errors
/// 66 where it is not there, 78 for an unknown version or build, 65 where it stays corrupt.
pub fn control(root: &Path) -> Result<ControlFile, Failure> {
    ControlFile::read(root).map_err(|e| {
        let failure = Failure::io(format_args!("cannot read {}/global/pg_control", root.display()), &e);
        match e.kind() {
            ErrorKind::NotFound => failure.hint(format!("{} is no data directory.", root.display())),
            ErrorKind::PermissionDenied => failure.hint("pg-snapshot must run as the owner of the data directory."),
            _ => failure,
        }
    })
}

/// The tablespaces below `root/pg_tblspc`, in order of their numbers; in-place ones are none of them.
///
/// `known` are the numbers in the catalogue: what it has must be there, with the directory `version` of this cluster
/// in it.  A link that it does not have, and that leads nowhere, is none.  A location may itself be a link, as
/// `/srv/fast` often is; PostgreSQL does not mind, and neither do we.
///
/// # Errors
/// 78 for a location that is missing, has nothing of this cluster, is relative, or is inside the data directory or
/// another tablespace.
pub fn tablespaces(root: &Path, known: &BTreeSet<u32>, version: &str) -> Result<Vec<Tablespace>, Failure> {
    let dir = root.join("pg_tblspc");
    let cannot = |path: &Path, e: &std::io::Error| Failure::io(format_args!("cannot read {}", path.display()), e);
    let mut found: Vec<(Tablespace, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(&dir).map_err(|e| cannot(&dir, &e))? {
        let entry = entry.map_err(|e| cannot(&dir, &e))?;
        let Some(oid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let link = entry.path();
        let target = match link.read_link() {
            Ok(target) => target,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => continue, // gone; in place
            Err(e) => return Err(cannot(&link, &e)),
        };
        let refuse = |why: &str| {
            let text = format!("the tablespace {oid} at {} {why}", target.display());
            Failure::new(Status::Config, text)
        };
        if !target.is_absolute() {
            return Err(refuse("is a relative link").hint("Link pg_tblspc to it by its whole path."));
        }
        let real = match target.canonicalize() {
            Ok(real) => real,
            Err(e) if e.kind() == ErrorKind::NotFound && !known.contains(&oid) => continue,
            Err(e) => return Err(refuse(&format!("cannot be reached: {}", tool::reason(&e)))),
        };
        if real.starts_with(root) || root.starts_with(&real) {
            return Err(refuse("is not apart from the data directory")
                .hint("ALTER TABLESPACE cannot move it: make one elsewhere, move the relations, drop this one."));
        }
        if known.contains(&oid)
            && let Err(e) = std::fs::metadata(real.join(version))
        {
            return Err(refuse(&format!("has no {version} that can be read: {}", tool::reason(&e)))
                .hint("Is its disk mounted?  The server has relations there."));
        }
        let text = target.to_str().ok_or_else(|| refuse("has a name that is not UTF-8, which no backup can record"))?;
        let trimmed = text.trim_end_matches('/');
        found.push((Tablespace { oid, location: trimmed.to_owned() }, real));
    }
    found.sort_by_key(|(tablespace, _)| tablespace.oid);
    for (i, (a, inner)) in found.iter().enumerate() {
        let within = |(b, outer): &&(Tablespace, PathBuf)| a.oid != b.oid && inner.starts_with(outer);
        if let Some((b, _)) = found[..i].iter().chain(&found[i + 1..]).find(within) {
            let (x, y) = (a.oid, b.oid);
            let text = format!("the tablespace {x} at {} is inside the tablespace {y} at {}", a.location, b.location);
            return Err(Failure::new(Status::Config, text));
        }
    }
    Ok(found.into_iter().map(|(tablespace, _)| tablespace).collect())
}

/// The directory of this cluster in each tablespace: `PG_15_202209061` (`TABLESPACE_VERSION_DIRECTORY` in
/// common/relpath.h, 9.0 to 18).
pub fn version_directory(control: &ControlFile) -> Option<String> {
    Some(format!("PG_{}_{}", control.major?, control.catalog_version))
}

/// A directory by its real path.
///
/// # Errors
/// 66, 77 or 74 as it is missing, closed or broken.
pub fn real(path: &Path) -> Result<PathBuf, Failure> {
    let real = path.canonicalize().map_err(|e| {
        let shown = String::from_utf8_lossy(path.as_os_str().as_bytes());
        Failure::io(format_args!("cannot find the directory {shown}"), &e)
    })?;
    if real.is_dir() {
        return Ok(real);
    }
    Err(Failure::new(Status::Usage, format!("{} is no directory", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn asked(root: &Path, known: &[u32]) -> Result<Vec<Tablespace>, String> {
        let root = root.canonicalize().map_err(|e| e.to_string())?;
        tablespaces(&root, &known.iter().copied().collect(), "PG_15").map_err(|f| f.text().to_owned())
    }

    #[test]
    fn links_lead_to_tablespaces_and_directories_are_in_place() -> Outcome {
        let (root, there) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let links = root.path().join("pg_tblspc");
        std::fs::create_dir_all(links.join("16390"))?;
        let location = format!("{}/", there.path().display());
        symlink(&location, links.join("16384"))?;
        symlink("/nowhere/at/all", links.join("16385"))?;
        symlink("/etc", links.join("README"))?;
        let wanted = Tablespace { oid: 16384, location: there.path().display().to_string() };
        let why = asked(root.path(), &[16384]).expect_err("its content is away");
        assert!(why.contains("16384") && why.contains("has no PG_15"), "{why}");
        std::fs::create_dir(there.path().join("PG_15"))?;
        assert_eq!(asked(root.path(), &[16384]), Ok(vec![wanted]));
        let why = asked(root.path(), &[16384, 16385]).expect_err("a tablespace is missing");
        assert!(why.contains("16385") && why.contains("no such file"), "{why}");
        Ok(())
    }

    #[test]
    fn tablespaces_stand_apart_from_the_data_and_from_each_other() -> Outcome {
        let (root, there) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let links = root.path().join("pg_tblspc");
        std::fs::create_dir_all(&links)?;
        std::fs::create_dir_all(there.path().join("in"))?;
        for (target, why) in [
            (root.path().join("pg_tblspc"), "not apart"),
            (PathBuf::from("../x"), "relative"),
            (there.path().to_owned(), "inside the tablespace 16384"),
            (there.path().join("in"), "inside the tablespace 16384"),
        ] {
            symlink(there.path(), links.join("16384"))?;
            symlink(&target, links.join("16385"))?;
            let said = asked(root.path(), &[]).expect_err(why);
            assert!(said.contains(why) || said.contains("inside the tablespace 16385"), "{said}");
            std::fs::remove_file(links.join("16384"))?;
            std::fs::remove_file(links.join("16385"))?;
        }
        Ok(())
    }
}
