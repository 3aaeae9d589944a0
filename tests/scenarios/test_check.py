"""walpipe check: what it says of a repository is so."""

import os

import pytest

from lib import s3, story
from lib.faults import Proxy


def lines(result):
    """{what: how}, of the lines it printed."""
    return {line.split()[1]: line.split()[0] for line in result.out.splitlines()}


FRESH = {"settings": "ok", "reach": "ok", "write": "ok", "create-only": "ok", "identity": "note", "backups": "note"}


def test_it_says_how_a_local_repository_is(rig):
    repo = rig.repo()
    r = rig.walpipe("check")
    assert lines(r) == FRESH and r.err == ""
    pg = story.archived(rig, small=True)
    name = pg.backup()
    r = rig.walpipe("check", pg.data)
    assert set(lines(r).values()) == {"ok"} and r.err == "", r.out
    assert f"1, the newest {name}" in r.out and str(pg.sql("select system_identifier from pg_control_system()")) in r.out
    other = rig.cluster("other", archive=False)
    r = rig.walpipe("check", other.data, status=78)
    assert lines(r)["identity"] == "failed" and "walpipe adopt" in r.err
    assert len(r.err.splitlines()) == 2, r.err
    rig.strict()
    assert not [f for _, _, files in os.walk(repo) for f in files if "check-" in f or "probe-" in f]


def test_it_writes_down_whose_the_repository_is(rig):
    rig.repo()
    mine, other = (rig.cluster(name, archive=False) for name in ("mine", "other"))
    rig.walpipe("check", mine.data)
    assert lines(rig.walpipe("check"))["identity"] == "ok"
    rig.walpipe("check", other.data, status=78)


def test_what_may_only_be_read_cannot_be_used(rig):
    repo = rig.repo()
    os.chmod(repo, 0o555)
    try:
        r = rig.walpipe("check", status=77)
    finally:
        os.chmod(repo, 0o755)
    assert lines(r) == {**FRESH, "write": "failed", "create-only": "skipped"}
    story.one_error(r)


@pytest.fixture
def bucket(rig):
    rig.want_tools("walpipe", "s3put", "s3get", "s3ls", "s3rm")
    return s3.repository(rig)


def test_it_says_how_a_bucket_is(rig, bucket):
    r = rig.walpipe("check")
    said = lines(r)
    assert said.pop("create-only") in ("ok", "note")
    assert said.items() <= FRESH.items() and r.err == ""
    assert bucket.keys() == [] and bucket.uploads() == []
    mine = rig.cluster("mine", archive=False)
    rig.walpipe("check", mine.data)
    assert [key.rsplit("/", 1)[1] for key in bucket.keys()] == ["FFFFFFFFFFFFFFFFFFFFFFFF.json"]
    text = bucket.get(bucket.keys()[0]).decode()
    assert '"create_only"' in text and lines(rig.walpipe("check"))["identity"] == "ok"


@pytest.mark.parametrize("wrong, status, words", [
    ({"AWS_SECRET_ACCESS_KEY": "wrong"}, 77, "secret"), ({"WALG_S3_PREFIX": "s3://walpipe-no-such-bucket/x"}, 66, "no bucket"),
    ({"AWS_ENDPOINT": "http://127.0.0.1:9", "S3_MAX_RETRIES": "1"}, 69, "cannot connect"),
])
def test_a_bucket_that_cannot_be_asked_is_said_so(rig, bucket, wrong, status, words):
    r = rig.walpipe("check", env=wrong, status=status)
    said = lines(r)
    assert said.pop("settings") == "ok" and said.pop("reach") == "failed"
    assert set(said.values()) == {"skipped"} and len(said) == 4
    story.one_error(r)
    assert words in r.err


def test_a_server_that_fails_in_the_middle_leaves_nothing(rig, bucket):
    with Proxy(bucket.server.endpoint) as proxy:
        proxy.on("get", path="check-", answer=(403, "AccessDenied", {}))
        r = rig.walpipe("check", env={"AWS_ENDPOINT": proxy.endpoint}, status=77)
    assert lines(r)["write"] == "failed" and "could not be read back" in r.out
    assert bucket.keys() == []
