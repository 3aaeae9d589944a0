//! pg-snapshot and a real server.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

mod rig;

use rig::{Ended, Server};

macro_rules! server {
    ($($line:expr),*) => {
        match Server::start(&[$($line),*]) {
            Some(server) => server,
            None => return,
        }
    };
}

/// The names in a list that is whole: three strings an entry, then the count and the sum of the sizes.
fn names(list: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(list);
    let strings: Vec<&str> = text.strip_suffix('\0').expect("the last NUL").split('\0').collect();
    let (end, entries) = strings.split_last().expect("an end");
    let sizes = entries.chunks(3).map(|e| e[0].split(' ').nth(1).expect("a size").parse::<u64>().expect("a number"));
    assert_eq!(*end, format!("E {} {}", entries.len() / 3, sizes.sum::<u64>()));
    entries.chunks(3).map(|e| format!("{} {}", &e[0][..1], e[1])).collect()
}

#[test]
fn a_backup_is_written_down_with_what_the_server_said() {
    let server = server!();
    server.ask("create unlogged table u as select 1 a; create table t as select 1 a");
    let [logged, unlogged] = ["t", "u"].map(|t| server.ask(&format!("select pg_relation_filepath('{t}')")));
    let script = "cat > list; printf %s \"$WALPIPE_BACKUP ${PGPASSWORD-none}\"; cat \"$WALPIPE_SNAPSHOT\" > start";
    let ended: Ended = server.backup_command(script).env("PGPASSWORD", "secret").output().expect("run").into();
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");

    let read = |name: &str| fs::read_to_string(server.dir.join(name)).expect(name);
    let end: serde_json::Value = serde_json::from_str(&read("out/snapshot.json")).expect("JSON");
    let start: serde_json::Value = serde_json::from_str(&read("start")).expect("JSON");
    let keys = "backup_name start_lsn stop_lsn timeline start_time finish_time system_identifier server_version_num \
        segment_size block_size data_checksums data_directory hostname in_recovery catalog_size tablespaces";
    let found: Vec<&String> = end.as_object().expect("an object").keys().collect();
    assert_eq!(found, keys.split_whitespace().collect::<Vec<_>>());
    let first: BTreeSet<&String> = start.as_object().expect("an object").keys().collect();
    let late = ["stop_lsn", "finish_time", "catalog_size"];
    assert!(found.iter().all(|key| first.contains(key) != late.contains(&key.as_str())), "{first:?}");
    assert_eq!(ended.stdout, format!("{} none", end["backup_name"].as_str().expect("a name")));
    assert_eq!(end["system_identifier"].to_string(), server.ask("select system_identifier from pg_control_system()"));
    let label = read("out/backup_label");
    assert!(label.starts_with(&format!("START WAL LOCATION: {} ", end["start_lsn"].as_str().expect("an LSN"))));
    assert_eq!(read("out/tablespace_map"), "");

    let names = names(&fs::read(server.dir.join("list")).expect("a list"));
    assert_eq!(
        (names.first().map(String::as_str), names.last().map(String::as_str)),
        (Some("d /"), Some("c /global/pg_control"))
    );
    assert!(names.contains(&format!("r /{logged}")) && names.contains(&format!("f /{unlogged}_init")));
    assert!(!names.contains(&format!("r /{unlogged}")) && !names.iter().any(|n| n.ends_with("postmaster.pid")));
}

#[test]
fn a_command_that_fails_or_reads_half_of_the_list_makes_no_backup() {
    let server = server!();
    for (script, status) in
        [("cat >/dev/null; exit 73", 73), (":", 65), ("head -c 100 >/dev/null", 65), ("kill -9 $$", 137)]
    {
        let ended = server.backup(script);
        assert_eq!(ended.status, status, "{script}: {ended:?}");
        assert!(!server.is_backed_up(), "{script}");
    }
    let again: Ended =
        server.snapshot(&["--out"]).arg(server.dir.join("out")).args(["--", "true"]).output().expect("run").into();
    assert_eq!(again.status, 73, "{again:?}"); // start.json is there
}

