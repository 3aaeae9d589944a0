"""The disk is full at each stage, the directory goes away, the root is unmounted: never a visible half."""

import errno
import os
import shutil
import subprocess
import time

import pytest

import strict_reader
from lib import story
from lib.rig import wait_for


def small_disk(rig, size="40m"):
    mount = rig.mount("disk", "-o", f"size={size},nr_inodes=20000")
    rig.settings["WALG_FILE_PREFIX"] = str(rig.mkdir("disk/repo", 0o755))
    return mount


def fill(rig, mount, leave):
    """A file that leaves so many bytes."""
    st = os.statvfs(mount)
    free = st.f_bavail * st.f_frsize
    path = mount / "ballast"
    n = max(0, free - leave)
    with open(path, "ab", buffering=0) as f:
        try:
            while n > 0:
                n -= f.write(bytes(min(n, 65536)))
        except OSError as e:
            assert e.errno == errno.ENOSPC
    return path


@pytest.mark.parametrize("leave", [0, 4096, 8192, 65536, 1 << 20, 1200000])
def test_a_full_disk_in_a_backup_leaves_nothing_visible(rig, leave):
    mount = small_disk(rig)
    rig.settings.update(WALG_TAR_SIZE_THRESHOLD="2000000", WALPIPE_ARCHIVE_TIMEOUT="5")
    pg = story.archived(rig, small=True)
    first = pg.backup()
    pg.switch()
    ballast = fill(rig, mount, leave)
    r = rig.walpipe("backup-push", pg.data, env=pg.env(), status=None)
    if r.status == 0:
        assert len(story.names(rig.settings["WALG_FILE_PREFIX"])) == 2
    else:
        story.one_error(r)
        assert story.names(rig.settings["WALG_FILE_PREFIX"]) == [first]
    # (the archiver tries again every second: its own is there for a moment)
    wait_for(lambda: not [f for _, _, fs in os.walk(mount) for f in fs if ".tmp." in f], 20, why="no temporary file")
    assert leave > 100000 or r.status != 0
    ballast.unlink()
    shutil.rmtree(rig.dir / "tmp", ignore_errors=True)
    rig.mkdir("tmp")
    pg.backup()
    rig.strict(allow_unfinished=True)


@pytest.mark.parametrize("stage", ["files_metadata.json", "metadata.json", "_backup_stop_sentinel.json", "backup_label.tar", "pg_control.tar",
                                   "part_001.tar"])
def test_no_space_for_one_object_of_a_backup(rig, stage):
    """This object alone cannot be brought to the disk."""
    if not shutil.which("strace"):
        from lib import need
        need.skip("strace", "not installed")
    pg = story.archived(rig, small=True)
    repo = rig.settings["WALG_FILE_PREFIX"]
    first = pg.backup()
    r = rig.walpipe("backup-push", pg.data, env=pg.env(without_space(rig, stage)), status="fail")
    # who could not do what, what that means for the part, and once what came of it: nobody repeats another
    said = story.one_error(r)
    assert said[0].startswith("fileput: ") and stage in said[0] and "no space left" in said[0], r.err
    assert [line.split(":")[0] for line in said[1:]] == ["tarpart"] * (".tar" in stage) + ["backup-push"], r.err
    assert r.err.count("no backup") == 1 and said[-1] == "backup-push: no backup was made", r.err
    assert story.names(repo) == [first]
    assert not [f for _, _, fs in os.walk(repo) for f in fs if ".tmp." in f]
    pg.backup()
    rig.strict(allow_unfinished=True)


def without_space(rig, stage):
    """Programs whose fileput is run under strace with ENOSPC injected where its object is the one."""
    return rig.in_place_of("fileput", f"""#!/bin/sh
case "$*" in
*{stage}*) exec strace -f -qq -o /dev/null -e trace=fsync,fdatasync -e inject=fsync,fdatasync:error=ENOSPC "$(dirname "$0")/fileput.real" "$@" ;;
*) exec "$(dirname "$0")/fileput.real" "$@" ;;
esac
""")


@pytest.mark.parametrize("leave", [0, 4096, 20000])
def test_a_full_disk_in_archiving_keeps_the_segment_for_later(rig, leave):
    mount = small_disk(rig)
    pg = story.archived(rig, small=True)
    pg.backup()
    pg.sql("create table t as select g, md5(g::text) from generate_series(1, 20000) g")
    name = pg.sql("select pg_walfile_name(pg_current_wal_lsn())")
    pg.configure(archive_command="'false'")      # we push it ourselves
    pg.sql("select pg_reload_conf()")
    time.sleep(1)
    ballast = fill(rig, mount, leave)
    pg.sql("select pg_switch_wal()")
    path = pg.data / "pg_wal" / name
    r = rig.walpipe("wal-push", path, cwd=pg.data, status="fail")
    assert r.status <= 125
    story.one_error(r)
    assert not [f for _, _, fs in os.walk(mount) for f in fs if name in f]
    ballast.unlink()
    rig.walpipe("wal-push", path, cwd=pg.data)
    assert strict_reader.decode(f"{mount}/repo/wal_005/{name}.lz4") == path.read_bytes()
    rig.strict()


