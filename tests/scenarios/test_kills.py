"""kill -9 of every process of every chain: what is visible afterwards is whole, and the next run succeeds."""

import os
import random
import shutil
import signal
import time

import pytest

import strict_reader
from lib import story
from lib.rig import children, what_runs


def strike(p, victim, nth, after):
    """kill -9 the nth process of that name, some time after it was seen; False if it never came."""
    end = time.monotonic() + 60
    seen = set()
    while p.poll() is None and time.monotonic() < end:
        for pid, _ in children(p.pid):
            if pid not in seen and what_runs(pid) == victim:
                seen.add(pid)
                if len(seen) < nth:
                    continue
                time.sleep(after)
                try:
                    os.kill(pid, signal.SIGKILL)
                    return True
                except ProcessLookupError:
                    return False
        time.sleep(0.0005)
    return False


def nobody_left(rig):
    """No program of ours runs on (the server and its archiver aside)."""
    mark = f"RIG_DIR={rig.dir}".encode()

    def ours():
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/environ", "rb") as f:
                        environ = f.read().split(b"\0")
                    with open(f"/proc/{entry}/stat", "rb") as f:
                        stat = f.read()
                except OSError:
                    continue
                name = what_runs(entry)
                if mark in environ and b"KILLTEST=1" in environ and stat[stat.rindex(b")") + 2:stat.rindex(b")") + 3] != b"Z" and name:
                    found.append((int(entry), name))
        return found
    end = time.monotonic() + 5
    while ours():
        assert time.monotonic() < end, f"still there: {ours()}"
        time.sleep(0.02)


class Rounds:
    """As many rounds as it takes to kill so often: a few times, many times under --long, or as the setting says."""

    def __init__(self, long, few=20, many=500, setting="WALPIPE_TEST_KILLS"):
        self.wanted = int(os.environ.get(setting, many if long else few))
        self.hits = self.tried = 0

    def __iter__(self):
        while self.hits < self.wanted and self.tried < 10 * self.wanted:
            self.tried += 1
            yield self.tried

    def enough(self, rig, victim):
        rig.note(["kills"], self.hits, f"{victim}: {self.hits} kills in {self.tried} rounds")
        if path := os.environ.get("WALPIPE_TEST_KILLS_LOG"):
            with open(path, "a", encoding="utf-8") as f:
                f.write(f"{rig.name}: {self.hits} kills in {self.tried} rounds\n")
        assert self.hits == self.wanted, f"{victim} was killed {self.hits} times in {self.tried} rounds, not {self.wanted}"


@pytest.mark.parametrize("victim", ["backup-push", "pg-snapshot", "tarpart", "fileput", "compress", "catalog"])
def test_a_backup_that_lost_a_process_is_never_listed(rig, victim, long):
    rig.settings.update(WALG_TAR_SIZE_THRESHOLD="2000000")
    pg = story.archived(rig, small=True)
    rig.settings["KILLTEST"] = "1"
    repo = rig.settings["WALG_FILE_PREFIX"]
    dice = random.Random(rig.name)
    whole, rounds = set(), Rounds(long)
    for _ in rounds:
        p = rig.spawn("walpipe", "backup-push", pg.data, env=pg.env(), stderr=open(rig.dir / "push.err", "wb"))
        hit = strike(p, victim, dice.randint(1, {"catalog": 7, "compress": 5, "fileput": 8, "tarpart": 2, "pg-snapshot": 2}.get(victim, 1)),
                     dice.choice((0, 0.001, 0.01, 0.03, 0.08)) * dice.random())
        code = p.wait(120)
        rounds.hits += hit
        nobody_left(rig)
        now = set(story.names(repo))
        new = now - whole
        said = (rig.dir / "push.err").read_text(errors="replace")
        if code == 0:
            assert len(new) == 1, (new, said)
        elif victim != "backup-push":
            # killed in the instant after the sentinel was put, a backup may be whole and its command have failed
            assert len(new) <= 1, new
        whole = now
        for n in new:
            reader = strict_reader.Reader(repo, allow_unfinished=True)
            assert reader.check(n) == []
            dest = rig.dir / "check"
            reader.restore(n, str(dest))
            shutil.rmtree(dest)
        listed = rig.walpipe("backup-list").out
        assert set(w.split()[0] for w in listed.splitlines()[1:]) == whole
        keep_small(repo, whole)
    rounds.enough(rig, victim)
    pg.backup()
    rig.strict(allow_unfinished=True)


