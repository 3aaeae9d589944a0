"""The harness itself: what the other scenarios rely on to notice a loss."""

import os

import pytest

from lib.rig import Memory, children


@pytest.mark.parametrize("major", [10, 13, 14, 15, 16, 17, 18])
def test_a_server_starts_and_its_digests_notice_one_changed_row(rig, major):
    pg = rig.cluster(major=major, archive=False).start()
    pg.sql('create table "odd \'n\' ""q"" Ünï | x" (a int, b text); insert into "odd \'n\' ""q"" Ünï | x"'
           " select i, repeat('x', i) from generate_series(1, 50) i; create table empty (a int primary key)")
    pg.sql("create database second")
    pg.sql("create table t (a int primary key)", "second")
    before = pg.digests()
    assert len(before) == 3, before
    assert pg.digests() == before
    pg.sql('update "odd \'n\' ""q"" Ünï | x" set b = \'y\' where a = 7')
    changed = {k for k, v in pg.digests().items() if v != before[k]}
    assert len(changed) == 1
    assert pg.amcheck() > 20
    pg.stop()
    assert not pg.running()


def test_a_broken_index_is_seen_by_amcheck(rig):
    pg = rig.cluster(archive=False, checksums=False).start()
    pg.sql("create table t as select g a from generate_series(1, 2000) g; create index on t (a); checkpoint")
    pg.amcheck()
    path = pg.data / pg.sql("select pg_relation_filepath('t_a_idx')")
    pg.stop()
    with open(path, "r+b") as f:
        f.seek(8192 + 100)
        f.write(os.urandom(200))
    pg.start()
    with pytest.raises(AssertionError):
        pg.amcheck()


def test_memory_of_each_process_is_seen(rig):
    p = rig.spawn("sh", "-c", "head -c 64000000 /dev/zero | tail -c 64000000 | sleep 1; true")
    with Memory(p.pid) as memory:
        p.wait()
    assert 60000 < memory.by_name()["tail"] < 80000
    assert children(os.getpid())[0][0] == os.getpid()
