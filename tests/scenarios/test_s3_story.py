"""The story of most users: WAL and backups go to S3; another machine fetches, replays, stands by, is promoted."""

import json
import os
import random
import shutil
import socket
import time

import pytest

import strict_reader
from lib import s3, story
from lib.faults import Proxy
from lib.rig import wait_for
from scenarios.test_kills import Rounds, nobody_left, strike
from scenarios.test_standby import same_rows


@pytest.fixture
def bucket(rig):
    rig.want_tools("walpipe", "s3put", "s3get", "s3ls", "s3rm")
    return s3.repository(rig)


def held(bucket):
    """What is stored: {key: ETag}."""
    return {o["Key"]: o["ETag"] for o in bucket.objects()}


def closed_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_a_cluster_under_load_comes_back_on_another_machine(rig, bucket):
    pg = story.archived(rig, scale=2)
    load = pg.load()
    name = pg.backup()
    time.sleep(1)
    load.stop()
    pg.sql("create table later as select g, md5(g::text) from generate_series(1, 5000) g")
    pg.switch()
    want = pg.digests()
    pg.kill()
    rig.strict()
    assert name in rig.walpipe("backup-list").out
    assert bucket.uploads() == []
    assert all(k.startswith("walpipe/main/") for k in bucket.keys())
    elsewhere = rig.dir / "elsewhere"
    story.fetch(rig, elsewhere)
    back = pg.restored("back", elsewhere)
    back.start().wait_recovered()
    assert back.digests() == want
    back.amcheck()
    assert back.sql("show archive_mode") == "off"
    back.stop()
    back.sums()


def test_what_went_to_s3_is_restored_by_another_reader(rig, bucket):
    pg = story.archived(rig, small=True)
    name = pg.backup()
    pg.sql("create table later as select g from generate_series(1, 1000) g")
    pg.switch()
    want = pg.digests()
    pg.destroy()
    repo = rig.repository()
    strict_reader.Reader(repo).restore(name, str(pg.data))
    rig.own(repo, recursive=True)
    rig.own(pg.data, recursive=True)
    rig.own(pg.data)
    back = pg.restored("back", pg.data)
    back.configure(archive_mode="off", restore_command=f"'lz4 -dcq {repo}/wal_005/%f.lz4 > %p'")
    rig.write("pg/recovery.signal", "")
    back.start().wait_recovered()
    assert back.digests() == want


def test_many_parts_and_small_ones_come_back_whole(rig, bucket):
    rig.settings.update(WALG_TAR_SIZE_THRESHOLD="2000000", WALG_UPLOAD_DISK_CONCURRENCY="3", WALG_DOWNLOAD_CONCURRENCY="3",
                        WALG_UPLOAD_CONCURRENCY="3", WALG_S3_MAX_PART_SIZE=str(s3.LEAST))
    pg = story.archived(rig, scale=2)
    name = pg.backup()
    assert len(bucket.keys(f"walpipe/main/basebackups_005/{name}/tar_partitions/")) > 5
    pg.switch()
    want = pg.digests()
    pg.destroy()
    rig.strict()
    story.fetch(rig, pg.data)
    back = pg.restored("back", pg.data)
    back.start().wait_recovered()
    assert back.digests() == want


def test_a_network_limit_is_the_whole_command_s(rig, bucket):
    """Four parts at a time go no faster than one would."""
    rig.settings.update(WALG_TAR_SIZE_THRESHOLD="2000000", WALG_UPLOAD_DISK_CONCURRENCY="4", WALG_DOWNLOAD_CONCURRENCY="4",
                        WALG_COMPRESSION_METHOD="none")
    pg = story.archived(rig, small=True)
    limit = 2 << 20
    rig.settings["WALG_NETWORK_RATE_LIMIT"] = str(limit)
    with Proxy(bucket.server.endpoint) as proxy:
        env = {"AWS_ENDPOINT": proxy.endpoint}
        began = time.monotonic()
        pg.backup("--no-archive-check", env=env)
        took, size = time.monotonic() - began, sum(r.size_in for r in proxy.seen("put|part", "/tar_partitions/"))
        assert size > 3 * limit, size
        assert took >= size / limit - 1, (took, size)
        proxy.calm()
        began = time.monotonic()
        story.fetch(rig, rig.dir / "copy", "LATEST", "--files-only", env=env)
        took, size = time.monotonic() - began, sum(r.size_out for r in proxy.seen("get", "/tar_partitions/"))
        assert size > 3 * limit and took >= size / limit - 1, (took, size)


