"""The tools below the wrappers: one frame per object, the producer rule, a store that shows only what is whole."""

import concurrent.futures
import hashlib
import io
import json
import os
import pty
import random
import shlex
import shutil
import signal
import subprocess
import tarfile
import time

import pytest

import strict_reader
from lib import need
from lib.rig import ROOT, children, wait_for

MIB = 1 << 20


def data(size, kind, seed=1):
    dice = random.Random(seed)
    if kind == "random":
        return dice.randbytes(size)
    if kind == "zero":
        return bytes(size)
    words = [dice.randbytes(dice.randrange(3, 40)) for _ in range(300)]
    out = bytearray()
    while len(out) < size:
        out += dice.choice(words)
    return bytes(out[:size])


@pytest.fixture
def path(rig):
    """The plumbing's directory, first in PATH."""
    rig.want_tools("compress", "fileput", "fileget", "filels", "filerm")
    rig.settings["PATH"] = f"{rig.session.stage()}/libexec/walpipe:/usr/bin:/bin"
    rig.settings["WALG_FILE_PREFIX"] = str(rig.mkdir("repo"))
    return rig


def sh(rig, script, **more):
    return rig.run("sh", "-c", script, **more)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_an_object_is_one_frame_as_wal_g_writes_it(path, threads):
    rig = path
    dice = random.Random(threads)
    sizes = [0, 1, 100, 65535, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 9 * MIB + 7, 17 * MIB, dice.randrange(20 * MIB)]
    for i, size in enumerate(sizes):
        for kind in ("words", "random", "zero"):
            plain = data(size, kind, i)
            rig.write("in", plain)
            sh(rig, f"compress --threads {threads} -m lz4 <in >out.lz4")
            stored = rig.dir / "out.lz4"
            header, blocks, end = strict_reader.lz4_scan(stored)
            assert header == bytes.fromhex("04224d186470b9") and end == stored.stat().st_size
            assert all(n <= 4 * MIB for _, n, _ in blocks)
            assert strict_reader.decode(stored) == plain
            sh(rig, "compress -d -m lz4 <out.lz4 | cmp - in")
    rig.write("in", b"")
    sh(rig, "compress -m lz4 <in >out.lz4")
    assert (rig.dir / "out.lz4").read_bytes().endswith(bytes.fromhex("00000000 055dcc02"))


def test_the_bytes_do_not_depend_on_how_many_threads_made_them(path):
    path.write("in", data(21 * MIB, "words"))
    sums = {n: sh(path, f"compress --threads {n} <in | sha256sum").out for n in (1, 2, 3, 8)}
    assert len(set(sums.values())) == 1, sums


@pytest.mark.parametrize("words", ["-1", "-9", "-B4", "-B5 -BD", "-BD", "-BX", "--content-size", "--no-frame-crc", "-B6 -BX -BD"])
def test_any_frame_that_lz4_makes_is_read(path, words):
    path.write("in", data(6 * MIB + 3, "words"))
    sh(path, f"lz4 -q {words} -c in >other.lz4; compress -d other.lz4 | cmp - in && compress -d -m lz4 <other.lz4 | cmp - in")


def test_every_cut_and_flip_of_a_frame_is_65(path):
    rig = path
    plain = data(3000, "words")
    rig.write("in", plain)
    sh(rig, "compress <in >small.lz4")
    whole = (rig.dir / "small.lz4").read_bytes()
    program = rig.session.stage() / "libexec/walpipe/compress"

    def decode(piece):
        p = subprocess.run([program, "-d", "-m", "lz4"], input=piece, capture_output=True, check=False, env=rig.env())
        return p.returncode, p.stdout

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for n, (code, _) in enumerate(pool.map(lambda n: decode(whole[:n]), range(len(whole)))):
            assert code == 65, n
        flips = [whole[:n] + bytes([whole[n] ^ 1 << n % 8]) + whole[n + 1:] for n in range(len(whole))]
        for n, (code, out) in enumerate(pool.map(decode, flips)):
            # (a match may be moved to another copy of the same bytes)
            assert code == 65 or (code == 0 and out == plain), n
    for tail in (b"\0", b"x", whole[:-1]):
        assert decode(whole + tail)[0] == 65
    rig.write("in", data(9 * MIB, "words"))
    sh(rig, "compress <in >large.lz4")
    large = (rig.dir / "large.lz4").read_bytes()
    dice = random.Random(7)
    for _ in range(60):
        assert decode(large[:dice.randrange(len(large))])[0] == 65
        n = dice.randrange(len(large))
        assert decode(large[:n] + bytes([large[n] ^ 4]) + large[n + 1:])[0] == 65


