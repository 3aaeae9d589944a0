"""Bad input: one clear error with the right status, nothing lost, nothing half done left visible."""

import json
import os
import pathlib
import shutil
import socket

import pytest

import strict_reader
from lib import need, story


@pytest.fixture
def pg(rig):
    return story.archived(rig, small=True)


def refused(rig, pg, result, status=None):
    story.one_error(result)
    if status is not None:
        assert result.status in (status if isinstance(status, tuple) else (status,)), result
    assert story.names(rig.settings["WALG_FILE_PREFIX"]) == []


def test_a_wrong_directory_is_not_backed_up(rig, pg):
    env = pg.env()
    for path in (rig.mkdir("empty"), rig.dir / "absent", rig.write("file", "x")):
        refused(rig, pg, rig.walpipe("backup-push", path, env=env, status="fail"), 66)
    other = rig.cluster("other", archive=False)
    r = rig.walpipe("backup-push", other.data, env=env, status="fail")
    refused(rig, pg, r, 78)
    # a copy of the same cluster is not the server's directory either
    pg.sql("checkpoint")
    copy = rig.copy(pg.data, "copy")
    refused(rig, pg, rig.walpipe("backup-push", copy, env=env, status="fail"), 78)


def test_another_cluster_in_the_place_of_the_server_s_is_not_backed_up(rig):
    """As it looks from another machine of the same paths: the identity alone tells."""
    rig.want_root("mounting")
    pg = story.archived(rig, small=True, archive=False)
    other = rig.cluster("other", archive=False)
    user = [f"--{k}={v}" for k, v in (("reuid", rig.session.user.pw_uid), ("regid", rig.session.user.pw_gid))]
    there = ["unshare", "-m", "sh", "-c", 'mount --bind "$1" "$2"; shift 2; exec "$@"', "sh", other.data, pg.data, "setpriv", *user, "--clear-groups"]
    r = rig.run(*there, "walpipe", "backup-push", "--no-archive-check", pg.data, env=pg.env(), root=True, status="fail")
    refused(rig, pg, r, 78)
    assert "the server that answers is cluster" in r.err


def test_no_server_and_no_right_password(rig, pg):
    nowhere = {**pg.env(), "PGHOST": str(rig.mkdir("nosocket"))}
    refused(rig, pg, rig.walpipe("backup-push", pg.data, env=nowhere, status="fail"), 69)
    pg.sql("create role bob login password 'right' superuser; create role eve login password 'weak'")
    hba = pg.data / "pg_hba.conf"
    hba.write_text("local all bob,eve scram-sha-256\nlocal all all trust\n")
    pg.sql("select pg_reload_conf()")
    bob = {**pg.env(), "PGUSER": "bob"}
    r = rig.walpipe("backup-push", pg.data, env={**bob, "PGPASSWORD": "wrong"}, status="fail")
    refused(rig, pg, r, 77)
    assert "wrong" not in r.err.replace("wrong password", "")
    refused(rig, pg, rig.walpipe("backup-push", pg.data, env=bob, status="fail"), (77, 78, 69))
    refused(rig, pg, rig.walpipe("backup-push", pg.data, env={**pg.env(), "PGUSER": "nobody_here"}, status="fail"))
    r = rig.walpipe("backup-push", pg.data, env={**pg.env(), "PGUSER": "eve", "PGPASSWORD": "weak"}, status="fail")
    refused(rig, pg, r, 77)
    rig.walpipe("backup-push", pg.data, env={**bob, "PGPASSWORD": "right"})
    # ~/.pgpass works as libpq's
    rig.write("home/.pgpass", "*:*:*:bob:right\n", 0o600)
    pg.switch()
    rig.walpipe("backup-push", pg.data, env=bob)
    assert len(story.names(rig.settings["WALG_FILE_PREFIX"])) == 2


