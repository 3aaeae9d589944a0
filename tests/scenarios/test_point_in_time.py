"""Recovery to a point, and recovery that cannot be completed: it never opens a cluster short of its data."""

import json
import os
import pathlib
import shutil
import time

import pytest

import strict_reader
from lib import story
from lib.rig import wait_for


def two_backups(rig):
    """precious is there at the first backup, grows, is dropped; a second backup; the times between."""
    pg = story.archived(rig, small=True)
    pg.sql("create table precious as select g, md5(g::text) from generate_series(1, 1000) g")
    first = pg.backup()
    pg.sql("insert into precious select g, 'later' from generate_series(1, 500) g")
    want = pg.digests()
    pg.sql("select pg_create_restore_point('before_drop')")
    lsn = pg.sql("select pg_current_wal_lsn()")
    before = story.now(pg)
    pg.sql("drop table precious")
    second = pg.backup()
    pg.sql("create table after_all (a int)")
    after = story.now(pg)
    pg.sql("create table too_late (a int)")
    pg.switch()
    return pg, first, second, want, {"time": before, "lsn": lsn, "after": after}


@pytest.fixture
def history(rig):
    pg, first, second, want, points = two_backups(rig)
    pg.destroy()
    back = pg.restored("back", pg.data)
    return rig, pg, back, first, second, want, points


def test_restore_to_a_time_before_the_drop_brings_the_table_back(history):
    rig, pg, back, first, second, want, points = history
    # LATEST with a target: the newest backup that finished before it, not the newest of all
    # (opened, not paused: there the DROP's lock has been replayed, and reading the table would wait for ever)
    said = story.fetch(rig, pg.data, "LATEST", "--target-time", points["time"], "--target-action", "promote")
    assert first in said.out + said.err and second not in said.out
    back.start().wait_recovered()
    assert back.digests() == want
    back.stop()
    back.destroy()
    # and a later target uses the later one
    story.fetch(rig, pg.data, "LATEST", "--target-time", points["after"], "--target-action", "promote")
    back.start().wait_recovered()
    assert list(back.digests()) == ["postgres.public.after_all"]


def test_restore_to_a_position_or_a_restore_point(history):
    rig, pg, back, first, _, want, points = history
    for words in (["--target-lsn", points["lsn"]], ["--target-name", "before_drop"]):
        story.fetch(rig, pg.data, first, *words, "--target-action", "promote")
        story.at_target(back.start())
        assert back.digests() == want, words
        back.stop()
        back.destroy()
    story.fetch(rig, pg.data, first, "--target-immediate")
    story.at_target(back.start())
    assert back.digests()["postgres.public.precious"].startswith("1000 ")


def test_a_target_older_than_the_backup_is_an_error_before_any_copying(history):
    rig, pg, _, first, second, _, points = history
    for name, words in ((second, ["--target-time", points["time"]]), (second, ["--target-lsn", points["lsn"]]),
                        (first, ["--target-time", "2001-01-01T00:00:00Z"]), ("LATEST", ["--target-time", "2001-01-01T00:00:00Z"]),
                        (first, ["--target-lsn", "0/1"])):
        said = story.fetch(rig, pg.data, name, *words, status="fail")
        story.one_error(said)
        assert story.absent_or_empty(pg.data), (name, words)


def test_a_target_time_wants_a_zone(history):
    rig, pg, *_ = history
    for text in ("2026-01-01 00:00:00", "2026-01-01T00:00:00", "yesterday", ""):
        story.fetch(rig, pg.data, "LATEST", "--target-time", text, status=64)
        assert story.absent_or_empty(pg.data)


def test_a_target_that_is_never_reached_does_not_open_the_cluster(history):
    rig, pg, back, *_ = history
    story.fetch(rig, pg.data, "LATEST", "--target-name", "no_such_point")
    back.start(wait=False)
    assert back.ended(90) != 0
    story.never_opened(back)


