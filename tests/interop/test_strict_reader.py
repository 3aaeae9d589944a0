"""The strict reader itself, against repositories that real wal-g binaries wrote."""

import json
import os
import shutil
import struct
import subprocess
import sys

import pytest

import strict_reader
from lib import shared

FULL = ["v309-pg15-lz4-full", "v309-pg15-none-full", "v309-pg15-no-metadata", "v309-pg15-composers",
        "v309-pg15-copy-composer", "v309-pg16-timelines", "v309-pg14-standby", "v029-pg10-lz4-full"]


def backups():
    for f in FULL:
        for i in range(2 if f in ("v309-pg15-composers", "v309-pg15-copy-composer", "v309-pg16-timelines") else 1):
            yield f, i


@pytest.mark.parametrize("name", FULL)
def test_a_repository_of_wal_g_has_nothing_to_complain_of(name):
    assert strict_reader.Reader(shared.fixture(name) / "repo", "walg").check() == []


@pytest.mark.parametrize("name,index", list(backups()))
def test_restore_equals_what_the_same_wal_g_restored(name, index, tmp_path):
    fixture = shared.fixture(name)
    backup = json.loads((fixture / "expect.json").read_text())["backups"][index]
    files = backup["files"]
    if (fixture / files.replace(".tsv", "-other-directory.tsv")).exists():
        files = files.replace(".tsv", "-other-directory.tsv")
    dest = tmp_path / "data"
    strict_reader.Reader(fixture / "repo", "walg").restore(backup["name"], str(dest))
    assert strict_reader.listing(dest) == strict_reader.read_listing(fixture / files)


def test_restore_with_a_restore_spec_moves_the_tablespace(tmp_path):
    fixture = shared.fixture("v309-pg15-lz4-full")
    spec = {"base_prefix": str(tmp_path / "data"), "tablespaces": ["16384"],
            "16384": {"loc": str(tmp_path / "ts1"), "link": "pg_tblspc/16384"}}
    (tmp_path / "data").mkdir()
    with pytest.raises(strict_reader.Broken, match="must be empty"):
        (tmp_path / "data" / "x").touch()
        strict_reader.Reader(fixture / "repo", "walg").restore("LATEST", str(tmp_path / "data"), spec)
    (tmp_path / "data" / "x").unlink()
    strict_reader.Reader(fixture / "repo", "walg").restore("LATEST", str(tmp_path / "data"), spec)
    want = [(n, s, d if not d.startswith("link:") else "link:" + str(tmp_path / "ts1"))
            for n, s, d in strict_reader.read_listing(fixture / "files-1-restore-spec.tsv")]
    assert strict_reader.listing(tmp_path / "data") == want


@pytest.fixture
def repo(tmp_path):
    """A copy of a repository of wal-g that passes even the strict check, but for our identity object."""
    fixture = shared.fixture("v309-pg15-lz4-full")
    shutil.copytree(fixture / "repo", tmp_path / "repo")
    for folder, subfolders, files in os.walk(tmp_path / "repo"):
        for f in files:
            os.chmod(os.path.join(folder, f), 0o600)
            os.utime(os.path.join(folder, f), (1000, 1000))
        for f in subfolders:
            os.chmod(os.path.join(folder, f), 0o700)
    expect = json.loads((fixture / "expect.json").read_text())
    (tmp_path / "repo").chmod(0o700)
    (tmp_path / "repo/walpipe").mkdir()
    (tmp_path / "repo/walpipe/FFFFFFFFFFFFFFFFFFFFFFFF.json").write_text(json.dumps(
        [{"system_identifier": expect["system_identifier"], "segment_size": 16 << 20,
          "server_version_num": 150020, "since": "2026-01-01T00:00:00Z"}]))
    return tmp_path / "repo"


NAME = "base_000000010000000000000003"
PARTS = f"basebackups_005/{NAME}/tar_partitions"
SENTINEL = f"basebackups_005/{NAME}_backup_stop_sentinel.json"


def complaints(repo):
    return strict_reader.Reader(repo).check()


def test_a_whole_repository_passes_the_strict_check(repo):
    assert complaints(repo) == []


def edit_json(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data, separators=(",", ":")))
    os.utime(path, (1000, 1000))


def second_frame(repo):
    """An object of two frames: wal-g reads the first and says nothing."""
    path = repo / "wal_005/000000010000000000000004.lz4"
    path.write_bytes(path.read_bytes() + path.read_bytes())


def other_header(repo):
    path = repo / PARTS / "pg_control.tar.lz4"
    data = subprocess.run(["lz4", "-dc", path], capture_output=True, check=True).stdout
    path.write_bytes(subprocess.run(["lz4", "-1", "-BD", "-c"], input=data, capture_output=True, check=True).stdout)