def test_a_server_that_does_not_archive_is_said_so(rig):
    rig.repo()
    pg = story.archived(rig, small=True, archive=False)
    r = rig.walpipe("backup-push", pg.data, env=pg.env({"WALPIPE_ARCHIVE_TIMEOUT": "2"}), status="fail")
    refused(rig, pg, r, 78)
    assert "archive_mode is off" in r.err
    pg.stop()
    pg.configure(archive_mode="on", archive_command="'false'")
    pg.start()
    before = pg.sql("select checkpoint_lsn from pg_control_checkpoint()")
    r = rig.walpipe("backup-push", pg.data, env=pg.env({"WALPIPE_ARCHIVE_TIMEOUT": "2"}), status="fail")
    refused(rig, pg, r, 75)
    # no backup was even begun: that would have been a checkpoint
    assert pg.sql("select checkpoint_lsn from pg_control_checkpoint()") == before
    # archiving to another place is not archiving here
    pg.configure(archive_command="'true'")
    pg.sql("select pg_reload_conf()")
    r = rig.walpipe("backup-push", pg.data, env=pg.env({"WALPIPE_ARCHIVE_TIMEOUT": "2"}), status="fail")
    refused(rig, pg, r, 75)


def test_archiving_that_stops_in_mid_backup_means_no_sentinel(rig, pg):
    """The start was archived, the stop is not."""
    import time
    rig.settings["WALG_DISK_RATE_LIMIT"] = str(4 << 20)
    p = rig.spawn("walpipe", "backup-push", pg.data, env=pg.env({"WALPIPE_ARCHIVE_TIMEOUT": "3"}), stderr=open(rig.dir / "push.err", "wb"))
    repo = rig.settings["WALG_FILE_PREFIX"]
    for _ in range(1000):
        if [f for _, _, fs in os.walk(repo) for f in fs if "part_" in f]:
            break
        time.sleep(0.01)
    pg.configure(archive_command="'false'")
    pg.sql("select pg_reload_conf()")
    assert p.wait(60) == 75, (rig.dir / "push.err").read_text()
    assert story.names(repo) == []


def test_a_running_cluster_is_no_restore_target(rig, pg):
    pg.sql("create table t as select g from generate_series(1, 10) g")
    pg.backup()
    want = pg.digests()
    r = story.fetch(rig, pg.data, status=73)
    story.one_error(r)
    assert "a server may be running there" in r.err
    assert pg.running() and pg.digests() == want
    pg.stop()
    pg.start()
    assert pg.digests() == want


def test_a_directory_that_is_not_empty_is_no_restore_target(rig, pg):
    pg.backup()
    dest = rig.mkdir("dest")
    rig.write("dest/precious", "x")
    r = story.fetch(rig, dest, status=73)
    story.one_error(r)
    assert os.listdir(dest) == ["precious"]
    r = story.fetch(rig, dest / "precious", status="fail")
    story.one_error(r)
    assert (dest / "precious").read_text() == "x"
    # an empty one that is there already is used
    story.fetch(rig, rig.mkdir("empty"), "LATEST", "--files-only")
    assert (rig.dir / "empty/global/pg_control").exists()


def test_a_name_that_is_not_there(rig, pg):
    r = rig.walpipe("backup-fetch", rig.dir / "d", "LATEST", status=66)
    story.one_error(r)
    assert rig.walpipe("backup-list").out == ""
    assert rig.walpipe("backup-list", "--json").out.strip() == "[]"
    pg.backup()
    for name in ("base_0000000100000000000000FF", "nonsense", "../../etc", ""):
        r = story.fetch(rig, rig.dir / "d", name, status="fail")
        story.one_error(r)
        assert r.status in (64, 66), r
        assert not (rig.dir / "d").exists()


@pytest.mark.parametrize("words", [["backup-push"], ["backup-push", "a", "b"], ["backup-push", "--nonsense", "/x"], ["backup-fetch"],
                                   ["backup-fetch", "/x"], ["wal-push"], ["wal-push", "a", "b"], ["wal-fetch"], ["wal-fetch", "a"],
                                   ["backup-list", "surplus"], ["nonsense"], ["wal-pus"], []])
def test_wrong_words_are_64_and_one_line(rig, words):
    rig.repo()
    r = rig.walpipe(*words, status=64)
    assert r.err.strip()
    if words == ["wal-pus"]:
        assert "wal-push" in r.err