#[test]
fn a_command_that_speaks_is_not_repeated_unless_it_was_killed() {
    let server = server!();
    for (script, status, said) in [
        ("echo why >&2; exit 73", 73, "why\n"),
        ("echo why >&2; exit 137", 137, "why\n"),
        ("kill -9 $$", 137, "pg-snapshot: sh was ended by signal 9\n"),
    ] {
        let speaks = server.backup_with(&["--command-speaks"], &format!("cat >/dev/null; {script}")).output();
        let ended: Ended = speaks.expect("run").into();
        assert_eq!((ended.status, ended.stderr.as_str()), (status, said), "{ended:?}");
        assert!(!server.is_backed_up(), "{script}");
    }
}

#[test]
fn a_session_that_is_lost_ends_the_command() {
    let server = server!();
    let child = server.backup_command("cat >/dev/null; echo $$ > pid; sleep 60 & sleep 60").spawn().expect("run");
    let pid = server.dir.join("pid");
    server.wait("the command runs", || fs::metadata(&pid).is_ok_and(|m| m.len() > 1));
    let lost = Instant::now();
    server.ask("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'walpipe'");
    let ended = child.wait_with_output().expect("ended");
    assert_eq!(ended.status.code(), Some(69));
    assert!(lost.elapsed() < Duration::from_secs(30), "it ended by itself");
    assert!(!server.is_backed_up());
    let group = fs::read_to_string(pid).expect("a pid").trim().parse().ok().and_then(rustix::process::Pid::from_raw);
    let alive = || rustix::process::test_kill_process_group(group.expect("a pid")).is_ok();
    server.wait("its process group is gone", || !alive());
}

#[test]
fn a_kill_of_pg_snapshot_ends_the_command_and_the_backup() {
    let server = server!();
    let mut child = server.backup_command("cat >/dev/null; echo $$ > pid; exec sleep 60").spawn().expect("run");
    let pid = server.dir.join("pid");
    server.wait("the command runs", || fs::metadata(&pid).is_ok_and(|m| m.len() > 1));
    child.kill().expect("killed");
    child.wait().expect("ended");
    let command = fs::read_to_string(pid).expect("a pid").trim().parse().ok().and_then(rustix::process::Pid::from_raw);
    server.wait("the command is gone", || rustix::process::test_kill_process(command.expect("a pid")).is_err());
    let sessions = "select count(*) from pg_stat_activity where application_name = 'walpipe'";
    server.wait("the session is gone", || server.ask(sessions) == "0");
    assert!(!server.is_backed_up());
    assert_eq!(server.backup("cat >/dev/null").status, 0);
}

#[test]
fn a_switch_prints_the_segment_that_it_closed() {
    let server = server!();
    let open = server.ask("create table t(); select pg_walfile_name(pg_current_wal_insert_lsn())");
    let ended: Ended = server.snapshot(&["--switch-wal"]).output().expect("run").into();
    assert_eq!((ended.status, ended.stdout), (0, format!("{open}\n")));
    server.wait("it is archived", || server.dir.join("archive").join(&open).exists());
}

#[test]
fn what_cannot_be_restored_is_not_started() {
    let server = server!("archive_command = ''");
    let ended = server.backup("cat >/dev/null");
    assert_eq!(ended.status, 78);
    assert!(ended.stderr.contains("archive_command is empty") && ended.stderr.contains("HINT: "), "{ended:?}");
    let unchecked = |words: &[&str]| -> Ended {
        let out = server.dir.join("out");
        let mut command = server.snapshot(&["--no-archive-check", "--out", &out.to_string_lossy()]);
        command.args(words).args(["--", "sh", "-c", "cat >/dev/null"]).output().expect("run").into()
    };
    let other = tempfile::tempdir().expect("a directory");
    let ended = unchecked(&["--data", &other.path().to_string_lossy()]);
    assert_eq!(ended.status, 66, "{ended:?}");
    // A copy has the same identifier: the place decides.
    fs::create_dir(other.path().join("global")).expect("global");
    fs::copy(server.data().join("global/pg_control"), other.path().join("global/pg_control")).expect("copied");
    let ended = unchecked(&["--data", &other.path().to_string_lossy()]);
    assert_eq!(ended.status, 78);
    assert!(ended.stderr.contains("the server's data directory is"), "{ended:?}");
    assert_eq!(unchecked(&[]).status, 0);
}