@pytest.mark.parametrize("producer,status", [
    ("sh -c 'printf data; exit 3'", 3), ("sh -c 'printf data; kill -9 $$'", 137), ("sh -c 'printf data; kill -TERM $$'", 143),
    ("no-such-program", 127), ("/etc/passwd", 126), ("false", 1), ("compress -- false", 1),
    ("compress -- sh -c 'head -c 3000000 /dev/urandom; exit 9'", 9), ("compress -- compress -- sh -c 'kill -9 $$'", 137),
    ("sh -c 'head -c 30000000 /dev/zero; exit 4'", 4), ("compress -d -m lz4 -- printf garbage", 65),
])
def test_a_producer_that_fails_leaves_nothing(path, producer, status):
    r = sh(path, f'fileput "$WALG_FILE_PREFIX/x/y" -- {producer}', status=status)
    assert [f for _, _, fs in os.walk(path.dir / "repo") for f in fs] == [], r
    assert r.out == ""


def test_a_producer_that_ends_well_is_stored_whole(path):
    path.write("in", data(10 * MIB + 5, "words"))
    r = sh(path, 'fileput "$WALG_FILE_PREFIX/a/b/x.lz4" --digest -- compress -- cat in')
    said = json.loads(r.out)
    stored = path.dir / "repo/a/b/x.lz4"
    assert said["size"] == stored.stat().st_size
    assert said["digest"].removeprefix("sha256:") == hashlib.sha256(stored.read_bytes()).hexdigest()
    sh(path, 'compress -d -m lz4 -- fileget "$WALG_FILE_PREFIX/a/b/x.lz4" | cmp - in')
    sh(path, 'compress -d "$WALG_FILE_PREFIX/a/b/x.lz4" | cmp - in')


def test_create_only_lets_one_win_and_the_same_bytes_pass(path):
    url = '"$WALG_FILE_PREFIX/k"'
    sh(path, f"printf one | fileput {url} --create-only")
    sh(path, f"printf one | fileput {url} --create-only")
    sh(path, f"printf two | fileput {url} --create-only", status=73)
    sh(path, f"printf on | fileput {url} --create-only", status=73)
    assert (path.dir / "repo/k").read_bytes() == b"one"
    for n in range(5):
        jobs = [path.spawn("sh", "-c", f'fileput "$WALG_FILE_PREFIX/race{n}" --create-only -- sh -c "sleep 0.0{i}; echo {i}"') for i in range(8)]
        codes = [p.wait(30) for p in jobs]
        assert codes.count(0) == 1 and set(codes) <= {0, 73}, codes
        assert (path.dir / f"repo/race{n}").read_text() == f"{codes.index(0)}\n"
    assert sorted(os.listdir(path.dir / "repo")) == ["k"] + [f"race{n}" for n in range(5)]


def test_what_should_arrive_can_be_said(path):
    good = hashlib.sha256(b"data").hexdigest()
    sh(path, f'printf data | fileput "$WALG_FILE_PREFIX/a" --size 4 --sha256 {good}')
    for words in ("--size 5", "--size 3", f"--sha256 {'0' * 64}"):
        sh(path, f'printf data | fileput "$WALG_FILE_PREFIX/b" {words}', status=65)
    assert os.listdir(path.dir / "repo") == ["a"]


def test_a_root_that_is_not_there_is_66_and_not_made(path):
    gone = path.dir / "gone"
    for words in (f'fileput "{gone}/x" --root "{gone}" </dev/null', f'WALG_FILE_PREFIX="{gone}" fileput "{gone}/wal_005/x" </dev/null'):
        sh(path, words, status=66)
        assert not gone.exists()
    sh(path, f'fileput "{path.dir}/repo/../gone/x" --root "{path.dir}/repo" </dev/null', status="fail")
    assert not gone.exists()