def test_an_unreadable_file_fails_the_backup(rig, pg):
    if rig.session.root:
        path = pg.data / "base" / "secret"
        path.write_text("x")
        os.chown(path, 0, 0)
        path.chmod(0o600)
    else:
        path = pg.data / "base" / "secret"
        path.write_text("x")
        path.chmod(0)
    r = rig.walpipe("backup-push", pg.data, env=pg.env(), status="fail")
    refused(rig, pg, r, 77)
    assert "secret" in r.err


def test_another_cluster_s_wal_is_refused(rig, pg):
    pg.backup()
    other = rig.cluster("other", conf={"archive_command": "'false'"}).start()
    for i in range(8):      # to a name that the repository does not have yet
        other.sql(f"create table t{i} (a int)")
        name = other.sql("select pg_walfile_name(pg_current_wal_lsn())")
        other.sql("select pg_switch_wal()")
    assert not os.path.exists(rig.settings["WALG_FILE_PREFIX"] + f"/wal_005/{name}.lz4")
    before = sorted(os.listdir(rig.settings["WALG_FILE_PREFIX"] + "/wal_005"))
    r = rig.walpipe("wal-push", other.data / "pg_wal" / name, cwd=other.data, status=78)
    story.one_error(r)
    # and a file of the other cluster in the archiver's hands
    shutil.copy2(other.data / "pg_wal" / name, pg.data / "pg_wal" / "0000000100000000000000EE")
    rig.own(pg.data / "pg_wal" / "0000000100000000000000EE")
    r = rig.walpipe("wal-push", "pg_wal/0000000100000000000000EE", cwd=pg.data, status=65)
    story.one_error(r)
    assert "of another cluster" in r.err
    assert sorted(os.listdir(rig.settings["WALG_FILE_PREFIX"] + "/wal_005")) == before
    r = rig.walpipe("backup-push", other.data, env=other.env({"WALPIPE_ARCHIVE_TIMEOUT": "3"}), status=78)
    story.one_error(r)
    assert len(story.names(rig.settings["WALG_FILE_PREFIX"])) == 1


def test_another_cluster_s_repository_in_the_place_of_ours_is_refused(rig, pg):
    """Two disks were mounted the wrong way round after ours had been seen there."""
    pg.backup()
    ours = pathlib.Path(rig.settings["WALG_FILE_PREFIX"])
    rig.settings["WALG_FILE_PREFIX"] = str(rig.mkdir("theirs"))
    story.archived(rig, "other", small=True).backup()
    rig.settings["WALG_FILE_PREFIX"] = str(ours)
    theirs = rig.dir / "theirs"
    ours.rename(rig.dir / "away")
    theirs.rename(ours)
    before = sorted(os.listdir(ours / "wal_005"))
    pg.sql("create table t (a int)")
    name = pg.sql("select pg_walfile_name(pg_current_wal_lsn())")
    pg.sql("select pg_switch_wal()")
    r = rig.walpipe("wal-push", f"pg_wal/{name}", cwd=pg.data, status=78)
    story.one_error(r)
    assert sorted(os.listdir(ours / "wal_005")) == before
    ours.rename(theirs)
    (rig.dir / "away").rename(ours)
    rig.walpipe("wal-push", f"pg_wal/{name}", cwd=pg.data)


def test_a_segment_that_is_there_is_durable_before_it_is_acknowledged(rig):
    """Whoever stored it may have been killed before the directory was synced."""
    if not shutil.which("strace"):
        need.skip("strace", "not installed")
    pg = story.archived(rig, small=True, archive=False)
    pg.sql("create table t (a int)")
    name = pg.sql("select pg_walfile_name(pg_current_wal_lsn())")
    pg.sql("select pg_switch_wal()")
    rig.walpipe("wal-push", f"pg_wal/{name}", cwd=pg.data)
    for limit in (None, "100000000"):
        r = rig.run("strace", "-f", "-qq", "-y", "-o", rig.dir / "trace", "-e", "trace=fsync,fdatasync", "walpipe", "wal-push", f"pg_wal/{name}",
                    cwd=pg.data, env={"WALG_NETWORK_RATE_LIMIT": limit})
        assert "stored already" in r.err
        trace, folder = (rig.dir / "trace").read_text(), rig.settings["WALG_FILE_PREFIX"] + "/wal_005"
        assert f"<{folder}/{name}.lz4>" in trace and f"<{folder}>" in trace, trace