def test_restore_to_a_time_before_the_drop_brings_the_table_back(rig, bucket):
    pg = story.archived(rig, small=True)
    pg.sql("create table precious as select g, md5(g::text) from generate_series(1, 1000) g")
    first = pg.backup()
    pg.sql("insert into precious select g, 'later' from generate_series(1, 500) g")
    want = pg.digests()
    before = story.now(pg)
    pg.sql("drop table precious")
    second = pg.backup()
    pg.switch()
    pg.destroy()
    assert rig.backups() == sorted([first, second])
    said = story.fetch(rig, pg.data, "LATEST", "--target-time", before, "--target-action", "promote")
    assert first in said.out + said.err and second not in said.out
    back = pg.restored("back", pg.data)
    back.start().wait_recovered()
    assert back.digests() == want


def test_a_standby_follows_by_wal_fetch_alone_and_is_promoted(rig, bucket):
    bucket.server.want_plain()
    pg = story.archived(rig, small=True)
    pg.sql("create table t as select g from generate_series(1, 100) g")
    pg.backup()
    with Proxy(bucket.server.endpoint) as proxy:
        rig.settings["AWS_ENDPOINT"] = proxy.endpoint       # the primary has its own way
        rig.settings["S3_MAX_RETRIES"] = "2"
        dest = rig.dir / "standby"
        story.fetch(rig, dest, "LATEST", "--standby")
        assert (dest / "standby.signal").exists()
        standby = pg.restored("standby", dest)
        standby.start()
        for i in range(3):
            pg.sql(f"insert into t select g + {i} from generate_series(1, 1000) g")
            pg.switch()
            same_rows(pg, standby)
        # the store goes away: the standby waits, and does not open
        proxy.down()
        pg.sql("insert into t values (-1)")
        pg.switch()
        time.sleep(4)
        assert standby.running() and standby.in_recovery() == "t"
        story.never_opened(standby)
        proxy.down(False)
        same_rows(pg, standby)
        want = pg.digests()
        pg.kill()
        old = held(bucket)
        # promoted it goes on archiving on timeline 2
        standby.sql("select pg_promote()")
        standby.wait_recovered()
        assert standby.digests() == want
        assert standby.sql("show archive_mode") == "on"
        standby.sql("create table second_life as select 1 as a")
        standby.switch()
        wait_for(lambda: bucket.head("walpipe/main/wal_005/00000002.history.lz4"), 30, why="history")
        now = held(bucket)
        assert {k: now.get(k) for k in old} == old, "the old primary's archive is not what it was"
        rig.strict()
        name = standby.backup()
        assert name.startswith("base_00000002")
        standby.switch()
        want = standby.digests()
        standby.stop()
        story.fetch(rig, rig.dir / "third")
        third = pg.restored("third", rig.dir / "third")
        third.start().wait_recovered()
        assert third.digests() == want


