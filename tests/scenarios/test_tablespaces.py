"""Tablespaces: kept in place, moved by words or by a restore spec, never mixed with what is there."""

import json
import os

import pytest

from lib import story


def with_tablespaces(rig):
    pg = story.archived(rig, small=True)
    places = [rig.mkdir("ts one"), rig.mkdir("ts2")]
    for i, p in enumerate(places):
        pg.sql(f"create tablespace \"sp {i}\" location '{p}'")
        pg.sql(f"create table in_{i} tablespace \"sp {i}\" as select g, repeat('x', 100) from generate_series(1, 2000) g")
    pg.sql("create index on in_0 (g) tablespace \"sp 1\"")
    pg.backup()
    pg.sql("insert into in_0 select g, 'later' from generate_series(1, 100) g")
    pg.switch()
    want = pg.digests()
    oids = pg.sql("select oid from pg_tablespace where spcname like 'sp%' order by spcname").split()
    return pg, places, oids, want


def test_tablespaces_come_back_in_their_places(rig):
    pg, places, oids, want = with_tablespaces(rig)
    rig.strict()
    pg.destroy()
    for p in places:
        for f in os.listdir(p):
            rig.run("rm", "-rf", p / f)
    story.fetch(rig, pg.data)
    for p, oid in zip(places, oids):
        assert os.readlink(pg.data / "pg_tblspc" / oid) == str(p)
    back = pg.restored("back", pg.data).start().wait_recovered()
    assert back.digests() == want
    back.amcheck()


def test_a_tablespace_whose_content_is_away_is_no_empty_one(rig):
    """Its disk is not mounted, and the mount point is there."""
    pg, places, oids, _ = with_tablespaces(rig)
    pg.sql("checkpoint")
    before = story.names(rig.settings["WALG_FILE_PREFIX"])
    inner, = os.listdir(places[0])
    os.rename(places[0] / inner, rig.dir / "away")
    r = rig.walpipe("backup-push", pg.data, env=pg.env(), status=78)
    assert oids[0] in r.err and inner in r.err, r.err
    os.rename(rig.dir / "away", places[0] / inner)
    assert story.names(rig.settings["WALG_FILE_PREFIX"]) == before
    pg.backup()


def test_what_root_restores_the_server_can_enter(rig):
    rig.want_root("a restore as root")
    pg, places, oids, want = with_tablespaces(rig)
    pg.stop()
    rig.mkdir("new", 0o755)
    dest, moved = rig.dir / "new/a/b/pg", [rig.dir / "new/c/d/ts one", rig.dir / "new/e"]
    os.chown(rig.dir / "new", 0, 0)
    words = [w for p, m in zip(places, moved) for w in ("--tablespace", f"{p}={m}")]
    rig.walpipe("backup-fetch", dest, "LATEST", *words, root=True)
    owner = os.stat(pg.data).st_uid
    assert [os.stat(p).st_uid for p in (dest, *moved)] == [owner] * 3
    back = pg.restored("back", dest).start().wait_recovered()
    assert back.digests() == want


@pytest.mark.parametrize("how", ["words", "spec"])
def test_a_copy_beside_the_running_original_touches_nothing_of_it(rig, how):
    pg, places, oids, want = with_tablespaces(rig)
    dest, moved = rig.dir / "copy", [rig.dir / "moved one", rig.dir / "moved2"]
    if how == "words":
        words = [w for p, m in zip(places, moved) for w in ("--tablespace", f"{p}={m}")]
    else:
        spec = {"base_prefix": str(dest), "tablespaces": oids}
        spec.update({o: {"loc": str(m), "link": "pg_tblspc/" + o} for o, m in zip(oids, moved)})
        words = ["--restore-spec", rig.write("spec.json", json.dumps(spec))]
    story.fetch(rig, dest, "LATEST", *words)
    assert not (dest / "tablespace_map").exists()
    for m, oid in zip(moved, oids):
        assert os.readlink(dest / "pg_tblspc" / oid) == str(m)
    back = pg.restored("back", dest).start().wait_recovered()
    assert back.digests() == want
    back.sql("drop table in_0, in_1")
    back.stop()
    assert pg.digests() == want


def test_a_tablespace_s_place_that_is_not_empty_is_refused_before_any_copying(rig):
    pg, places, _, want = with_tablespaces(rig)
    dest = rig.dir / "copy"
    said = story.fetch(rig, dest, status=73)      # the original still stands in its places
    story.one_error(said)
    assert story.absent_or_empty(dest)
    moved = rig.mkdir("moved")
    rig.write("moved/precious", "x")
    story.fetch(rig, dest, "LATEST", "--tablespace", f"{places[0]}={moved}", "--tablespace", f"{places[1]}={rig.dir}/m2", status=73)
    assert os.listdir(moved) == ["precious"] and story.absent_or_empty(dest) and story.absent_or_empty(rig.dir / "m2")
    assert pg.digests() == want


def test_a_wrong_word_for_a_tablespace_is_refused(rig):
    pg, places, oids, _ = with_tablespaces(rig)
    dest = rig.dir / "copy"
    for words, status in ((["--tablespace", "/no/such/place=/tmp/x"], "fail"), (["--tablespace", "noequals"], 64),
                          (["--tablespace", f"{places[0]}=relative"], "fail"),
                          (["--restore-spec", str(rig.dir / "absent.json")], "fail"),
                          (["--restore-spec", str(rig.write("bad.json", "{"))], "fail")):
        said = story.fetch(rig, dest, "LATEST", *words, status=status)
        story.one_error(said)
        assert story.absent_or_empty(dest), words
    assert oids