def test_lists_are_in_byte_order_and_hide_what_is_unfinished(path):
    odd = ["b", "a", "B", "ä", "a b", "new\nline", "z" * 200, "a.tmp", "x.tmp.20260101T000000Z-0123456789abcdeg"]
    repo = path.dir / "repo"
    for n in odd:
        path.write("repo/" + n, n)
    path.write("repo/a.tmp.20260101T000000Z-0123456789abcdef", "half")
    os.makedirs(repo / "sub/dir")
    path.own(repo / "sub", recursive=True)
    path.own(repo / "sub")
    path.write("repo/sub/dir/f", "f")
    got = sh(path, 'filels -0 "$WALG_FILE_PREFIX/"', text=False).out.split(b"\0")[:-1]
    assert got == sorted([n.encode() for n in odd] + [b"sub/dir/f"])
    got = sh(path, 'filels -0 --delimiter / "$WALG_FILE_PREFIX/"', text=False).out.split(b"\0")[:-1]
    assert got == sorted([n.encode() for n in odd] + [b"sub/"])
    rows = [json.loads(line) for line in sh(path, 'filels --json --prefix a "$WALG_FILE_PREFIX/"').out.splitlines()]
    assert [(r["name"], r["size"]) for r in rows] == [("a", 1), ("a b", 3), ("a.tmp", 5)]
    assert sh(path, 'filels "$WALG_FILE_PREFIX/nowhere/"').out == ""
    sh(path, 'filels "$WALG_FILE_PREFIX/x/" --root "$WALG_FILE_PREFIX/../absent"', status="fail")


def test_rm_removes_the_names_it_is_given_and_no_other(path):
    for n in ("a", "b", "c d", "e\nf"):
        path.write("repo/" + n, n)
    path.write("keep", "x")
    sh(path, "printf 'a\\nabsent\\n' | filerm \"$WALG_FILE_PREFIX/\"")
    sh(path, "printf 'c d\\0e\\nf\\0' | filerm -0 \"$WALG_FILE_PREFIX/\"")
    assert os.listdir(path.dir / "repo") == ["b"]
    sh(path, "printf '../keep\\n' | filerm \"$WALG_FILE_PREFIX/\"", status="fail")
    assert (path.dir / "keep").exists()


def test_a_reader_that_is_gone_is_141_and_says_nothing(path):
    path.write("in", data(8 * MIB, "random"))
    for words in ("compress -m none <in", "compress <in", 'compress -d -m lz4 -- compress in'):
        r = sh(path, f"{{ {words}; echo $? >status; }} | head -c 1 >first")
        assert (path.dir / "status").read_text() == "141\n", words
        assert r.err == "", words


def test_binary_is_not_poured_onto_a_terminal(path):
    master, slave = pty.openpty()
    p = path.spawn("compress", "-m", "lz4", "/etc/hostname", stdout=slave, stderr=open(path.dir / "err", "wb"))
    assert p.wait(20) not in (0, 70)
    os.close(slave)
    assert "terminal" in (path.dir / "err").read_text()
    os.close(master)


@pytest.mark.parametrize("victim", ["fileput", "compress", "sleep"])
def test_kill_9_anywhere_in_a_chain_leaves_nobody_and_nothing_visible(path, victim):
    for after in (0.05, 0.1):
        p = path.spawn("sh", "-c", 'exec fileput "$WALG_FILE_PREFIX/x" -- compress -- sh -c "head -c 5000000 /dev/urandom; exec sleep 60"')
        wait_for(lambda: any(n == "sleep" for _, n in children(p.pid)), 10)
        time.sleep(after)
        family = children(p.pid)
        os.kill([pid for pid, n in family if n == victim][0], signal.SIGKILL)
        assert p.wait(20) != 0
        wait_for(lambda: not [pid for pid, _ in family if alive(pid)], 10, why="the end of the others")
        assert sh(path, 'filels "$WALG_FILE_PREFIX/"').out == ""
    sh(path, 'printf x | fileput "$WALG_FILE_PREFIX/x"')


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            stat = f.read()
        return stat[stat.rindex(b")") + 2:][:1] != b"Z"
    except OSError:
        return False


FAULTS = [
    ("write,splice,pwrite64,copy_file_range:error=ENOSPC", 74), ("fsync,fdatasync,syncfs:error=EIO", 74),
    ("rename,renameat,renameat2,link,linkat:error=EIO", 74), ("write,splice,pwrite64,copy_file_range:error=EDQUOT", 74),
    ("rename,renameat,renameat2,link,linkat:signal=KILL", 137),
]