def test_a_backup_whose_name_cannot_be_printed_is_not_called_none(rig):
    pg = story.archived(rig, small=True)
    for out, code in ((">/dev/full", 74), ("| true", 141)):
        r = rig.run("sh", "-c", f"{{ walpipe backup-push {pg.data}; echo $? >status; }} {out}", env=pg.env())
        assert int((rig.dir / "status").read_text()) == code
        assert "is complete" in r.err and "no backup was made" not in r.err, r.err
    assert len(story.names(rig.settings["WALG_FILE_PREFIX"])) == 2


def test_the_data_directory_may_be_a_setting(rig):
    pg = story.archived(rig, small=True)
    assert rig.walpipe("backup-push", env={**pg.env(), "PGDATA": None, "WALG_CONFIG_PATH": rig.write("c.json", json.dumps({"PGDATA": str(pg.data)}))})


def test_wal_push_says_what_is_damaged_and_what_is_closed(rig):
    pg = story.archived(rig, small=True, archive=False)
    name = pg.sql("select pg_walfile_name(pg_current_wal_lsn())")
    pg.sql("select pg_switch_wal()")
    rig.walpipe("wal-push", f"pg_wal/{name}", cwd=pg.data)
    repo = pathlib.Path(rig.settings["WALG_FILE_PREFIX"])
    stored = repo / f"wal_005/{name}.lz4"
    good = stored.read_bytes()
    for bad in (good[:-9], b"", b"garbage"):
        stored.write_bytes(bad)
        r = rig.walpipe("wal-push", f"pg_wal/{name}", cwd=pg.data, status=65)
        assert "cannot store" in r.err and f"{name}.lz4" in r.err and "move it away" in r.err, r.err
    stored.write_bytes(good)
    if rig.session.user:
        rig.walpipe("backup-push", "--no-archive-check", pg.data, env=pg.env())
        pg.sql("create table t (a int)")
        name = pg.sql("select pg_walfile_name(pg_current_wal_lsn())")
        pg.sql("select pg_switch_wal()")
        rig.walpipe("wal-push", f"pg_wal/{name}", cwd=pg.data)      # which remembers the repository
        repo.chmod(0)
        r = rig.walpipe("wal-push", f"pg_wal/{name}", cwd=pg.data, status=77)
        repo.chmod(0o755)
        assert "permission denied" in r.err and "remove" not in r.err, r.err


def test_wal_push_takes_the_same_and_refuses_the_different(rig):
    pg = story.archived(rig, small=True, archive=False)
    pg.sql("create table t (a int)")
    name = pg.sql("select pg_walfile_name(pg_current_wal_lsn())")
    pg.sql("select pg_switch_wal()")
    path = pg.data / "pg_wal" / name
    rig.walpipe("wal-push", f"pg_wal/{name}", cwd=pg.data)
    stored = rig.settings["WALG_FILE_PREFIX"] + f"/wal_005/{name}.lz4"
    was = os.stat(stored)
    rig.walpipe("wal-push", f"pg_wal/{name}", cwd=pg.data)
    # equal content under another extension is the same as well
    rig.walpipe("wal-push", path, cwd=pg.data, env={"WALG_COMPRESSION_METHOD": "none"})
    assert os.stat(stored).st_ino == was.st_ino and len(os.listdir(os.path.dirname(stored))) == 1
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    for method in ("lz4", "none"):
        r = rig.walpipe("wal-push", f"pg_wal/{name}", cwd=pg.data, env={"WALG_COMPRESSION_METHOD": method}, status=73)
        story.one_error(r)
    assert strict_reader.decode(stored) == good
    # short, long, missing, wrongly named, and what is no WAL at all
    path.write_bytes(good[:-8192])
    assert 0 < rig.walpipe("wal-push", path, cwd=pg.data, status="fail").status <= 125
    wal = pg.data / "pg_wal"
    for bad, content in (("0000000100000000000000AA", good), ("0000000200000000000000AB", good[:8192]), ("foo.txt", b"x"),
                         ("00000001000000000000", good), ("0000000100000000000000AC", b""), ("0000000100000000000000AD", bytes(16 << 20))):
        (wal / bad).write_bytes(content)
        rig.own(wal / bad)
        r = rig.walpipe("wal-push", wal / bad, cwd=pg.data, status="fail")
        assert r.status <= 125, (bad, r)
        story.one_error(r)
    assert rig.walpipe("wal-push", wal / "0000000100000000000000AE", cwd=pg.data, status="fail").status <= 125
    assert len(os.listdir(os.path.dirname(stored))) == 1


