"""pg_upgrade: the cluster goes on in its repository once it was adopted, and not before."""

import os

from lib import need, story
from lib.cluster import server_bin


def upgraded(rig, old):
    """What pg_upgrade makes of a cluster that was shut down."""
    tools = server_bin(old.major)
    if not (tools / "pg_upgrade").exists():
        need.skip("pg_upgrade", f"not in {tools}")
    new = rig.cluster("upgraded", major=old.major)
    rig.run(tools / "pg_upgrade", "-b", tools, "-B", tools, "-d", old.data, "-D", new.data, "-s", rig.dir, "-U", "postgres",
            cwd=rig.mkdir("upgrade"), env={"PGHOST": None, "PGPORT": None, "PGUSER": None}, timeout=180)
    return new


def test_a_cluster_goes_on_after_pg_upgrade_once_it_was_adopted(rig):
    old = story.archived(rig)
    old.sql("create table t as select g from generate_series(1, 1000) g")
    old.backup()
    repo = rig.settings["WALG_FILE_PREFIX"]
    before_upgrade = story.now(old)
    old.sql("create table later (a int)")
    old.switch()
    old_end = old.digests()
    old.stop()
    first = story.names(repo)
    new = upgraded(rig, old)
    new.start()
    was = sorted(os.listdir(repo + "/wal_005"))

    # not before: neither its WAL nor its backup, and what to do is said
    r = rig.walpipe("backup-push", new.data, env=new.env({"WALPIPE_ARCHIVE_TIMEOUT": "2"}), status=78)
    assert "walpipe adopt" in r.err
    story.one_error(r)
    name = new.sql("select pg_walfile_name(pg_current_wal_lsn())")
    new.sql("select pg_switch_wal()")
    r = rig.walpipe("wal-push", new.data / "pg_wal" / name, cwd=new.data, status=78)
    assert "walpipe adopt" in r.err
    assert sorted(os.listdir(repo + "/wal_005")) == was

    r = rig.walpipe("adopt", new.data)
    assert r.out == "" and "now also that of the cluster with system identifier" in r.err
    r = rig.walpipe("adopt", env={"PGDATA": new.data})
    assert "already" in r.err
    rig.walpipe("adopt", old.data)      # it is still known

    new.backup()
    new.sql("insert into t select g from generate_series(1, 10) g")
    new.switch()
    want = new.digests()
    new.stop()
    assert len(story.names(repo)) == len(first) + 1
    rig.strict(allow_unfinished=True)

    # the new one comes back to its end, the old one to before the upgrade
    story.fetch(rig, rig.dir / "copy")
    copy = new.restored("copy", rig.dir / "copy").start().wait_recovered()
    assert copy.digests() == want
    copy.stop()
    story.fetch(rig, rig.dir / "then", first[0], "--target-time", before_upgrade, "--target-action", "promote")
    then = old.restored("then", rig.dir / "then").start().wait_recovered()
    assert then.sql("select count(*) from t") == "1000"
    then.stop()

    # and, without a target, to its own end: the segment of its shutdown was never archived, and the new one's WAL lies behind it
    story.fetch(rig, rig.dir / "end", first[0])
    end = old.restored("end", rig.dir / "end").start().wait_recovered()
    assert end.digests() == old_end


def test_a_cluster_that_initdb_has_made_is_not_adopted(rig):
    pg = story.archived(rig, small=True)
    pg.backup()
    pg.switch()
    repo = rig.settings["WALG_FILE_PREFIX"]
    identity = repo + "/walpipe/FFFFFFFFFFFFFFFFFFFFFFFF.json"
    with open(identity, "rb") as f:
        was = f.read()
    other = rig.cluster("other", small=True)
    r = rig.walpipe("adopt", other.data, status=78)
    assert "is stored already" in r.err
    story.one_error(r)
    with open(identity, "rb") as f:
        assert f.read() == was
