"""Standbys: one that lives by wal-fetch alone, and backups taken on one."""

import os
import time

from lib import story
from lib.rig import wait_for


def same_rows(a, b, seconds=60):
    want = a.digests()
    wait_for(lambda: b.in_recovery() == "t" and b.digests() == want, seconds, 0.2, why="the standby's rows")


def pair(rig):
    """A primary with a table t, and a standby from its backup."""
    pg = story.archived(rig, small=True)
    pg.sql("create table t as select g from generate_series(1, 100) g")
    pg.backup()
    dest = rig.dir / "standby"
    story.fetch(rig, dest, "LATEST", "--standby")
    assert (dest / "standby.signal").exists()
    standby = pg.restored("standby", dest)
    standby.start()
    return pg, standby


def restart_point(pg, standby):
    """One that the standby has reached and no backup has begun at."""
    pg.sql("insert into t select g from generate_series(1, 1000) g")
    pg.sql("checkpoint")
    pg.switch()
    same_rows(pg, standby)


def test_a_standby_follows_by_wal_fetch_alone(rig):
    pg, standby = pair(rig)
    for i in range(3):
        pg.sql(f"insert into t select g + {i} from generate_series(1, 1000) g")
        pg.switch()
        same_rows(pg, standby)
    # the store goes away: the standby waits, and does not open
    repo = rig.settings["WALG_FILE_PREFIX"]
    os.rename(repo, repo + ".away")
    time.sleep(3)
    assert standby.running() and standby.in_recovery() == "t"
    os.rename(repo + ".away", repo)
    pg.sql("insert into t values (-1)")
    pg.switch()
    same_rows(pg, standby)
    # promoted it goes on archiving on timeline 2
    want = pg.digests()
    pg.kill()
    standby.sql("select pg_promote()")
    standby.wait_recovered()
    assert standby.digests() == want
    assert standby.sql("show archive_mode") == "on"
    standby.switch()
    wait_for(lambda: os.path.exists(repo + "/wal_005/00000002.history.lz4"), 20, why="history")
    rig.strict()


def test_a_backup_taken_on_a_standby_restores(rig):
    pg, standby = pair(rig)
    dest = standby.data
    restart_point(pg, standby)
    pg.sql("checkpoint")
    pg.switch()
    # the stop's segment must reach the archive: somebody writes on the primary meanwhile
    p = rig.spawn("walpipe", "backup-push", dest, env=standby.env(), stdout=open(rig.dir / "push.out", "wb"),
                  stderr=open(rig.dir / "push.err", "wb"))
    for _ in range(300):
        if p.poll() is not None:
            break
        pg.sql("insert into t values (0)")
        pg.sql("select pg_switch_wal()")
        time.sleep(0.3)
    said = (rig.dir / "push.err").read_text()
    assert p.wait(1) == 0, said
    names = story.names(rig.settings["WALG_FILE_PREFIX"])
    assert len(names) == 2
    # the same restart point again: refused before anything is stored
    again = rig.walpipe("backup-push", dest, env=standby.env(), status=73)
    story.one_error(again)
    assert "HINT" in again.err
    pg.switch()
    want = pg.digests()
    standby.stop()
    standby.destroy()
    rig.strict()
    story.fetch(rig, dest, names[-1])
    standby.start().wait_recovered()
    assert standby.digests() == want


def test_of_two_backups_of_one_restart_point_only_one_is_stored(rig):
    """Both have its name. The second begins while the first has nothing stored yet, so neither sees the other; and it
    asks another database, so that the lock of the first does not hold it back."""
    pg, standby = pair(rig)
    dest = standby.data
    pg.sql("create database another template postgres")
    restart_point(pg, standby)
    waiting = rig.in_place_of("tarpart", """#!/bin/sh
: >"$RIG_DIR/begun"
while [ ! -e "$RIG_DIR/go" ]; do sleep 0.05; done
exec "${0%/*}/tarpart.real" "$@"
""")
    slow = rig.spawn("walpipe", "backup-push", dest, env=standby.env(waiting), stderr=open(rig.dir / "slow.err", "wb"))
    wait_for(lambda: (rig.dir / "begun").exists() or slow.poll() is not None, 60)
    quick = rig.spawn("walpipe", "backup-push", dest, "--no-archive-check", env=standby.env({"PGDATABASE": "another"}), stderr=open(rig.dir / "quick.err", "wb"))
    assert quick.wait(120) == 0, (rig.dir / "quick.err").read_text()
    name = story.names(rig.settings["WALG_FILE_PREFIX"])[-1]
    stored = {p: p.read_bytes() for p in story.parts(rig.settings["WALG_FILE_PREFIX"], name)}
    pg.sql("insert into t select g from generate_series(1, 100000) g")
    pg.switch()
    same_rows(pg, standby)
    (rig.dir / "go").touch()
    assert slow.wait(120) == 73, (rig.dir / "slow.err").read_text()
    assert {p: p.read_bytes() for p in story.parts(rig.settings["WALG_FILE_PREFIX"], name)} == stored
    assert story.names(rig.settings["WALG_FILE_PREFIX"])[-1] == name
    story.fetch(rig, rig.dir / "copy", name, "--files-only")
