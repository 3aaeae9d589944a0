"""Steps that many scenarios share."""

import datetime
import os
import pathlib
import time

from .rig import wait_for


def archived(rig, *words, scale=0, **more):
    """A running cluster that archives into a repository of its own."""
    if "WALG_FILE_PREFIX" not in rig.settings and not rig.bucket:
        rig.repo()
    rig.want_tools("walpipe", "wal-push", "backup-push")
    pg = rig.cluster(*words, **more)
    if not pg.running():
        pg.start()
    if scale:
        pg.pgbench(scale)
    return pg


def fetch(rig, data, name="LATEST", *words, **more):
    rig.want_tools("walpipe", "backup-fetch")
    return rig.walpipe("backup-fetch", data, name, *words, **more)


def absent_or_empty(path):
    path = pathlib.Path(path)
    return not path.exists() or not os.listdir(path)


def one_error(result):
    """A person finds one clear message: tool, words, no backtrace, no Rust type."""
    lines = [line for line in result.err.splitlines() if line.strip()]
    assert lines, f"says nothing: {result}"
    text = result.err
    for ugly in ("panicked at", "backtrace", "RUST_", "Os {", "Err(", "Error {", "unwrap()", "No such variant"):
        assert ugly not in text, text
    errors = [line for line in lines if "HINT:" not in line and "note:" not in line.lower() and "warning" not in line.lower()]
    assert errors, f"no message: {result}"
    assert ": " in errors[-1], f"does not say which tool: {errors}"
    return errors


def now(pg):
    """The server's time, between transactions before and after, as a recovery target."""
    time.sleep(0.05)
    stamp = pg.sql("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    time.sleep(0.05)
    return stamp


def utc(seconds=0):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def at_target(pg, seconds=60):
    """Wait until recovery has reached its target: paused there, or open."""
    paused = "pg_get_wal_replay_pause_state() = 'paused'" if pg.major >= 14 else "pg_is_wal_replay_paused()"

    def done():
        assert pg.process.poll() is None, f"ended with {pg.process.returncode}\n{pg.tail()}"
        r = pg.psql("select not pg_is_in_recovery()", status=None)
        if r.status:
            return False
        return r.out.strip() == "t" or pg.psql(f"select {paused}", status=None).out.strip() == "t"
    wait_for(done, seconds, 0.05, why="the recovery target")
    return pg


def never_opened(pg):
    """Recovery did not end in an open cluster: no new timeline, no word of it in the log."""
    log = pg.tail(100000)
    assert "archive recovery complete" not in log, log[-3000:]
    assert "selected new timeline" not in log, log[-3000:]


def names(repo):
    import strict_reader
    return strict_reader.Reader(str(repo)).names()


def parts(repo, name):
    return sorted((pathlib.Path(repo) / "basebackups_005" / name / "tar_partitions").iterdir())


def size_of(path):
    return sum(f.stat().st_size for f in pathlib.Path(path).rglob("*") if f.is_file())
