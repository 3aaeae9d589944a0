"""Every stored stream cut, flipped or missing: fetch fails, and nothing stands at the destination."""

import concurrent.futures
import os
import random

import pytest

import strict_reader
from lib import story


@pytest.fixture
def stored(rig):
    rig.settings["WALG_TAR_SIZE_THRESHOLD"] = "3000000"
    pg = story.archived(rig, small=True)
    pg.sql("create table t as select g, md5(g::text) from generate_series(1, 2000) g")
    name = pg.backup()
    segment = pg.switch()
    pg.stop()
    repo = rig.settings["WALG_FILE_PREFIX"]
    return rig, pg, repo, name, segment


def offsets(size, small, dice):
    if size <= small:
        return list(range(size))
    return sorted(set([0, 1, 6, 7, 8, size // 2, size - 1, size - 2, size - 4, size - 5, size - 8, size - 9]
                      + [dice.randrange(size) for _ in range(200 - 12)]))


@pytest.mark.parametrize("what", ["segment", "backup file"])
def test_a_cut_wal_file_is_never_handed_over(stored, what):
    rig, pg, repo, _, segment = stored
    if what == "backup file":       # small: at every offset
        segment = next(n.removesuffix(".lz4") for n in os.listdir(repo + "/wal_005") if n.endswith(".backup.lz4"))
    path = f"{repo}/wal_005/{segment}.lz4"
    with open(path, "rb") as f:
        whole = f.read()
    dice = random.Random(1)

    def attempt(job):
        i, n, flip = job
        other = rig.dir / f"r{i}"
        os.makedirs(other / "wal_005", exist_ok=True)
        data = whole[:n] if not flip else whole[:n] + bytes([whole[n] ^ 0x10]) + whole[n + 1:]
        (other / "wal_005" / f"{segment}.lz4").write_bytes(data)
        dest = rig.dir / f"d{i}"
        import subprocess
        p = subprocess.run(["walpipe", "wal-fetch", segment, str(dest)], env=rig.env({"WALG_FILE_PREFIX": other}), cwd=pg.data,
                           stdin=subprocess.DEVNULL, capture_output=True, check=False, executable=rig.session.stage() / "bin/walpipe",
                           **rig.as_user())
        return n, flip, p.returncode, dest.exists(), p.stderr.decode(errors="replace")

    rig.dir.chmod(0o777)
    jobs = [(0, n, False) for n in offsets(len(whole), 600, dice)] + [(0, n, True) for n in offsets(len(whole), 200, dice)[::4]]
    jobs = [(i, n, flip) for i, (_, n, flip) in enumerate(jobs)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for n, flip, code, exists, said in pool.map(attempt, jobs):
            if flip and code == 0:
                continue        # a flip in a place without meaning would be one; checked below
            assert code == 200, (n, flip, code, said)
            assert not exists, (n, flip)
            assert said
    flips = [j for j in jobs if j[2]]
    good = strict_reader.decode(path)
    for i, n, _ in flips:
        dest = rig.dir / f"d{i}"
        if dest.exists():
            assert dest.read_bytes() == good, n


@pytest.mark.parametrize("what", ["backup_label.tar.lz4", "pg_control.tar.lz4", "part"])
def test_a_cut_part_fails_the_restore_before_pg_control_stands(stored, what, long):
    rig, _, repo, name, _ = stored
    parts = story.parts(repo, name)
    path = [p for p in parts if p.name.startswith(what)][-1]
    whole = path.read_bytes()
    dice = random.Random(2)
    chosen = offsets(len(whole), 600, dice)
    if what == "part" and not long:
        chosen = chosen[::2]
    for n in chosen:
        path.write_bytes(whole[:n])
        dest = rig.dir / "copy"
        r = rig.run("walpipe", "backup-fetch", dest, "LATEST", "--files-only", status=None)
        assert r.status not in (0, 70), (n, r)
        assert not (dest / "global/pg_control").exists(), n
        rig.run("rm", "-rf", dest)
    path.write_bytes(whole)
    story.fetch(rig, rig.dir / "copy", "LATEST", "--files-only")


def test_every_cut_of_the_json_objects_is_noticed(stored, long):
    rig, _, repo, name, _ = stored
    for path in (f"{repo}/basebackups_005/{name}_backup_stop_sentinel.json", f"{repo}/basebackups_005/{name}/files_metadata.json"):
        with open(path, "rb") as f:
            whole = f.read()
        mtime = os.stat(path).st_mtime_ns
        for n in offsets(len(whole), 600, random.Random(3))[::1 if long else 5]:
            with open(path, "wb") as f:
                f.write(whole[:n])
            dest = rig.dir / "copy"
            r = rig.run("walpipe", "backup-fetch", dest, name, "--files-only", status=None)
            assert r.status not in (0, 70), (path, n, r)
            assert not (dest / "global/pg_control").exists(), n
            assert story.absent_or_empty(dest), n
        with open(path, "wb") as f:
            f.write(whole)
        os.utime(path, ns=(mtime, mtime))
    story.fetch(rig, rig.dir / "copy", name, "--files-only")


def test_the_tools_tell_every_cut_of_the_json_objects(stored):
    """At each offset: the sentinel is no backup, the list of files is refused, and metadata that are no JSON are passed over aloud."""
    rig, _, repo, name, _ = stored
    rig.settings["PATH"] = f"{rig.session.stage()}/libexec/walpipe:{rig.env()['PATH']}"
    base = f"{repo}/basebackups_005/{name}"

    def cuts(path):
        with open(path, "rb") as f:
            whole = f.read()
        for n in range(len(whole)) if len(whole) < 2000 else offsets(len(whole), 600, random.Random(5)):
            with open(path, "wb") as f:
                f.write(whole[:n])
            yield n
        with open(path, "wb") as f:
            f.write(whole)

    for n in cuts(base + "_backup_stop_sentinel.json"):
        assert rig.tool("catalog", "show", "--repo", repo, "--restore", name, status=65).out == "", n
        assert rig.tool("catalog", "list", "--repo", repo, "--names").out == "", n
    for n in cuts(base + "/metadata.json"):
        r = rig.tool("catalog", "list", "--repo", repo, "--names")
        assert r.out == name + "\n" and "goes by its sentinel alone" in r.err, (n, r)
    for n in cuts(base + "/files_metadata.json"):
        rig.tool("catalog", "show", "--repo", repo, "--files", rig.dir / "list", name, status=65)
        assert not (rig.dir / "list").exists(), n
    assert rig.tool("catalog", "list", "--repo", repo, "--names").err == ""


@pytest.mark.parametrize("what", ["part_001", "pg_control", "backup_label", "last"])
def test_a_missing_part_is_an_error(stored, what):
    rig, _, repo, name, _ = stored
    parts = story.parts(repo, name)
    path = [p for p in parts if p.name.startswith(what)][-1] if what != "last" else [p for p in parts if p.name.startswith("part_")][-1]
    path.unlink()
    dest = rig.dir / "copy"
    said = story.fetch(rig, dest, "LATEST", "--files-only", status="fail")
    story.one_error(said)
    assert not (dest / "global/pg_control").exists()
    assert said.status in (65, 66), said


def test_trailing_bytes_and_second_frames_are_corruption(stored):
    rig, pg, repo, name, segment = stored
    path = f"{repo}/wal_005/{segment}.lz4"
    with open(path, "rb") as f:
        whole = f.read()
    for tail in (b"\0", b"x" * 100, whole):
        with open(path, "wb") as f:
            f.write(whole + tail)
        rig.walpipe("wal-fetch", segment, rig.dir / "got", cwd=pg.data, status=200)
        assert not (rig.dir / "got").exists()


def test_a_wrong_segment_under_the_name_is_not_handed_over(stored):
    rig, pg, repo, _, segment = stored
    others = sorted(n for n in os.listdir(repo + "/wal_005") if len(n) == 28 and not n.startswith(segment))
    os.replace(f"{repo}/wal_005/{others[0]}", f"{repo}/wal_005/{segment}.lz4")
    rig.walpipe("wal-fetch", segment, rig.dir / "got", cwd=pg.data, status=200)
    assert not (rig.dir / "got").exists()
