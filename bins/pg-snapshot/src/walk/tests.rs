//! The walk over small trees made by hand; what real servers have is in tests/.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::*;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A tree with these files; a name that ends in `/` is a directory.
fn tree(names: &[&str]) -> io::Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    for name in ["PG_VERSION", "base/", "global/pg_control", "pg_wal/archive_status/"].iter().chain(names) {
        let path = dir.path().join(name);
        if name.ends_with('/') {
            std::fs::create_dir_all(path)?;
        } else {
            std::fs::create_dir_all(path.parent().unwrap_or(dir.path()))?;
            std::fs::write(path, name)?;
        }
    }
    Ok(dir)
}

/// The list of a tree as "TYPE MEMBER" words, the end record last.
fn list(dir: &Path, oids: &[u32]) -> Result<Vec<String>, Failure> {
    let mut out = Vec::new();
    walk(dir, &oids.iter().copied().collect(), "PG_15_202209061", &mut out)?;
    let text = String::from_utf8_lossy(&out);
    let strings: Vec<&str> = text.split_terminator('\0').collect();
    let (end, entries) = strings.split_last().expect("an end");
    let mut words: Vec<String> = entries.chunks(3).map(|e| format!("{} {}", &e[0][..1], e[1])).collect();
    words.push((*end).to_owned());
    Ok(words)
}

fn said(result: Result<Vec<String>, Failure>) -> Vec<String> {
    result.unwrap_or_else(|f| vec![f.text().to_owned()])
}

#[test]
fn the_order_is_by_bytes_with_the_control_file_last() -> Outcome {
    let dir =
        tree(&["base/5/1259", "base/5/1259_fsm", "base/5/1259.1", "base/5/PG_VERSION", "pg_xact/0000", "a b\nc"])?;
    let wanted = [
        "d /",
        "f /PG_VERSION",
        "f /a b\nc",
        "d /base",
        "d /base/5",
        "r /base/5/1259",
        "r /base/5/1259.1",
        "f /base/5/1259_fsm",
        "f /base/5/PG_VERSION",
        "d /global",
        "d /pg_wal",
        "d /pg_xact",
        "f /pg_xact/0000",
        "c /global/pg_control",
    ];
    let found = said(list(dir.path(), &[]));
    assert_eq!(found[..wanted.len()], wanted);
    assert!(found[wanted.len()].starts_with("E 14 "), "{found:?}");
    Ok(())
}

#[test]
fn what_the_server_makes_anew_is_left_out() -> Outcome {
    let dir = tree(&[
        "postmaster.pid",
        "backup_label.old",
        "standby.signal",
        "log/a.log",
        "pg_replslot/s/state",
        "pg_wal/000000010000000000000001",
        "base/pgsql_tmp/pgsql_tmp1.0",
        "base/5/t3_16384",
        "base/5/16400",
        "base/5/16400_init",
        "base/5/16400_fsm",
        "base/5/pg_internal.init",
        "ext/log/data",
    ])?;
    let found = said(list(dir.path(), &[]));
    let below: Vec<_> =
        found.iter().filter(|e| !e.contains("global") && !e.starts_with('E')).map(String::as_str).collect();
    let wanted = [
        "d /",
        "f /PG_VERSION",
        "d /base",
        "d /base/5",
        "f /base/5/16400_init",
        "d /base/pgsql_tmp",
        "d /ext",
        "d /ext/log",
        "f /ext/log/data",
        "d /log",
        "d /pg_replslot",
        "d /pg_wal",
    ];
    assert_eq!(below, wanted);
    Ok(())
}

#[test]
fn tablespaces_are_followed_into_this_versions_directory_only() -> Outcome {
    let space = tree(&["PG_15_202209061/5/16385", "PG_14_202107181/5/1", "lost+found/"])?;
    let dir = tree(&["pg_tblspc/900/PG_15_202209061/5/1"])?;
    symlink(space.path(), dir.path().join("pg_tblspc/16384"))?;
    symlink(space.path(), dir.path().join("pg_tblspc/16999"))?;
    let found = said(list(dir.path(), &[16384]));
    let below: Vec<_> = found.iter().filter(|e| e.contains("pg_tblspc")).map(String::as_str).collect();
    let wanted = [
        "d /pg_tblspc",
        "d /pg_tblspc/16384/PG_15_202209061",
        "d /pg_tblspc/16384/PG_15_202209061/5",
        "r /pg_tblspc/16384/PG_15_202209061/5/16385",
        "d /pg_tblspc/900",
        "d /pg_tblspc/900/PG_15_202209061",
        "d /pg_tblspc/900/PG_15_202209061/5",
        "r /pg_tblspc/900/PG_15_202209061/5/1",
    ];
    assert_eq!(below, wanted);
    Ok(())
}

#[test]
fn links_are_kept_but_never_where_they_would_hide_data() -> Outcome {
    let elsewhere = tree(&["archive_status/"])?;
    let dir = tree(&["base/5/1"])?;
    std::fs::remove_dir_all(dir.path().join("pg_wal"))?;
    symlink(elsewhere.path(), dir.path().join("pg_wal"))?;
    symlink("../etc/pg.conf", dir.path().join("postgresql.conf"))?;
    let _socket = UnixListener::bind(dir.path().join(".s.PGSQL.5432"))?;
    let found = said(list(dir.path(), &[]));
    for entry in ["d /pg_wal", "l /postgresql.conf"] {
        assert!(found.iter().any(|e| e == entry), "{entry} in {found:?}");
    }
    assert!(!found.iter().any(|e| e.contains(".s.PGSQL")));

    for name in ["base/6", "base/5/16384", "pg_xact"] {
        symlink(elsewhere.path(), dir.path().join(name))?;
        assert!(said(list(dir.path(), &[]))[0].contains("is a symbolic link to"), "{name}");
        std::fs::remove_file(dir.path().join(name))?;
    }
    Ok(())
}

#[test]
fn a_directory_without_a_control_file_is_no_cluster() -> Outcome {
    let dir = tree(&[])?;
    std::fs::remove_file(dir.path().join("global/pg_control"))?;
    assert!(said(list(dir.path(), &[]))[0].contains("global/pg_control: no such file"));
    Ok(())
}