@pytest.mark.parametrize("fault,status", FAULTS)
def test_a_fault_of_the_disk_leaves_nothing_visible(path, fault, status):
    rig = path
    if not shutil.which("strace"):
        need.skip("strace", "not installed")
    rig.write("in", data(3 * MIB, "words"))
    calls = fault.split(":")[0]
    repo = rig.dir / "repo"
    program = f"strace -f -qq -o trace -e trace={calls} -e inject={fault}"
    r = sh(rig, f'{program} fileput "{repo}/x" <in >said 2>err', status=None)
    assert r.status == status or (status == 74 and r.status in (74, 77)), (r, (rig.dir / "err").read_text())
    assert not (repo / "x").exists()
    assert sh(rig, f'filels "{repo}/"').out == ""
    if status != 137:
        assert os.listdir(repo) == []


@pytest.mark.parametrize("words", ["", "--create-only"])
def test_an_object_is_durable_before_it_has_its_name_and_then_its_name_is(path, words):
    rig = path
    if not shutil.which("strace"):
        need.skip("strace", "not installed")
    rig.write("in", data(3 * MIB, "words"))
    repo = rig.dir / "repo"
    sh(rig, f'strace -f -qq -y -o trace -e trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat fileput "{repo}/a/b/x" {words} <in')
    calls = [line.split(maxsplit=1)[1] for line in (rig.dir / "trace").read_text().splitlines()]
    named = [i for i, call in enumerate(calls) if f'"{repo}/a/b/x"' in call]
    assert len(named) == 1 and calls[named[0]].startswith(("rename", "link")), calls
    before, after = calls[:named[0]], calls[named[0] + 1:]
    assert any("sync(" in call and "/a/b/x.tmp." in call for call in before), calls
    assert any("sync(" in call and f"<{repo}/a/b>" in call for call in after), calls
    # and so are the folders that were made for it
    for folder in (repo, repo / "a"):
        assert any("sync(" in call and f"<{folder}>" in call for call in before), (folder, calls)


HOSTILE = {
    "above": [("../evil", tarfile.REGTYPE, "")], "above, further down": [("base/../../evil", tarfile.REGTYPE, "")],
    "through a link": [("base", tarfile.SYMTYPE, ".."), ("base/evil", tarfile.REGTYPE, "")],
    "over a link": [("evil", tarfile.SYMTYPE, "../evil"), ("evil", tarfile.REGTYPE, "")],
    "a hard link": [("evil", tarfile.LNKTYPE, "../victim")],
    "twice": [("evil", tarfile.REGTYPE, ""), ("evil", tarfile.REGTYPE, "")],
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_part_reaches_nothing_outside(path, members):
    path.want_tools("tarpart")
    path.write("victim", "x")
    with tarfile.open(path.dir / "part.tar", "w") as tar:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, target, 5 if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(b"owned"))
    r = sh(path, "tarpart extract -C dest/data <part.tar", status=65)
    assert r.err.strip()
    assert (path.dir / "victim").read_text() == "x"
    assert not (path.dir / "evil").exists() and os.listdir(path.dir / "dest") == ["data"]


def test_a_pg_control_that_is_not_sound_is_refused_before_anything_is_made(path):
    path.want_tools("tarpart")
    whole = (ROOT / "shared/pg/tests/data/pg_control.15").read_bytes()

    def restore(control, status):
        for part, name, content in (("pg_control.tar", "/global/pg_control", control), ("part_001.tar", "backup_label", b"START")):
            with tarfile.open(path.dir / part, "w") as tar:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        return sh(path, "printf 'part_001.tar\\npg_control.tar\\n' | tarpart extract -C dest --source 'cat \"$TARPART_NAME\"'", status=status)

    for bad in (b"", whole[:100], bytes(len(whole)), bytes([whole[0] ^ 1]) + whole[1:], whole[:40] + bytes([whole[40] ^ 1]) + whole[41:]):
        assert "pg_control" in restore(bad, 65).err
        assert not (path.dir / "dest").exists()
    restore(whole, 0)
    assert (path.dir / "dest/global/pg_control").read_bytes() == whole