def test_history_files_and_partial_segments_have_their_own_rules(rig):
    pg = story.archived(rig, small=True, archive=False)
    wal = pg.data / "pg_wal"
    repo = rig.settings["WALG_FILE_PREFIX"]
    (wal / "00000002.history").write_text("1\t0/3000000\tno recovery target specified\n")
    rig.own(wal / "00000002.history")
    rig.walpipe("wal-push", "pg_wal/00000002.history", cwd=pg.data)
    rig.walpipe("wal-push", "pg_wal/00000002.history", cwd=pg.data)
    (wal / "00000002.history").write_text("1\t0/4000000\tno recovery target specified\n")
    r = rig.walpipe("wal-push", "pg_wal/00000002.history", cwd=pg.data, status=73)
    story.one_error(r)
    (wal / "00000003.history").write_text("not a history\n")
    rig.own(wal / "00000003.history")
    rig.walpipe("wal-push", "pg_wal/00000003.history", cwd=pg.data, status=65)
    name = pg.sql("select pg_walfile_name(pg_current_wal_lsn())")
    shutil.copy2(wal / name, wal / (name + ".partial"))
    rig.own(wal / (name + ".partial"))
    rig.walpipe("wal-push", f"pg_wal/{name}.partial", cwd=pg.data)
    assert sorted(os.listdir(repo + "/wal_005")) == [name + ".partial.lz4", "00000002.history.lz4"]
    rig.strict()
    rig.walpipe("wal-fetch", "00000002.history", rig.dir / "h", cwd=pg.data)
    assert (rig.dir / "h").read_text() == "1\t0/3000000\tno recovery target specified\n"
    # a partial segment is never taken for the whole one
    rig.walpipe("wal-fetch", name, rig.dir / "s", cwd=pg.data, status=74)
    assert not (rig.dir / "s").exists()


def test_garbage_in_the_repository_does_not_hide_what_is_there(rig, pg):
    name = pg.backup()
    repo = rig.settings["WALG_FILE_PREFIX"]
    base = f"{repo}/basebackups_005"
    for path, content in ((f"{base}/foo", "x"), (f"{base}/base_x_backup_stop_sentinel.json", "{"),
                          (f"{base}/base_0000000100000000000000EE_backup_stop_sentinel.json", ""),
                          (f"{base}/base_0000000100000000000000ED_backup_stop_sentinel.json", "[1,2"),
                          (f"{repo}/wal_005/foo.lz4", "x"), (f"{repo}/lost+found", "x"),
                          (f"{base}/{name}_backup_stop_sentinel.json.tmp.20260101T000000Z-0123456789abcdef", "{}")):
        with open(path, "w", encoding="utf-8") as f:
            f.write(content)
        rig.own(path)
    os.makedirs(f"{base}/base_0000000100000000000000EF/tar_partitions")
    r = rig.walpipe("backup-list")
    assert name in r.out and "tmp" not in r.out
    story.fetch(rig, rig.dir / "copy", name, "--files-only")
    r = story.fetch(rig, rig.dir / "copy2", "base_0000000100000000000000ED", status=65)
    story.one_error(r)
    r = story.fetch(rig, rig.dir / "copy2", "base_0000000100000000000000EF", status=66)
    assert story.absent_or_empty(rig.dir / "copy2")