def rewrite_part(repo, part, change):
    path = repo / PARTS / part
    data = subprocess.run(["lz4", "-dc", path], capture_output=True, check=True).stdout
    data = change(data)
    before = path.stat().st_size
    path.write_bytes(subprocess.run(["lz4", "-1", "-B7", "-BI", "--no-frame-crc", "-c"], input=data,
                                    capture_output=True, check=True).stdout)
    edit_json(repo / SENTINEL, lambda s: s.update(CompressedSize=s["CompressedSize"] + path.stat().st_size - before))


def header_sum(header):
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)


def label_mode(data):
    header = bytearray(data[:512])
    header[100:108] = b"0000644\0"
    header_sum(header)
    return bytes(header) + data[512:]


def flip_control(data):
    return data[:600] + bytes([data[600] ^ 1]) + data[601:]


BREAKAGES = {
    "second frame": (second_frame, "after the first lz4 frame"),
    "linked blocks": (other_header, "lz4 frame header"),
    "sentinel older than a part": (lambda r: os.utime(r / PARTS / "part_001.tar.lz4", (2000, 2000)), "newer than"),
    "temporary file": (lambda r: (r / "wal_005/x.tmp.20260101T000000Z-0123456789abcdef").touch(), "temporary"),
    "foreign file": (lambda r: (r / "wal_005/foo.txt").touch(), "unexpected"),
    "unfinished backup": (lambda r: (r / "basebackups_005/base_000000010000000000000009").mkdir() or
                          (r / "basebackups_005/base_000000010000000000000009/metadata.json").touch(), "no sentinel"),
    "no pg_control": (lambda r: (r / PARTS / "pg_control.tar.lz4").unlink(), "pg_control.tar"),
    "missing part": (lambda r: (r / PARTS / "part_001.tar.lz4").unlink(), "in no part"),
    "missing WAL": (lambda r: (r / "wal_005/000000010000000000000003.lz4").unlink(), "is not stored"),
    "size": (lambda r: edit_json(r / SENTINEL, lambda s: s.update(UncompressedSize=5)), "UncompressedSize"),
    "identifier as text": (lambda r: edit_json(r / SENTINEL, lambda s: s.update(SystemIdentifier="7")), "SystemIdentifier"),
    "key order": (lambda r: edit_json(r / SENTINEL, lambda s: s.update(LSN=s.pop("LSN"))), "ordered"),
    "unknown key": (lambda r: edit_json(r / SENTINEL, lambda s: s.update(Extra=1)), "unknown key"),
    "a file off the list": (lambda r: edit_json(r / f"basebackups_005/{NAME}/files_metadata.json",
                                                lambda s: s["Files"].pop("/PG_VERSION")), "not in Files"),
    "list of a part": (lambda r: edit_json(r / f"basebackups_005/{NAME}/files_metadata.json",
                                           lambda s: s["TarFileSets"]["part_001.tar.lz4"].pop()), "TarFileSets"),
    "metadata": (lambda r: edit_json(r / f"basebackups_005/{NAME}/metadata.json",
                                     lambda s: s.update(finish_lsn=5)), "finish_lsn"),
    "label's mode": (lambda r: rewrite_part(r, "backup_label.tar.lz4", label_mode), "mode 644"),
    "corrupt pg_control": (lambda r: rewrite_part(r, "pg_control.tar.lz4", flip_control), "pg_control"),
    "no end blocks": (lambda r: rewrite_part(r, "backup_label.tar.lz4", lambda d: d[:-1024]), "end-of-archive"),
    "padded to 10 KiB": (lambda r: rewrite_part(r, "backup_label.tar.lz4", lambda d: d + bytes(7680)), "end-of-archive"),
}


@pytest.mark.parametrize("what", BREAKAGES)
def test_what_a_writer_must_not_do_is_found(repo, what):
    do, said = BREAKAGES[what]
    do(repo)
    found = complaints(repo)
    assert any(said in f for f in found), found


def test_every_cut_of_an_object_is_found(repo):
    path = repo / PARTS / "backup_label.tar.lz4"
    whole = path.read_bytes()
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        with pytest.raises(strict_reader.Broken):
            strict_reader.decode(path)


def test_xxh32_and_blocks_agree_with_the_lz4_command(tmp_path):
    data = b"".join(struct.pack("<I", i * i) + b"abcdabcd" * (i % 7) for i in range(3000))
    (tmp_path / "x.lz4").write_bytes(subprocess.run(["lz4", "-9", "-B7", "-BI", "-c"], input=data,
                                                    capture_output=True, check=True).stdout)
    assert strict_reader.decode(tmp_path / "x.lz4") == data
    assert strict_reader.xxh32(b"") == 0x02CC5D05


def test_the_command_line_answers_with_its_status(repo):
    program = strict_reader.__file__
    assert subprocess.run([sys.executable, program, "check", repo], capture_output=True).returncode == 0
    (repo / "wal_005/foo.txt").touch()
    gone = subprocess.run([sys.executable, program, "check", repo], capture_output=True, text=True)
    assert gone.returncode == 1 and "foo.txt" in gone.stdout