def test_a_pg_control_is_stored_once_it_is_whole(path):
    """The server may be writing it; and one that stays torn is in no backup."""
    path.want_tools("tarpart")
    whole = (ROOT / "shared/pg/tests/data/pg_control.15").read_bytes()
    torn = whole[:40] + bytes([whole[40] ^ 1]) + whole[41:]
    path.write("list", f"c {len(whole)} 0 600 0 0\0/global/pg_control\0{path.dir}/control\0E 1 {len(whole)}\0")
    create = "tarpart create --filter 'cat >\"$TARPART_NAME\"' <list"
    path.write("control", torn)
    r = sh(path, create, status=65)
    assert "checksum" in r.err
    p = path.spawn("sh", "-c", create)
    time.sleep(0.3)
    path.write("control", whole)
    assert p.wait(20) == 0
    with tarfile.open(path.dir / "pg_control.tar") as tar:
        assert tar.extractfile(tar.next()).read() == whole


@pytest.mark.parametrize("reader", [
    "perl -e 'while (sysread(STDIN, $b, 17001)) { print $b; select(undef, undef, undef, 0.0003) }' >\"$TARPART_NAME\"",
    "sleep 0.3; exec fileput \"$TARPART_NAME\"",
    "exec cat >\"$TARPART_NAME\""])
def test_what_is_lent_arrives_as_it_was(path, reader):
    """However slowly it is read: memory is used again only when it has been."""
    path.want_tools("tarpart")
    files = {"a": data(9 * MIB, "random"), "b": b"", "c": data(100, "random", 2), "d": data(256 << 10, "random", 3), "e": data(5 * MIB + 7, "words")}
    listed(path, [(name, content, len(content)) for name, content in files.items()])
    path.write("filter", reader)
    sh(path, "tarpart create --lend --filter 'sh ./filter' <list")
    with tarfile.open(path.dir / "part_001.tar") as tar:
        assert {m.name: tar.extractfile(m).read() for m in tar} == {"/" + name: content for name, content in files.items()}


@pytest.mark.parametrize("umask", ["000", "077"])
def test_who_may_read_the_repository_is_no_matter_of_the_umask(path, umask):
    """PostgreSQL's is 077, and another member of the group restores."""
    sh(path, f"umask {umask}; echo x | fileput --root repo repo/a/b/c")
    assert [oct((path.dir / p).stat().st_mode & 0o777) for p in ("repo/a", "repo/a/b", "repo/a/b/c")] == ["0o750", "0o750", "0o640"]


def listed(path, files, kind="f"):
    """A list of files as pg-snapshot writes it; of each a name, what it holds, and the size that the walk saw."""
    control = (ROOT / "shared/pg/tests/data/pg_control.15").read_bytes()
    text, total = f"c {len(control)} 0 600 0 0\0/global/pg_control\0{path.write('control', control)}\0", len(control)
    for name, content, seen in files:
        text += f"{kind} {seen} 0 600 0 0\0/{name}\0{path.write(name, content)}\0"
        total += seen
    path.write("list", f"{text}E {len(files) + 1} {total}\0")


def test_a_file_is_stored_as_it_is_not_as_the_walk_saw_it(path):
    """No WAL mends a configuration file that was cut, or filled with zeros."""
    path.want_tools("tarpart")
    files = {"grown": data(7000, "random"), "shrunk": data(3000, "random", 2), "emptied": b"", "large": data(3 * MIB, "random", 3)}
    listed(path, [("grown", files["grown"], 10), ("shrunk", files["shrunk"], 5000), ("emptied", b"", 100), ("large", files["large"], 4 * MIB)])
    sh(path, "tarpart create --filter 'cat >\"$TARPART_NAME\"' <list")
    with tarfile.open(path.dir / "part_001.tar") as tar:
        assert {m.name: tar.extractfile(m).read() for m in tar} == {"/" + name: content for name, content in files.items()}


def test_a_page_that_cannot_be_read_again_is_no_page_of_zeros(path):
    path.want_tools("tarpart")
    if not shutil.which("strace"):
        need.skip("strace", "not installed")
    listed(path, [("16384", data(16384, "random"), 16384)], "r")
    path.write("snapshot", json.dumps({"data_checksums": True}))
    create = "WALPIPE_SNAPSHOT=snapshot tarpart create --filter 'cat >/dev/null' <list"
    r = sh(path, f"strace -f -qq -o trace -P {path.dir}/16384 -e trace=pread64 -e inject=pread64:error=EIO sh -c {shlex.quote(create)}", status=74)
    assert "cannot read" in r.err and "16384" in r.err, r.err
    assert '"corrupt_blocks":2' in sh(path, create).out


