"""Back up, change, break, restore, compare: the main job."""

import os
import shutil
import time

import pytest

import strict_reader
from lib import need, story
from lib.rig import wait_for


def restore_and_compare(rig, pg, want, name="LATEST", *words, amcheck=True):
    """Destroy, fetch, start, recover; the same rows are there."""
    pg.destroy()
    story.fetch(rig, pg.data, name, *words)
    back = pg.restored("back", pg.data)
    back.start()
    back.wait_recovered()
    got = back.digests()
    assert got == want
    if amcheck:
        back.amcheck()
    return back


def test_a_cluster_under_load_comes_back_whole(rig):
    pg = story.archived(rig, scale=3)
    load = pg.load()
    name = pg.backup()
    time.sleep(1)
    load.stop()
    pg.sql("create table later as select g, md5(g::text) from generate_series(1, 5000) g")
    pg.switch()
    want = pg.digests()
    rig.strict()
    back = restore_and_compare(rig, pg, want)
    assert name in rig.walpipe("backup-list").out
    back.stop()
    back.sums()


def test_what_walpipe_stored_is_restored_by_another_reader(rig):
    """As wal-g would: files by the strict reader, WAL by plain lz4."""
    pg = story.archived(rig, scale=1)
    repo = rig.settings["WALG_FILE_PREFIX"]
    name = pg.backup()
    pg.sql("create table later as select g from generate_series(1, 1000) g")
    pg.switch()
    want = pg.digests()
    pg.destroy()
    strict_reader.Reader(repo).restore(name, str(pg.data))
    rig.own(pg.data, recursive=True)
    rig.own(pg.data)
    back = pg.restored("back", pg.data)
    back.configure(archive_mode="off", restore_command=f"'lz4 -dcq {repo}/wal_005/%f.lz4 > %p'")
    rig.write("pg/recovery.signal", "")
    back.start().wait_recovered()
    assert back.digests() == want
    back.amcheck()


def test_uncompressed_storage_comes_back_whole(rig):
    rig.settings["WALG_COMPRESSION_METHOD"] = "none"
    pg = story.archived(rig, scale=1)
    pg.backup()
    pg.sql("create table later as select g from generate_series(1, 1000) g")
    pg.switch()
    want = pg.digests()
    rig.strict()
    restore_and_compare(rig, pg, want)


def test_many_small_parts_come_back_whole(rig):
    rig.settings.update(WALG_TAR_SIZE_THRESHOLD="1000000", WALG_UPLOAD_DISK_CONCURRENCY="3", WALG_DOWNLOAD_CONCURRENCY="3")
    pg = story.archived(rig, scale=1)
    name = pg.backup()
    assert len(story.parts(rig.settings["WALG_FILE_PREFIX"], name)) > 10
    want = pg.digests()
    pg.switch()
    rig.strict()
    restore_and_compare(rig, pg, want)


def test_no_list_of_files_on_request(rig):
    rig.settings["WALG_WITHOUT_FILES_METADATA"] = "true"
    pg = story.archived(rig, small=True)
    name = pg.backup()
    repo = rig.settings["WALG_FILE_PREFIX"]
    assert not os.path.exists(f"{repo}/basebackups_005/{name}/files_metadata.json")
    pg.switch()
    rig.strict()
    want = pg.digests()
    restore_and_compare(rig, pg, want)


def test_a_restored_cluster_does_not_archive_unless_it_continues(rig):
    pg = story.archived(rig, small=True)
    pg.sql("create table t as select g from generate_series(1, 100) g")
    pg.backup()
    pg.switch()
    want = pg.digests()
    back = restore_and_compare(rig, pg, want)
    assert back.sql("show archive_mode") == "off"
    back.stop()
    back.destroy()
    said = story.fetch(rig, pg.data, "LATEST", "--continue")
    assert "archive_mode" not in said.out
    back.start().wait_recovered()
    assert back.sql("show archive_mode") == "on"
    back.sql("create table second_life (a int)")
    name = back.backup()
    assert name.startswith("base_00000002")
    wait_for(lambda: os.path.exists(rig.settings["WALG_FILE_PREFIX"] + "/wal_005/00000002.history.lz4"), 20, why="history")
    rig.strict()
    want = back.digests()
    back.switch()
    restore_and_compare(rig, back, want)


@pytest.mark.parametrize("target", ["time", "name", "lsn", "xid", "immediate"])
def test_a_target_in_postgresql_conf_does_not_win(rig, target):
    """It says when an earlier life ended, and the copy opened there."""
    pg = story.archived(rig, small=True)
    value = {"time": f"recovery_target_time = '{story.now(pg).replace('T', ' ').replace('Z', '+00')}'", "name": "recovery_target_name = 'then'", "xid": "recovery_target_xid = '3'",
             "lsn": f"recovery_target_lsn = '{pg.sql('select pg_current_wal_lsn()')}'", "immediate": "recovery_target = 'immediate'"}[target]
    ended = rig.dir / "ended"
    with open(pg.data / "postgresql.conf", "a", encoding="utf-8") as f:
        f.write(f"{value}\nrecovery_target_action = 'promote'\nrecovery_target_inclusive = off\nrecovery_end_command = 'touch {ended}'\n"
                f"archive_cleanup_command = 'touch {ended}'\n")
    pg.sql("select pg_create_restore_point('then')")
    pg.backup()
    pg.sql("create table later as select g from generate_series(1, 100) g")
    pg.switch()
    want = pg.digests()
    story.fetch(rig, rig.dir / "copy", "LATEST")
    back = pg.restored("copy", rig.dir / "copy").start().wait_recovered()
    assert back.digests() == want
    assert not ended.exists()
    back.stop()
    point = "at " + target
    pg.sql(f"select pg_create_restore_point('{point}')")
    pg.sql("create table after (a int)")
    pg.switch()
    story.fetch(rig, rig.dir / "then", "LATEST", "--target-name", point)
    then = pg.restored("then", rig.dir / "then").start()
    story.at_target(then)
    assert then.in_recovery() == "t" and then.digests() == want