def keep_small(repo, whole):
    """Forget what is behind, WAL and what a kill left as well, so that 500 rounds fit."""
    if not whole:
        return
    oldest = sorted(whole)[-2:][0]
    whole -= {n for n in whole if n < oldest}
    for folder, first in (("basebackups_005", oldest), ("wal_005", oldest.removeprefix("base_"))):
        for n in os.listdir(f"{repo}/{folder}"):
            if n < first:
                path = f"{repo}/{folder}/{n}"
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


@pytest.mark.parametrize("victim", ["wal-push", "fileput", "compress", "walcat", "catalog"])
def test_a_segment_whose_push_lost_a_process_is_whole_or_absent(rig, victim, long):
    pg = story.archived(rig, small=True, conf={"archive_command": "'false'"})     # keeps its segments
    rig.settings["KILLTEST"] = "1"
    pg.sql("select pg_switch_wal()")
    pg.sql("create table t as select g, md5(g::text) from generate_series(1, 50000) g")
    name = pg.sql("select pg_walfile_name(pg_current_wal_lsn())")
    pg.sql("select pg_switch_wal()")
    pg.stop()
    path = pg.data / "pg_wal" / name
    want = path.read_bytes()
    repo = rig.settings["WALG_FILE_PREFIX"]
    stored = f"{repo}/wal_005/{name}.lz4"
    dice = random.Random(rig.name)
    rounds = Rounds(long)
    for _ in rounds:
        shutil.rmtree(pg.data / "pg_wal/walpipe", ignore_errors=True)       # so that catalog looks each time
        p = rig.spawn("walpipe", "wal-push", path, cwd=pg.data)
        rounds.hits += strike(p, victim, 1, dice.choice((0, 0.001, 0.01, 0.03)) * dice.random())
        code = p.wait(60)
        nobody_left(rig)
        assert code != 0 or os.path.exists(stored)
        assert -9 == code or code <= 125
        if os.path.exists(stored):
            assert strict_reader.decode(stored) == want
        rig.walpipe("wal-push", path, cwd=pg.data)
        assert strict_reader.decode(stored) == want
        os.unlink(stored)
    rounds.enough(rig, victim)
    rig.walpipe("wal-push", path, cwd=pg.data)
    rig.strict(allow_unfinished=True)


@pytest.mark.parametrize("victim", ["wal-fetch", "compress", "walcat"])
def test_a_segment_whose_fetch_lost_a_process_is_whole_or_absent(rig, victim, long):
    pg = story.archived(rig, small=True)
    pg.sql("create table t as select g, md5(g::text) from generate_series(1, 50000) g")
    name = pg.switch()
    pg.stop()
    rig.settings["KILLTEST"] = "1"
    want = strict_reader.decode(f"{rig.settings['WALG_FILE_PREFIX']}/wal_005/{name}.lz4")
    dest = rig.dir / "here" / "RECOVERYXLOG"
    rig.mkdir("here")
    dice = random.Random(rig.name)
    rounds = Rounds(long)
    for _ in rounds:
        p = rig.spawn("walpipe", "wal-fetch", name, dest, cwd=pg.data)
        rounds.hits += strike(p, victim, 1, dice.choice((0, 0.001, 0.01, 0.03)) * dice.random())
        code = p.wait(60)
        nobody_left(rig)
        assert code not in (1, 74), "a loss that looks like the end of WAL"
        if dest.exists():
            assert dest.read_bytes() == want
            dest.unlink()
        else:
            assert code != 0
        rig.walpipe("wal-fetch", name, dest, cwd=pg.data)
        assert dest.read_bytes() == want
        dest.unlink()
    rounds.enough(rig, victim)
    left = [f for f in os.listdir(rig.dir / "here") if f != "walpipe"]
    assert len(left) <= rounds.tried, left