#[test]
fn a_standby_is_backed_up_until_it_is_promoted() {
    let mut server = server!();
    let standby = server.standby();
    let ended: Ended = standby.snapshot(&["--switch-wal"]).output().expect("run").into();
    assert_eq!((ended.status, ended.stdout.as_str()), (0, ""));
    assert_eq!(standby.backup("cat >/dev/null").status, 0);
    let label = fs::read_to_string(standby.dir.join("out/backup_label")).expect("a label");
    assert!(label.contains("BACKUP FROM: standby"), "{label}");
    let mut command = standby.backup_command("cat >/dev/null; : > runs; sleep 60");
    let child = command.env("WALG_ALIVE_CHECK_INTERVAL", "200ms").spawn().expect("run");
    standby.wait("the command runs", || standby.dir.join("runs").exists());
    standby.ask("select pg_promote()");
    assert_eq!(child.wait_with_output().expect("ended").status.code(), Some(69));
    assert!(!standby.is_backed_up());
}

#[test]
fn a_password_is_taken_from_the_file_and_a_wrong_one_is_77() {
    let server = server!();
    server.ask("create role backup login superuser password 'pass:word'");
    fs::write(server.data().join("pg_hba.conf"), "local all backup scram-sha-256\nlocal all all trust\n").expect("hba");
    server.ask("select pg_reload_conf()");
    let passfile = server.dir.join(".pgpass");
    let socket = server.dir.display();
    fs::write(&passfile, format!("{socket}:5432:*:backup:pass\\:word\n")).expect("a password file");
    let switch = |password: Option<&str>| -> Ended {
        let mut command = server.snapshot(&["--switch-wal"]);
        command.env("PGUSER", "backup").envs(password.map(|p| ("PGPASSWORD", p))).output().expect("run").into()
    };
    fs::set_permissions(&passfile, PermissionsExt::from_mode(0o644)).expect("chmod");
    let open = switch(None);
    assert_eq!(open.status, 77);
    assert!(open.stderr.contains("can be read by others") && open.stderr.contains("HINT: Add a line"), "{open:?}");
    fs::set_permissions(&passfile, PermissionsExt::from_mode(0o600)).expect("chmod");
    assert_eq!(switch(None).status, 0);
    let wrong = switch(Some("guess"));
    assert_eq!((wrong.status, wrong.stderr.lines().count()), (77, 2), "{wrong:?}");
    assert!(!wrong.stderr.contains("guess"));
}

#[test]
fn a_tablespace_is_in_the_list_and_in_the_map() {
    let server = server!();
    let place = server.dir.join("data-b");
    fs::create_dir(&place).expect("a directory");
    let meta = server.data();
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(meta).expect("data"));
    std::os::unix::fs::chown(&place, Some(owner), None).expect("chown");
    fs::set_permissions(&place, PermissionsExt::from_mode(0o700)).expect("chmod");
    server.ask(&format!("create tablespace b location '{}'", place.display()));
    let file = server.ask("create table t tablespace b as select 1 a; select pg_relation_filepath('t')");
    assert_eq!(server.backup("cat > list").status, 0);
    let oid = server.ask("select oid from pg_tablespace where spcname = 'b'");
    let map = fs::read_to_string(server.dir.join("out/tablespace_map")).expect("a map");
    assert_eq!(map, format!("{oid} {}\n", place.display()));
    let names = names(&fs::read(server.dir.join("list")).expect("a list"));
    assert!(names.contains(&format!("r /{file}")) && !names.contains(&format!("l /pg_tblspc/{oid}")));
    let end = fs::read_to_string(server.dir.join("out/snapshot.json")).expect("a snapshot");
    assert!(end.contains(&format!(r#"[{{"oid":{oid},"location":"{}"}}]"#, place.display())), "{end}");
}