def test_a_list_that_is_not_whole_makes_no_part(path):
    """It ends with how much it should be; and a backup has one pg_control."""
    path.want_tools("tarpart")
    control = (ROOT / "shared/pg/tests/data/pg_control.15").read_bytes()
    path.write("control", control)
    path.write("a", data(700, "random"))
    a = f"f 700 0 600 0 0\0/a\0{path.dir}/a\0"
    c = f"c {len(control)} 0 600 0 0\0/global/pg_control\0{path.dir}/control\0"
    total = 700 + len(control)
    create = "rm -rf out; mkdir out; tarpart create --filter 'cat >out/\"$TARPART_NAME\"' <list"
    for wrong, words in [
        ("", "end record is missing"),
        (a + c, "end record is missing"),
        ((a + c)[:-1], "end record is missing"),
        (a + c + f"E 2 {total}", "end record is missing"),
        (c + f"E 2 {total}\0", "1 entries"),
        (c + f"E 1 {total}\0", "1 entries"),
        (a + c + f"E 1 {total}\0", "2 entries"),
        (a + c + f"E 2 {total - 1}\0", "2 entries"),
        (a + c + f"E 2 {total} 1\0", "no record"),
        (a + c + f"E 2\0", "no record"),
        (a + "E 1 700\0", "0 pg_control"),
        (c + c + f"E 2 {2 * len(control)}\0", "2 pg_control"),
        (a.replace("f", "x", 1) + c + f"E 2 {total}\0", "no record"),
        (a.replace("/a", "", 1) + c + f"E 2 {total}\0", "no record"),
    ]:
        path.write("list", wrong)
        r = sh(path, create, status=65)
        assert words in r.err, (wrong, r.err)
        assert os.listdir(path.dir / "out") == [], wrong
    path.write("list", a + c + f"E 2 {total}\0")
    sh(path, create)
    assert sorted(f for f in os.listdir(path.dir / "out") if f.endswith(".tar")) == ["part_001.tar", "pg_control.tar"]


def test_a_tar_that_was_cut_within_a_member_is_65(path):
    """Between two members its end is one that old backups have: there the list of files tells."""
    path.want_tools("tarpart")
    files = {"a": data(700, "random"), "b": data(10, "random", 2)}
    with tarfile.open(path.dir / "whole.tar", "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    whole = (path.dir / "whole.tar").read_bytes()
    for n in [1, 100, 511, 512, 513, 1000, 1211, 1537, 1600, 2047, 2048, 2057]:
        path.write("part.tar", whole[:n])
        sh(path, "rm -rf dest; tarpart extract -C dest <part.tar", status=65)
    for n in (1536, 2560, 3072, len(whole)):
        path.write("part.tar", whole[:n])
        sh(path, "rm -rf dest; tarpart extract -C dest <part.tar")
        got = {f: (path.dir / "dest" / f).read_bytes() for f in os.listdir(path.dir / "dest")}
        assert got == {f: files[f] for f in ("ab" if n > 1536 else "a")}


def test_a_long_stream_costs_no_more_memory_than_a_short_one(path):
    from lib.rig import Memory
    repo = path.dir / "repo"
    for chain in (["fileput", f"{repo}/packed", "--", "compress", "--threads", "2", "--", "head", "-c", "200000000", "/dev/urandom"],
                  ["fileput", f"{repo}/plain", "--digest", "--", "compress", "-d", "-m", "lz4", "--", "fileget", f"{repo}/packed"]):
        p = path.spawn(*chain, stderr=open(path.dir / "err", "wb"))
        with Memory(p.pid, every=0.002) as memory:
            code = p.wait(120)
        assert code == 0, (path.dir / "err").read_text()
        assert {"fileput", "compress"} <= set(memory.by_name()) and max(memory.peaks.values()) <= 66 * 1024, memory.by_name()
    assert (repo / "packed").stat().st_size > (repo / "plain").stat().st_size == 200000000


def test_20000_objects_are_listed_in_constant_memory(path):
    from lib.rig import Memory
    repo = path.dir / "repo"
    for i in range(20000):
        with open(repo / f"{i:08X}", "wb"):
            pass
    p = path.spawn("filels", "--json", str(repo) + "/")
    with Memory(p.pid, every=0.002) as memory:
        assert p.wait(30) == 0
    assert all(kib < 64 * 1024 for kib in memory.peaks.values()), memory.by_name()