@pytest.mark.parametrize("victim", ["backup-fetch", "tarpart", "compress", "catalog"])
def test_a_restore_that_lost_a_process_cannot_be_started(rig, victim, long):
    rig.settings["WALG_TAR_SIZE_THRESHOLD"] = "2000000"
    pg = story.archived(rig, small=True)
    pg.backup()
    pg.stop()
    rig.settings["KILLTEST"] = "1"
    dice = random.Random(rig.name)
    dest = rig.dir / "copy"
    want = None
    rounds = Rounds(long)
    for _ in rounds:
        p = rig.spawn("walpipe", "backup-fetch", dest, "LATEST", "--files-only")
        rounds.hits += strike(p, victim, dice.randint(1, 3 if victim in ("catalog", "compress") else 1), dice.choice((0, 0.001, 0.01, 0.03, 0.06)) * dice.random())
        code = p.wait(60)
        nobody_left(rig)
        if code != 0:
            if (dest / "global/pg_control").exists():
                # everything was there already: then it is whole
                assert (dest / "backup_label").exists()
            subprocess_clean(rig, dest)
        else:
            got = strict_reader.listing(dest)
            want = want or got
            assert got == want
            subprocess_clean(rig, dest)
    rounds.enough(rig, victim)
    story.fetch(rig, dest, "LATEST", "--files-only")
    if want:
        assert strict_reader.listing(dest) == want


def subprocess_clean(rig, dest):
    rig.run("rm", "-rf", dest)


def slow_push(rig, pg):
    """A backup in the middle of its copying, which takes half a minute."""
    rig.settings.update(WALG_DISK_RATE_LIMIT=str(1 << 20), KILLTEST="1")
    p = rig.spawn("walpipe", "backup-push", pg.data, env=pg.env(), stderr=open(rig.dir / "push.err", "wb"))
    for _ in range(2000):
        if any(what_runs(pid) == "tarpart" for pid, _ in children(p.pid)):
            break
        time.sleep(0.005)
    time.sleep(0.3)
    return p


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_backup_with_its_status_and_leaves_nobody(rig, sig):
    pg = story.archived(rig, small=True)
    p = slow_push(rig, pg)
    p.send_signal(sig)
    assert p.wait(30) in (128 + sig, -sig), (rig.dir / "push.err").read_text()
    nobody_left(rig)
    assert story.names(rig.settings["WALG_FILE_PREFIX"]) == []
    assert os.listdir(rig.dir / "tmp") == []
    assert "no backup was made" in (rig.dir / "push.err").read_text()
    base = rig.settings["WALG_FILE_PREFIX"] + "/basebackups_005"
    assert [f for _, _, files in os.walk(base) for f in files] == [], "parts of no backup are left"
    assert pg.sql("select count(*) from pg_stat_activity where application_name like '%walpipe%' or query like '%backup_start%'"
                  " and pid <> pg_backend_pid()") == "0"
    del rig.settings["WALG_DISK_RATE_LIMIT"]
    pg.backup()


def test_of_two_backups_at_once_the_first_is_made(rig):
    """Neither takes the other's parts for its own, and neither gives up because of the other's."""
    pg = story.archived(rig, small=True)
    p = slow_push(rig, pg)
    r = rig.walpipe("backup-push", pg.data, env=pg.env(), status=75)
    assert "another backup" in story.one_error(r)[0], r.err
    p.wait(120)
    assert p.returncode == 0, (rig.dir / "push.err").read_text()
    assert len(story.names(rig.settings["WALG_FILE_PREFIX"])) == 1
    rig.strict()
    del rig.settings["WALG_DISK_RATE_LIMIT"]
    pg.backup()


@pytest.mark.parametrize("victim", ["backup-push", "pg-snapshot", "tarpart"])
def test_who_was_started_by_one_that_is_killed_ends_as_well(rig, victim):
    pg = story.archived(rig, small=True)
    p = slow_push(rig, pg)
    assert strike(p, victim, 1, 0)
    assert p.wait(5) in (137, -9), (rig.dir / "push.err").read_text()
    nobody_left(rig)
    assert story.names(rig.settings["WALG_FILE_PREFIX"]) == []
    del rig.settings["WALG_DISK_RATE_LIMIT"]
    pg.backup()


def test_the_server_dying_in_mid_backup_means_no_backup(rig):
    for mode in ("fast", "immediate"):
        pg = story.archived(rig, mode, small=True)
        p = slow_push(rig, pg)
        pg.stop(mode)
        code = p.wait(60)
        assert code > 0, (rig.dir / "push.err").read_text()
        nobody_left(rig)
        assert story.names(rig.settings["WALG_FILE_PREFIX"]) == []
        rig.repo("repo-" + mode)
        rig.settings.pop("KILLTEST")
