"""Repositories that real wal-g binaries wrote: what walpipe makes of them."""

import json
import os
import shutil

import pytest

import strict_reader
from lib import need, shared, story

FULL = [("v309-pg15-lz4-full", 0), ("v309-pg15-none-full", 0), ("v309-pg15-no-metadata", 0), ("v309-pg15-composers", 0),
        ("v309-pg15-composers", 1), ("v309-pg15-copy-composer", 0), ("v309-pg15-copy-composer", 1), ("v309-pg16-timelines", 0),
        ("v309-pg16-timelines", 1), ("v309-pg14-standby", 0), ("v029-pg10-lz4-full", 0),
        ("v309-pg15-lz4-delta", 0), ("v029-pg13-lz4-delta", 0)]
REFUSED = [("v309-pg15-lzma-full", 0), ("v309-pg15-zstd-full", 0), ("v309-pg17-zstd-remote", 0), ("v029-pg10-lzma-full", 0),
           ("v029-pg10-brotli-full", 0), ("v309-pg15-lz4-delta", 1), ("v309-pg15-lz4-delta", 2), ("v029-pg13-lz4-delta", 1),
           ("v029-pg13-lz4-delta", 2), ("v309-pg15-pgp", 0), ("v309-pg15-pgp-passphrase", 0), ("v309-pg15-libsodium-hex", 0),
           ("v309-pg15-libsodium-base64", 0), ("v029-pg13-pgp", 0)]


def prepare(rig, name, index):
    repo, expect = rig.fixture(name)
    rig.settings["WALG_FILE_PREFIX"] = str(repo)
    backup = expect["backups"][index]
    spec = repo.parent / "spec.json"
    words = []
    if (shared.fixture(name) / "restore-spec.json").exists():
        rig.mkdir("ts1")
        rig.write("spec.json", json.dumps({"base_prefix": str(rig.dir / "data"), "tablespaces": ["16384"],
                                           "16384": {"loc": str(rig.dir / "ts1"), "link": "pg_tblspc/16384"}}))
        words = ["--restore-spec", str(spec)]
    return expect, backup, words


@pytest.mark.parametrize("name,index", FULL)
def test_a_full_backup_of_wal_g_restores_to_the_same_files(rig, name, index):
    _, backup, words = prepare(rig, name, index)
    dest = rig.dir / "data"
    story.fetch(rig, dest, backup["name"], "--files-only", *words)
    files = backup["files"].replace(".tsv", "-restore-spec.tsv") if words else backup["files"]
    want = [(n, s, d if not d.startswith("link:") else f"link:{rig.dir}/ts1")
            for n, s, d in strict_reader.read_listing(shared.fixture(name) / files)]
    assert strict_reader.listing(dest) == want
    for folder, _, names in os.walk(dest):
        assert os.stat(folder).st_mode & 0o777 == 0o700, folder
        for f in names:
            assert os.stat(os.path.join(folder, f)).st_mode & 0o777 == 0o600, f


@pytest.mark.parametrize("name,index", FULL)
def test_a_full_backup_of_wal_g_recovers_and_answers(rig, name, index):
    expect, backup, words = prepare(rig, name, index)
    dest = rig.dir / "data"
    pg = rig.cluster("back", expect["postgres_major"], data=dest)
    story.fetch(rig, dest, backup["name"], *words)
    pg.start().wait_recovered()
    for query, answer in backup["sql"].items():
        assert pg.sql(query) == answer, query
    assert pg.sql("show archive_mode") == "off"


@pytest.mark.parametrize("row", range(5))
def test_each_timeline_of_the_past_can_be_recovered(rig, row):
    repo, expect = rig.fixture("v309-pg16-timelines")
    rig.settings["WALG_FILE_PREFIX"] = str(repo)
    recovery = expect["recoveries"][row]
    pg = rig.cluster("back", 16, data=rig.dir / "data")
    story.fetch(rig, pg.data, recovery["backup"])
    pg.start(recovery_target_timeline=recovery["recovery_target_timeline"]).wait_recovered()
    for query, answer in recovery["sql"].items():
        assert pg.sql(query) == answer, query


def test_the_original_place_of_a_tablespace_is_used_by_default(rig):
    rig.want_root("makes /srv/db")
    if os.path.exists("/srv/db"):
        need.skip("root", "/srv/db is there already")
    repo, expect = rig.fixture("v309-pg15-lz4-full")
    rig.settings["WALG_FILE_PREFIX"] = str(repo)
    os.makedirs("/srv/db")
    rig.finalizers.append(lambda: shutil.rmtree("/srv/db"))
    rig.own("/srv/db")
    story.fetch(rig, "/srv/db/data", expect["backups"][0]["name"], "--files-only")
    want = strict_reader.read_listing(shared.fixture("v309-pg15-lz4-full") / "files-1.tsv")
    assert strict_reader.listing("/srv/db/data") == want


@pytest.mark.parametrize("name,index", REFUSED)
def test_what_cannot_be_read_yet_is_refused_before_anything_is_written(rig, name, index):
    repo, expect = rig.fixture(name)
    rig.settings["WALG_FILE_PREFIX"] = str(repo)
    for k, v in expect["settings"].items():
        if k.startswith(("WALG_PGP", "WALG_GPG", "WALG_LIBSODIUM")):
            rig.settings[k] = str(rig.copy(shared.fixture(name) / v, "key")) if v.startswith("keys/") else v
    dest = rig.dir / "data"
    said = story.fetch(rig, dest, expect["backups"][index]["name"], "--files-only", status=78)
    story.one_error(said)
    assert story.absent_or_empty(dest)


def listings():
    path = shared.ROOT.parent / "shared"
    index = (path if not os.environ.get("WALPIPE_SHARED") else shared.directory()) / "fixtures/listing/index.json"
    if not index.exists():
        return []
    return [o for o in json.loads(index.read_text())["outputs"] if o["args"][0] == "backup-list"]


@pytest.mark.parametrize("output", listings(), ids=lambda o: o["stdout"])
def test_lists_are_the_same_bytes_as_wal_g_prints(rig, output):
    repo, _ = rig.fixture(output["fixture"])
    rig.want_tools("backup-list")
    r = rig.walpipe(*output["args"], env={"WALG_FILE_PREFIX": repo}, status=output["exit"], text=False)
    want = (shared.fixture("listing") / output["stdout"]).read_bytes()
    assert r.out == want