@pytest.mark.parametrize("broken", ["wrong-prefix", "empty-bucket", "no-bucket", "down", "wrong-secret", "truncated"])
def test_a_store_that_is_not_there_in_recovery_never_promotes(rig, bucket, broken):
    pg = story.archived(rig, small=True)
    pg.backup()
    pg.sql("create table t as select g from generate_series(1, 1000) g")
    last = pg.switch()
    pg.sql("create table u as select g from generate_series(1, 1000) g")
    pg.switch()
    want = pg.digests()
    pg.destroy()
    story.fetch(rig, pg.data)
    back = pg.restored("back", pg.data)
    key = f"walpipe/main/wal_005/{last}.lz4"
    whole = bucket.get(key)
    if broken == "empty-bucket":
        empty = s3.Bucket(rig)
    other = {"wrong-prefix": lambda: {"WALG_S3_PREFIX": f"s3://{bucket.name}/walpipe/mian"},
             "empty-bucket": lambda: {"WALG_S3_PREFIX": f"s3://{empty.name}/walpipe/main"},
             "no-bucket": lambda: {"WALG_S3_PREFIX": f"s3://{bucket.name}-not/walpipe/main"},
             "down": lambda: {"AWS_ENDPOINT": f"http://127.0.0.1:{closed_port()}", "S3_MAX_RETRIES": "2"},
             "wrong-secret": lambda: {"AWS_SECRET_ACCESS_KEY": "wrongwrongwrong"}, "truncated": dict}[broken]()
    # It goes away when the cluster is consistent already and could be opened: at the first segment after the backup's end.
    lines = "".join(f"{k}={v}; export {k}\n" for k, v in other.items())
    rig.write("step", f"""#!/bin/sh
first=$(printf '%s\\n' "$1" {last} | sort | head -n 1)
case $1 in *.history) first=$1 ;; esac
if [ "$first" = {last} ] && [ ! -e {rig.dir}/asked ]; then
	: >{rig.dir}/asked
	while [ ! -e {rig.dir}/broken ]; do sleep 0.05; done
fi
if [ -s {rig.dir}/broken ]; then . {rig.dir}/broken; fi
exec walpipe wal-fetch "$1" "$2"
""", 0o755)
    back.start(wait=False, restore_command=f"{rig.dir}/step %f %p", recovery_prefetch="off")
    wait_for(lambda: (rig.dir / "asked").exists() or not back.running(), 60)
    assert back.running(), back.tail()
    if broken == "truncated":
        bucket.put(key, whole[:len(whole) // 2])
    rig.write("broken.new", lines)
    os.rename(rig.dir / "broken.new", rig.dir / "broken")
    assert "consistent recovery state reached" in back.tail(100000)
    assert back.ended(150) != 0
    story.never_opened(back)
    s3.clean(back.tail(100000), bucket.server.secret)
    # healed, the same directory recovers to the end
    rig.write("broken", "")
    if broken == "truncated":
        bucket.put(key, whole)
    back.start().wait_recovered()
    assert back.digests() == want


def test_wal_fetch_knows_absence_from_ignorance(rig, bucket):
    pg = story.archived(rig, small=True)
    pg.backup()
    there = pg.switch()
    pg.stop()
    rig.settings["S3_MAX_RETRIES"] = "2"
    stored = bucket.get(f"walpipe/main/wal_005/{there}.lz4")
    rig.write("stored.lz4", stored)
    dest = rig.dir / "got"
    ignorance = [{"WALG_S3_PREFIX": f"s3://{bucket.name}-not/walpipe/main"}, {"AWS_ENDPOINT": f"http://127.0.0.1:{closed_port()}"},
                 {"AWS_SECRET_ACCESS_KEY": "wrong"}, {"AWS_ACCESS_KEY_ID": "NOSUCHKEYID"}]
    wrong = {"WALG_S3_PREFIX": f"s3://{bucket.name}/walpipe/mian"}

    def wal_fetch(name, status, **env):
        r = rig.walpipe("wal-fetch", name, dest, status=status, cwd=pg.data, env=env)
        s3.clean(r.err, bucket.server.secret)
        assert dest.exists() == (status == 0)
        if status == 0:
            assert dest.read_bytes() == strict_reader.decode(rig.dir / "stored.lz4")
            dest.unlink()
    absent = "0000000100000000000000F0"
    wal_fetch(there, 0)
    wal_fetch(absent, 74)
    wal_fetch("00000007.history", 74)
    for env in ignorance:
        wal_fetch(absent, 200, **env)
        wal_fetch("00000007.history", 200, **env)
    # in recovery an empty prefix proves nothing
    (pg.data / "recovery.signal").touch()
    rig.own(pg.data / "recovery.signal")
    wal_fetch(absent, 74)
    wal_fetch(absent, 200, **wrong)
    # a standby asks again
    (pg.data / "recovery.signal").rename(pg.data / "standby.signal")
    for env in ({}, wrong, *ignorance):
        wal_fetch(absent, 1, **env)
    wal_fetch(there, 0)


def test_wal_push_keeps_what_is_there_and_tells_the_same_from_another(rig, bucket):
    pg = story.archived(rig, small=True, conf={"archive_command": "'false'"})
    pg.sql("select pg_switch_wal()")
    pg.sql("create table t as select g, md5(g::text) from generate_series(1, 50000) g")
    name = pg.sql("select pg_walfile_name(pg_current_wal_lsn())")
    pg.sql("select pg_switch_wal()")
    pg.stop()
    path = pg.data / "pg_wal" / name
    key = f"walpipe/main/wal_005/{name}.lz4"
    rig.walpipe("wal-push", path, cwd=pg.data)
    stored = bucket.get(key)
    rig.walpipe("wal-push", path, cwd=pg.data)
    rig.settings["WALG_COMPRESSION_METHOD"] = "none"
    rig.walpipe("wal-push", path, cwd=pg.data)          # however it is compressed
    del rig.settings["WALG_COMPRESSION_METHOD"]
    assert bucket.get(key) == stored and bucket.keys("walpipe/main/wal_005/") == [key]
    other = bytearray(path.read_bytes())
    other[5 << 20] ^= 1
    path.write_bytes(other)
    r = rig.walpipe("wal-push", path, cwd=pg.data, status=73)
    story.one_error(r)
    assert bucket.get(key) == stored
    # what cannot be stored is no success, and no status that kills the archiver
    for env in ({"AWS_ENDPOINT": f"http://127.0.0.1:{closed_port()}", "S3_MAX_RETRIES": "1"}, {"AWS_SECRET_ACCESS_KEY": "wrong"},
                {"WALG_S3_PREFIX": f"s3://{bucket.name}-not/walpipe/main"}):
        r = rig.walpipe("wal-push", path, cwd=pg.data, env=env, status=range(1, 126))
        story.one_error(r)
        s3.clean(r.err, bucket.server.secret)


# ---- kill -9

def kills(long):
    return Rounds(long, 3, 100, "WALPIPE_TEST_S3_KILLS")


@pytest.mark.parametrize("victim", ["backup-push", "pg-snapshot", "tarpart", "s3put", "compress", "catalog"])
def test_a_backup_that_lost_a_process_is_never_listed(rig, bucket, victim, long):
    rig.settings.update(WALG_TAR_SIZE_THRESHOLD="2000000")
    pg = story.archived(rig, small=True)
    rig.settings["KILLTEST"] = "1"
    dice = random.Random(rig.name)
    whole, rounds = set(), kills(long)
    for _ in rounds:
        p = rig.spawn("walpipe", "backup-push", pg.data, env=pg.env(), stderr=open(rig.dir / "push.err", "wb"))
        nth = dice.randint(1, {"catalog": 5, "compress": 5, "s3put": 6, "tarpart": 2, "pg-snapshot": 2}.get(victim, 1))
        rounds.hits += strike(p, victim, nth, dice.choice((0, 0.001, 0.01, 0.03, 0.08)) * dice.random())
        code = p.wait(120)
        nobody_left(rig)
        now = set(bucket.backups())
        new = now - whole
        assert len(new) == 1 if code == 0 else victim == "backup-push" or len(new) <= 1, (new, (rig.dir / "push.err").read_text(errors="replace"))
        whole = now
        for n in new:
            reader = strict_reader.Reader(rig.repository(), allow_unfinished=True)
            assert reader.check(n) == []
            dest = rig.dir / "check"
            reader.restore(n, str(dest))
            shutil.rmtree(dest)
        listed = rig.walpipe("backup-list").out
        assert {w.split()[0] for w in listed.splitlines()[1:]} == whole
    rounds.enough(rig, victim)
    pg.backup()
    rig.strict(allow_unfinished=True)


@pytest.mark.parametrize("victim", ["wal-push", "s3put", "compress", "walcat"])
def test_a_segment_whose_push_lost_a_process_is_whole_or_absent(rig, bucket, victim, long):
    pg = story.archived(rig, small=True, conf={"archive_command": "'false'"})
    rig.settings["KILLTEST"] = "1"
    pg.sql("select pg_switch_wal()")
    pg.sql("create table t as select g, md5(g::text) from generate_series(1, 50000) g")
    name = pg.sql("select pg_walfile_name(pg_current_wal_lsn())")
    pg.sql("select pg_switch_wal()")
    pg.stop()
    path = pg.data / "pg_wal" / name
    want = path.read_bytes()
    key = f"walpipe/main/wal_005/{name}.lz4"
    dice = random.Random(rig.name)
    rounds = kills(long)

    def stored():
        data = bucket.get(key)
        return data and strict_reader.decode(rig.write("stored.lz4", data))
    for _ in rounds:
        p = rig.spawn("walpipe", "wal-push", path, cwd=pg.data)
        rounds.hits += strike(p, victim, 1, dice.choice((0, 0.001, 0.01, 0.03)) * dice.random())
        code = p.wait(60)
        nobody_left(rig)
        there = stored()
        assert there == want or (there is None and code != 0)
        assert -9 == code or code <= 125
        rig.walpipe("wal-push", path, cwd=pg.data)
        assert stored() == want
        bucket.delete(key)
    rounds.enough(rig, victim)


@pytest.mark.parametrize("victim", ["wal-fetch", "s3get", "compress"])
def test_a_segment_whose_fetch_lost_a_process_is_whole_or_absent(rig, bucket, victim, long):
    pg = story.archived(rig, small=True)
    pg.sql("create table t as select g, md5(g::text) from generate_series(1, 50000) g")
    name = pg.switch()
    pg.stop()
    rig.settings["KILLTEST"] = "1"
    want = strict_reader.decode(rig.write("stored.lz4", bucket.get(f"walpipe/main/wal_005/{name}.lz4")))
    rig.mkdir("here")
    dest = rig.dir / "here" / "RECOVERYXLOG"
    dice = random.Random(rig.name)
    rounds = kills(long)
    for _ in rounds:
        p = rig.spawn("walpipe", "wal-fetch", name, dest, cwd=pg.data)
        rounds.hits += strike(p, victim, 1, dice.choice((0, 0.001, 0.01)) * dice.random())
        code = p.wait(60)
        nobody_left(rig)
        assert code not in (1, 74), "a loss that looks like the end of WAL"
        assert dest.exists() or code != 0
        assert not dest.exists() or dest.read_bytes() == want
        dest.unlink(missing_ok=True)
        rig.walpipe("wal-fetch", name, dest, cwd=pg.data)
        assert dest.read_bytes() == want
        dest.unlink()
    rounds.enough(rig, victim)


def test_the_configuration_file_alone_carries_the_story(rig, bucket):
    """As an installation has it: no setting in the environment of the server or of cron."""
    settings = {k: rig.settings.pop(k) for k in list(rig.settings) if k.startswith(("AWS_", "WALG_"))}
    rig.write("walg.json", json.dumps(settings), 0o600)
    rig.settings["WALG_CONFIG_PATH"] = str(rig.dir / "walg.json")
    pg = story.archived(rig, small=True)
    pg.backup()
    pg.sql("create table later as select g from generate_series(1, 1000) g")
    pg.switch()
    want = pg.digests()
    pg.destroy()
    story.fetch(rig, pg.data)
    auto = (pg.data / "postgresql.auto.conf").read_text()
    assert bucket.server.secret not in auto and "walg.json" in auto
    back = pg.restored("back", pg.data)
    back.start().wait_recovered()
    assert back.digests() == want