@pytest.mark.parametrize("broken", ["gone", "empty", "foreign", "unreadable", "unmounted", "truncated"])
def test_a_store_that_is_not_there_in_recovery_never_promotes(rig, broken):
    if broken == "unmounted":
        mount = rig.mount("disk", "-o", "size=300m")
        rig.settings["WALG_FILE_PREFIX"] = str(rig.mkdir("disk/repo", 0o755))
    else:
        rig.repo()
    pg = story.archived(rig, small=True)
    pg.backup()
    pg.sql("create table t as select g from generate_series(1, 1000) g")
    last = pg.switch()
    pg.sql("create table u as select g from generate_series(1, 1000) g")
    pg.switch()
    want = pg.digests()
    pg.destroy()
    story.fetch(rig, pg.data)
    repo = rig.settings["WALG_FILE_PREFIX"]
    back = pg.restored("back", pg.data)
    keep = repo + ".kept"
    # It goes away when the cluster is consistent already and could be opened: at the first segment after the backup's end.
    rig.write("step", f"""#!/bin/sh
first=$(printf '%s\\n' "$1" {last} | sort | head -n 1)
case $1 in *.history) first=$1 ;; esac
if [ "$first" = {last} ] && [ ! -e {rig.dir}/asked ]; then
	: >{rig.dir}/asked
	while [ ! -e {rig.dir}/broken ]; do sleep 0.05; done
fi
exec walpipe wal-fetch "$1" "$2"
""", 0o755)
    back.start(wait=False, restore_command=f"{rig.dir}/step %f %p", recovery_prefetch="off")
    wait_for(lambda: (rig.dir / "asked").exists() or not back.running(), 60)
    assert back.running(), back.tail()
    if broken == "unmounted":
        rig.unmount(mount, lazy=True)
    elif broken == "truncated":
        path = f"{repo}/wal_005/{last}.lz4"
        shutil.copy2(path, keep)
        os.truncate(path, os.path.getsize(path) // 2)
    else:
        os.rename(repo, keep)
        if broken == "empty":
            os.mkdir(repo)
            rig.own(repo)
        elif broken == "foreign":
            shutil.copytree(rig.fixture("v309-pg15-lz4-full")[0], repo)
            rig.own(repo, recursive=True)
        elif broken == "unreadable":
            if not rig.session.root:
                os.rename(keep, repo)
                os.chmod(repo + "/wal_005", 0)
            else:
                os.mkdir(repo, 0o700)       # root's
    (rig.dir / "broken").touch()
    assert "consistent recovery state reached" in back.tail(100000)
    assert back.ended(120) != 0
    story.never_opened(back)
    if broken == "unmounted":
        return
    # healed, the same directory recovers to the end
    if broken == "truncated":
        shutil.copy2(keep, path)
    elif broken == "unreadable" and not rig.session.root:
        os.chmod(repo + "/wal_005", 0o755)
    else:
        shutil.rmtree(repo, ignore_errors=True)
        os.rename(keep, repo)
    back.start().wait_recovered()
    assert back.digests() == want


def test_the_latest_backup_is_one_that_the_latest_timeline_comes_from(rig):
    """A cluster went back to before its second backup, and went on in the same repository."""
    pg = story.archived(rig, small=True)
    first = pg.backup()
    pg.sql("create table kept as select g from generate_series(1, 100) g")
    pg.sql("select pg_create_restore_point('then')")
    pg.sql("create table gone as select g from generate_series(1, 100) g")
    second = pg.backup()
    pg.switch()
    pg.stop()
    story.fetch(rig, rig.dir / "on", first, "--target-name", "then", "--target-action", "promote", "--continue")
    on = pg.restored("on", rig.dir / "on").start().wait_recovered()
    on.sql("create table new as select g from generate_series(1, 100) g")
    on.switch()
    want = on.digests()
    on.stop()
    r = story.fetch(rig, rig.dir / "copy", "LATEST")
    assert second in r.err and "passed over" in r.err
    assert pg.restored("copy", rig.dir / "copy").start().wait_recovered().digests() == want
    r = story.fetch(rig, rig.dir / "none", second, status=64)
    assert story.absent_or_empty(rig.dir / "none")
    story.fetch(rig, rig.dir / "old", second, "--target-timeline", "current")
    old = pg.restored("old", rig.dir / "old").start().wait_recovered()
    assert old.sql("select count(*) from gone") == "100"


def test_wal_fetch_knows_absence_from_ignorance(rig):
    pg = story.archived(rig, small=True)
    pg.backup()
    pg.switch()
    repo = rig.settings["WALG_FILE_PREFIX"]
    there = sorted(n for n in os.listdir(repo + "/wal_005") if len(n) == 28)[0][:24]
    pg.stop()
    dest = rig.dir / "got"

    def wal_fetch(name, status, cwd=None, **env):
        r = rig.walpipe("wal-fetch", name, dest, status=status, cwd=cwd or pg.data, env=env)
        if status:
            assert not dest.exists()
        else:
            assert dest.stat().st_size == 16 << 20
            assert dest.read_bytes() == strict_reader.decode(f"{repo}/wal_005/{name}.lz4")
            dest.unlink()
        assert not [f for f in os.listdir(rig.dir) if ".tmp" in f]
        return r

    wal_fetch(there, 0)
    wal_fetch("0000000100000000000000F0", 74)
    wal_fetch("00000007.history", 74)
    wal_fetch("0000000100000000000000F0", 200, WALG_FILE_PREFIX=str(rig.dir / "nowhere"))
    # in recovery an empty prefix proves nothing
    (pg.data / "recovery.signal").touch()
    rig.own(pg.data / "recovery.signal")
    wal_fetch("0000000100000000000000F0", 74)
    wal_fetch("0000000100000000000000F0", 200, WALG_FILE_PREFIX=str(rig.mkdir("empty")))
    # nor does another cluster's
    rig.mkdir("foreign")
    rig.mkdir("foreign/walpipe")
    rig.write("foreign/walpipe/FFFFFFFFFFFFFFFFFFFFFFFF.json", '[{"system_identifier":5}]')
    wal_fetch("0000000100000000000000F0", 200, WALG_FILE_PREFIX=str(rig.dir / "foreign"))
    # nor is a file absent that could not be looked for
    wal = pathlib.Path(repo, "wal_005")
    wal.rename(rig.dir / "away")
    wal_fetch(there, 200)
    wal_fetch(there, 200, WALG_NETWORK_RATE_LIMIT="1000000")
    wal.symlink_to(rig.dir / "nowhere")
    wal_fetch(there, 200)
    wal.unlink()
    (rig.dir / "away").rename(wal)
    wal.chmod(0)
    if os.geteuid() == 0 and not rig.session.user:
        wal_fetch(there, 0)
    else:
        wal_fetch(there, 200)
        wal_fetch(there, 200, WALG_NETWORK_RATE_LIMIT="1000000")
    wal.chmod(0o755)
    if shutil.which("strace"):
        out = rig.run("strace", "-f", "-qq", "-o", rig.dir / "trace", "-P", wal / f"{there}.lz4", "-e", "trace=newfstatat,stat",
                      "-e", "inject=newfstatat,stat:error=ESTALE", "walpipe", "wal-fetch", there, dest, cwd=pg.data, status={0, 200})
        assert "ESTALE" in (rig.dir / "trace").read_text() and dest.exists() == (out.status == 0), out
        dest.unlink(missing_ok=True)
    # a standby asks again
    (pg.data / "recovery.signal").rename(pg.data / "standby.signal")
    wal_fetch("0000000100000000000000F0", 1)
    wal_fetch("0000000100000000000000F0", 1, WALG_FILE_PREFIX=str(rig.dir / "nowhere"))
    wal_fetch(there, 0)


def test_a_store_down_for_a_moment_costs_nothing(rig):
    """The root comes back while wal-fetch still tries."""
    pg = story.archived(rig, small=True)
    pg.backup()
    name = pg.switch()
    repo = rig.settings["WALG_FILE_PREFIX"]
    pg.stop()
    os.rename(repo, repo + ".away")
    p = rig.spawn("walpipe", "wal-fetch", name, rig.dir / "got", cwd=pg.data)
    time.sleep(0.4)
    os.rename(repo + ".away", repo)
    code = p.wait(120)
    assert (code == 0) == (rig.dir / "got").exists()
    assert code in (0, 200)


def test_the_sentinel_s_json_is_what_the_metadata_says(rig):
    pg = story.archived(rig, small=True)
    name = pg.backup()
    repo = rig.settings["WALG_FILE_PREFIX"]
    with open(f"{repo}/basebackups_005/{name}_backup_stop_sentinel.json", encoding="utf-8") as f:
        s = json.load(f)
    assert s["SystemIdentifier"] == pg.identifier
    assert s["DataDir"] == str(pg.data) and s["PgVersion"] // 10000 == pg.major