def test_settings_that_walpipe_cannot_honour_are_refused(rig, pg):
    rig.settings.pop("KILLTEST", None)
    for setting, value in (("WALG_LIBSODIUM_KEY", "x" * 32), ("WALG_PGP_KEY_PATH", "/x"), ("WALG_GPG_KEY_ID", "x"),
                           ("WALG_COMPRESION_METHOD", "lz4"), ("WALG_FILE_PREFIXX", "/x"), ("WALPIPE_NONSENSE", "1"),
                           ("WALG_COMPRESSION_METHOD", "nonsense"), ("WALG_TAR_SIZE_THRESHOLD", "many")):
        r = rig.walpipe("backup-push", pg.data, env=pg.env({setting: value}), status=78)
        story.one_error(r)
        assert setting in r.err
        if setting == "WALG_COMPRESION_METHOD":
            assert "WALG_COMPRESSION_METHOD" in r.err
    assert story.names(rig.settings["WALG_FILE_PREFIX"]) == []
    # what touches speed or logs only is a warning at most
    r = rig.walpipe("backup-push", pg.data, env=pg.env({"WALG_LOG_LEVEL": "DEVEL", "WALG_STATSD_ADDRESS": "localhost:1"}))
    assert len(story.names(rig.settings["WALG_FILE_PREFIX"])) == 1


def test_a_config_file_sets_what_the_environment_does_not(rig, pg):
    repo = rig.settings.pop("WALG_FILE_PREFIX")
    path = rig.write("walg.json", json.dumps({"WALG_FILE_PREFIX": repo, "WALG_COMPRESSION_METHOD": "none"}))
    pg.sql("select pg_switch_wal()")
    rig.walpipe("backup-push", pg.data, env=pg.env({"WALG_CONFIG_PATH": path, "WALG_COMPRESSION_METHOD": "lz4"}))
    name = story.names(repo)[0]
    assert {p.suffix for p in story.parts(repo, name)} == {".lz4"}
    rig.walpipe("backup-list", env={"WALG_CONFIG_PATH": rig.dir / "absent.json"}, status=78)
    rig.write("walg.yaml", f"WALG_FILE_PREFIX: {repo}\n")
    assert name in rig.walpipe("backup-list", env={"WALG_CONFIG_PATH": rig.dir / "walg.yaml"}).out
    rig.write("home/.walg.json", json.dumps({"WALG_FILE_PREFIX": repo}))
    assert name in rig.walpipe("backup-list").out
    r = rig.walpipe("config", env={"PGPASSWORD": "hunter2", "WALG_CONFIG_PATH": path})
    assert repo in r.out and "hunter2" not in r.out + r.err


def test_no_prefix_is_said_in_words(rig):
    pg = rig.cluster(small=True)
    for words in (["backup-push", pg.data], ["backup-list"], ["wal-push", pg.data / "PG_VERSION"], ["backup-fetch", rig.dir / "x", "LATEST"]):
        r = rig.walpipe(*words, env=pg.env(), status=78)
        assert "WALG_FILE_PREFIX" in r.err
    r = rig.walpipe("wal-fetch", "000000010000000000000001", rig.dir / "x", cwd=pg.data, status=200)
    assert "WALG_FILE_PREFIX" in r.err


def test_no_secret_is_seen_in_the_process_list(rig, pg):
    """A password stays in the environment."""
    assert socket.gethostname()
    import glob
    rig.settings["WALG_DISK_RATE_LIMIT"] = str(3 << 20)
    p = rig.spawn("walpipe", "backup-push", pg.data, env=pg.env({"PGPASSWORD": "hunter2"}))
    seen = 0
    while p.poll() is None:
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(path, "rb") as f:
                    assert b"hunter2" not in f.read()
                    seen += 1
            except OSError:
                pass
    assert p.returncode == 0 and seen