@pytest.mark.parametrize("how", ["recover", "standby"])
def test_recovery_settings_of_an_earlier_life_do_not_win(rig, how):
    pg = story.archived(rig, small=True)
    for setting in ("restore_command = 'false'", "recovery_target_name = 'never'", "primary_conninfo = 'host=/nowhere'",
                    "primary_slot_name = 'gone'"):
        pg.sql("alter system set " + setting)
    pg.sql("alter system set work_mem = '5MB'")
    pg.backup()
    pg.sql("create table later as select g from generate_series(1, 100) g")
    pg.switch()
    want = pg.digests()
    story.fetch(rig, rig.dir / "copy", "LATEST", *(["--standby"] if how == "standby" else []))
    back = pg.restored("copy", rig.dir / "copy").start()
    if how == "standby":
        wait_for(lambda: back.digests() == want, 60, 0.2, why="the standby's rows")
        assert back.in_recovery() == "t"
    else:
        back.wait_recovered()
        assert back.digests() == want
    for setting in ("recovery_target_name", "primary_conninfo", "primary_slot_name"):
        assert back.sql("show " + setting) == "", setting
    assert back.sql("show work_mem") == "5MB"


def test_a_restore_is_durable_before_pg_control_has_its_name(rig):
    """A crash of the machine, too, leaves a cluster that is whole or that cannot be started."""
    if not shutil.which("strace"):
        need.skip("strace", "not installed")
    pg = story.archived(rig, small=True)
    pg.backup()
    traced = rig.in_place_of("tarpart", f"""#!/bin/sh
exec strace -f -qq -y -o {rig.dir}/trace -e trace=fsync,syncfs,rename,renameat,renameat2 "$(dirname "$0")/tarpart.real" "$@"
""")
    dest = rig.dir / "copy"
    story.fetch(rig, dest, "LATEST", "--files-only", env=traced)
    calls = [line.split(maxsplit=1)[1] for line in (rig.dir / "trace").read_text().splitlines()]
    order = [("syncfs(", f"<{dest}>"), ("rename", '"backup_label"'), ("fsync(", f"<{dest}>"),
             ("fsync(", "pg_control.walpipe"), ("rename", '"pg_control"'), ("fsync(", f"<{dest}/global>")]
    at = 0
    for call, what in order:
        found = [i for i in range(at, len(calls)) if calls[i].startswith(call) and what in calls[i]]
        assert found, (call, what, calls)
        at = found[0] + 1


def test_the_stored_list_names_every_file_of_the_cluster(rig):
    pg = story.archived(rig, small=True)
    pg.sql("create table t as select g, repeat('x', 1000) from generate_series(1, 100) g; checkpoint")
    pg.backup()
    pg.stop()
    dest = rig.dir / "copy"
    story.fetch(rig, dest, "LATEST", "--files-only")
    there = {n for n, _, _ in strict_reader.listing(dest)}
    missing = set()
    for n, _, _ in strict_reader.listing(pg.data):
        top = n.split("/")[0]
        if top not in ("pg_wal", "postmaster.opts", "pg_subtrans", "pg_stat", "pg_stat_tmp", "pg_notify", "pg_replslot") and \
                "pg_internal.init" not in n and n not in there:
            missing.add(n)
    assert missing == set()
    assert "backup_label" in there and "pg_wal/" in there
    assert os.stat(dest).st_mode & 0o777 == 0o700
    for folder, _, files in os.walk(dest):
        assert os.stat(folder).st_mode & 0o077 == 0, folder
        for f in files:
            assert os.stat(os.path.join(folder, f)).st_mode & 0o077 == 0, f


@pytest.mark.parametrize("what", ["plain", "permanent"])
def test_user_data_and_permanence_reach_the_metadata(rig, what):
    import json
    pg = story.archived(rig, small=True)
    words = ["--add-user-data", '{"who": "cron <&>", "n": 12345678901234567}'] + (["--permanent"] if what == "permanent" else [])
    name = pg.backup(*words)
    repo = rig.settings["WALG_FILE_PREFIX"]
    with open(f"{repo}/basebackups_005/{name}/metadata.json", encoding="utf-8") as f:
        metadata = json.load(f)
    assert metadata["user_data"] == {"who": "cron <&>", "n": 12345678901234567}
    assert metadata["is_permanent"] is (what == "permanent")
    rig.strict()
    rig.walpipe("backup-push", pg.data, "--add-user-data", "{not json", env=pg.env(), status=64)


def test_the_next_command_is_printed_and_works(rig):
    """What backup-fetch prints last is what a person types next."""
    pg = story.archived(rig, small=True)
    pg.backup()
    pg.switch()
    pg.destroy()
    said = story.fetch(rig, pg.data)
    assert str(pg.data) in said.out + said.err
    assert "archive_mode" in said.out + said.err
    text = (pg.data / "postgresql.auto.conf").read_text()
    assert "recovery_target_timeline" in text and "restore_command" in text
    assert (pg.data / "recovery.signal").exists()