def test_a_full_disk_in_a_restore_cannot_be_started(rig):
    pg = story.archived(rig, small=True)
    pg.backup()
    for size in ("2m", "5m", "7m"):
        mount = rig.mount("target" + size, "-o", f"size={size}")
        dest = mount / "data"
        r = story.fetch(rig, dest, "LATEST", status="fail")
        story.one_error(r)
        assert not (dest / "global/pg_control").exists()
        rig.unmount(mount)


def test_a_full_disk_in_wal_fetch_never_ends_recovery(rig):
    pg = story.archived(rig, small=True)
    pg.sql("create table t as select g, md5(g::text) from generate_series(1, 20000) g")
    name = pg.switch()
    pg.stop()
    mount = rig.mount("target", "-o", "size=4m")
    rig.walpipe("wal-fetch", name, mount / "RECOVERYXLOG", cwd=pg.data, status=200)
    assert not (mount / "RECOVERYXLOG").exists()
    assert [f for f in os.listdir(mount) if f != "walpipe"] == []


def test_a_root_that_is_gone_is_never_made_again(rig):
    """An unmounted disk is not "stored" on what lies under its mount point."""
    pg = story.archived(rig, small=True)
    pg.backup()
    repo = rig.settings["WALG_FILE_PREFIX"]
    pg.sql("create table t (a int)")
    name = pg.sql("select pg_walfile_name(pg_current_wal_lsn())")
    os.rename(repo, repo + ".away")
    pg.sql("select pg_switch_wal()")
    r = rig.walpipe("wal-push", pg.data / "pg_wal" / name, cwd=pg.data, status="fail")
    story.one_error(r)
    assert r.status <= 125
    r = rig.walpipe("backup-push", pg.data, env=pg.env({"WALPIPE_ARCHIVE_TIMEOUT": "3"}), status="fail")
    story.one_error(r)
    rig.walpipe("backup-list", status="fail")
    story.fetch(rig, rig.dir / "copy", status="fail")
    assert not os.path.exists(repo)
    assert story.absent_or_empty(rig.dir / "copy")
    os.rename(repo + ".away", repo)
    pg.backup()
    rig.strict()


def test_the_root_taken_away_in_mid_backup_means_no_backup(rig):
    rig.settings["WALG_DISK_RATE_LIMIT"] = str(2 << 20)
    pg = story.archived(rig, small=True)
    repo = rig.settings["WALG_FILE_PREFIX"]
    p = rig.spawn("walpipe", "backup-push", pg.data, env=pg.env({"WALPIPE_ARCHIVE_TIMEOUT": "5"}), stderr=open(rig.dir / "push.err", "wb"))
    for _ in range(1000):
        if [f for _, _, fs in os.walk(repo) for f in fs if "part_" in f]:
            break
        time.sleep(0.01)
    os.rename(repo, repo + ".away")
    assert p.wait(60) != 0
    assert not os.path.exists(repo)
    os.rename(repo + ".away", repo)
    assert story.names(repo) == []
    rig.settings.pop("WALG_DISK_RATE_LIMIT")
    pg.backup()
    rig.strict(allow_unfinished=True)


@pytest.mark.parametrize("where", ["repo", "."])
def test_an_unmounted_root_stores_nothing_below_it(rig, where):
    """Whether it is a directory on the disk, which is gone, or the mount point, which is there and empty."""
    mount = small_disk(rig)
    rig.settings["WALG_FILE_PREFIX"] = str(mount / where)
    pg = story.archived(rig, small=True)
    pg.backup()
    pg.switch()
    rig.unmount(mount, lazy=True)
    pg.sql("create table t (a int)")
    name = pg.sql("select pg_walfile_name(pg_current_wal_lsn())")
    pg.sql("select pg_switch_wal()")
    r = rig.walpipe("wal-push", pg.data / "pg_wal" / name, cwd=pg.data, status="fail")
    assert r.status <= 125
    rig.walpipe("backup-push", pg.data, env=pg.env({"WALPIPE_ARCHIVE_TIMEOUT": "3"}), status="fail")
    assert os.listdir(mount) == []


def test_a_repository_that_turned_read_only(rig):
    mount = small_disk(rig)
    pg = story.archived(rig, small=True)
    name = pg.backup()
    pg.switch()
    wait_for(lambda: subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=False, capture_output=True).returncode == 0, 10)
    r = rig.walpipe("backup-push", pg.data, env=pg.env({"WALPIPE_ARCHIVE_TIMEOUT": "3"}), status="fail")
    story.one_error(r)
    # and it can still be read
    assert name in rig.walpipe("backup-list").out
    story.fetch(rig, rig.dir / "copy", "LATEST", "--files-only")
