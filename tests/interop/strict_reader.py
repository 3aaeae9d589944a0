#!/usr/bin/env python3
"""An independent reader of WAL-G's repository format, for tests.

Written from ../shared/spec alone, sharing nothing with the Rust tools.  It restores as a real
wal-g does (first lz4 frame only, members filtered by the list of files, pg_control last) and it
is strict about what a writer must do: a repository that passes `check` is one that every wal-g
since v0.2.9 can restore.

    strict_reader.py check   [--from walpipe|walg] [--allow-unfinished] REPO [NAME]
    strict_reader.py restore [--from walpipe|walg] [--restore-spec FILE] REPO NAME DIR

`--from walg` drops what only our writer promises (order of keys, one identity object, end blocks,
modification times): repositories that wal-g wrote differ there from version to version.
Exit status: 0 nothing to complain of, 1 problems (one a line on stdout), 2 wrong words.
"""

import argparse
import hashlib
import json
import os
import re
import struct
import subprocess
import sys

SEGMENT = r"[0-9A-F]{24}"
BACKUP = re.compile(rf"^base_{SEGMENT}(_D_{SEGMENT})?$")
SENTINEL = re.compile(rf"^(base_{SEGMENT}(?:_D_{SEGMENT})?)_backup_stop_sentinel\.json$")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,5}[1-9])?Z$")
MTIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?(Z|[+-]\d\d:\d\d)$")
TEMPORARY = re.compile(r"\.tmp\.\d{8}T\d{6}Z-[0-9a-f]{16}$")
DATE_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
UTILITY = ("/global/pg_control", "backup_label", "tablespace_map")
IDENTITY = "walpipe/FFFFFFFFFFFFFFFFFFFFFFFF.json"
EXCLUDED = frozenset(
    "log pg_log pg_xlog pg_wal pgsql_tmp postgresql.auto.conf.tmp postmaster.pid postmaster.opts "
    "recovery.conf pg_dynshmem pg_notify pg_replslot pg_serial pg_stat_tmp pg_snapshots pg_subtrans "
    "standby.signal".split()
)
# XLOG_PAGE_MAGIC by major version
WAL_MAGIC = {9: 0xD093, 10: 0xD097, 11: 0xD098, 12: 0xD101, 13: 0xD106, 14: 0xD10D,
             15: 0xD110, 16: 0xD113, 17: 0xD116, 18: 0xD118}


class Broken(Exception):
    """What a real wal-g could not read."""


# ---------------------------------------------------------------------------------- lz4


def xxh32(data, seed=0):
    """XXH32 in plain Python: for small inputs only, the lz4 command checks the large ones."""
    p1, p2, p3, p4, p5, m = 2654435761, 2246822519, 3266489917, 668265263, 374761393, 0xFFFFFFFF

    def rot(x, r):
        return ((x << r) | (x >> (32 - r))) & m

    n, i = len(data), 0
    if n >= 16:
        v = [(seed + p1 + p2) & m, (seed + p2) & m, seed, (seed - p1) & m]
        while i + 16 <= n:
            for k, w in enumerate(struct.unpack_from("<4I", data, i)):
                v[k] = rot((v[k] + w * p2) & m, 13) * p1 & m
            i += 16
        h = (rot(v[0], 1) + rot(v[1], 7) + rot(v[2], 12) + rot(v[3], 18)) & m
    else:
        h = (seed + p5) & m
    h = (h + n) & m
    while i + 4 <= n:
        h = rot((h + struct.unpack_from("<I", data, i)[0] * p3) & m, 17) * p4 & m
        i += 4
    while i < n:
        h = rot((h + data[i] * p5) & m, 11) * p1 & m
        i += 1
    h = (h ^ (h >> 15)) * p2 & m
    h = (h ^ (h >> 13)) * p3 & m
    return h ^ (h >> 16)


def lz4_block(data, limit):
    """One independent lz4 block."""
    out, i, n = bytearray(), 0, len(data)
    while True:
        token = data[i]
        i += 1
        length = token >> 4
        if length == 15:
            while True:
                b = data[i]
                i += 1
                length += b
                if b != 255:
                    break
        if i + length > n:
            raise Broken("lz4: literals run past the block's end")
        out += data[i:i + length]
        i += length
        if len(out) > limit:
            raise Broken("lz4: a block decodes to more than its maximum")
        if i == n:
            return bytes(out)
        offset = data[i] | data[i + 1] << 8
        i += 2
        length = token & 15
        if length == 15:
            while True:
                b = data[i]
                i += 1
                length += b
                if b != 255:
                    break
        length += 4
        start = len(out) - offset
        if offset == 0 or start < 0:
            raise Broken("lz4: a match reaches before its block: not independent")
        if offset >= length:
            out += out[start:start + length]
        else:
            piece = bytes(out[start:])
            out += (piece * (length // offset + 1))[:length]


def lz4_scan(path):
    """(header bytes, blocks as (offset, size, stored), end of the first frame) without decoding."""
    size = os.path.getsize(path)
    with open(path, "rb") as f:
        header = f.read(7)
        if len(header) < 7 or header[:4] != b"\x04\x22\x4d\x18":
            raise Broken("not an lz4 frame")
        flags = header[4]
        if flags & 0x08 or flags & 0x01:        # content size, dictionary id
            header += f.read(12 if flags & 0x09 == 0x09 else 8 if flags & 0x08 else 4)
        blocks = []
        while True:
            word = f.read(4)
            if len(word) < 4:
                raise Broken("lz4: cut short before the end mark")
            word = struct.unpack("<I", word)[0]
            if word == 0:
                break
            n = word & 0x7FFFFFFF
            here = f.tell()
            if here + n > size:
                raise Broken("lz4: cut short inside a block")
            blocks.append((here, n, bool(word >> 31)))
            f.seek(here + n + (4 if flags & 0x10 else 0))
        end = f.tell() + (4 if flags & 0x04 else 0)
        if end > size:
            raise Broken("lz4: the content checksum is missing")
        return header, blocks, end


SMALL = 64 * 1024


class Lz4:
    """The bytes of the first frame of a file, as a stream; checked to its end by finish()."""

    def __init__(self, path):
        self.path = path
        self.header, self.blocks, self.end = lz4_scan(path)
        self.process = None
        if self.end <= SMALL:
            self._small()
        else:
            self._large()

    def _small(self):
        out = bytearray()
        with open(self.path, "rb") as f:
            for offset, n, stored in self.blocks:
                f.seek(offset)
                data = f.read(n)
                try:
                    out += data if stored else lz4_block(data, 4 << 20)
                except IndexError:
                    raise Broken("lz4: a block ends in the middle of a sequence") from None
            if self.header[4] & 0x04:
                f.seek(self.end - 4)
                want = struct.unpack("<I", f.read(4))[0]
                # the pure Python sum is slow on what a tiny frame of zeros decodes to
                if len(out) <= 1 << 20:
                    if xxh32(out) != want:
                        raise Broken("lz4: content checksum differs")
                else:
                    return self._large()
        self.data, self.at = bytes(out), 0

    def _large(self):
        stdin = subprocess.PIPE if self.end != os.path.getsize(self.path) else open(self.path, "rb")
        self.process = subprocess.Popen(["lz4", "-dc"], stdin=stdin, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        if stdin is subprocess.PIPE:            # trailing bytes: hand over the first frame alone
            import threading

            def feed():
                left = self.end
                with open(self.path, "rb") as f:
                    try:
                        while left:
                            piece = f.read(min(left, 1 << 20))
                            self.process.stdin.write(piece)
                            left -= len(piece)
                    except BrokenPipeError:
                        pass
                    finally:
                        self.process.stdin.close()
            threading.Thread(target=feed, daemon=True).start()
        else:
            stdin.close()
        return None

    def read(self, n):
        if self.process:
            return self.process.stdout.read(n)
        piece = self.data[self.at:self.at + n]
        self.at += len(piece)
        return piece

    def finish(self):
        if self.process:
            if self.process.stdout.read(1):
                raise Broken("data after the end of what was expected")
            self.process.stdout.close()
            said = self.process.stderr.read().decode(errors="replace").strip()
            self.process.stderr.close()
            if self.process.wait():
                raise Broken(f"lz4: {said}")
        elif self.at != len(self.data):
            raise Broken("data after the end of what was expected")

    def close(self):
        if self.process:
            self.process.kill()
            self.process.stdout.close()
            self.process.stderr.close()
            self.process.wait()


class Plain:
    """Compression none: the file itself."""

    def __init__(self, path):
        self.f = open(path, "rb")

    def read(self, n):
        return self.f.read(n)

    def finish(self):
        if self.f.read(1):
            raise Broken("data after the end of what was expected")
        self.f.close()

    def close(self):
        self.f.close()


def method_of(name):
    """lz4, none or another method, from an object's name (after any `.tar`)."""
    ext = name.rsplit(".", 1)[1] if "." in name else ""
    return {"lz4": "lz4", "lzma": "lzma", "br": "brotli", "zst": "zstd", "gz": "gzip", "lzo": "lzo"}.get(ext, "none")


def open_object(path):
    method = method_of(os.path.basename(path))
    if method == "lz4":
        return Lz4(path)
    if method == "none":
        return Plain(path)
    raise Broken(f"compression {method} is not for this reader")


def decode(path, limit=1 << 31):
    """All of an object's plain bytes."""
    stream = open_object(path)
    try:
        out = bytearray()
        while True:
            piece = stream.read(1 << 20)
            if not piece:
                break
            out += piece
            if len(out) > limit:
                raise Broken("larger than it may be")
        stream.finish()
        return bytes(out)
    finally:
        stream.close()


# ---------------------------------------------------------------------------------- tar


class Member:
    def __init__(self):
        self.name = self.raw_name = self.type = self.link = ""
        self.mode = self.uid = self.gid = self.size = 0
        self.mtime = 0.0
        self.uname = self.gname = ""
        self.format = "ustar"
        self.pax = {}


def octal(field, what):
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big"), "base256"
    text = field.rstrip(b"\0 ").lstrip(b" ")
    if not text:
        return 0, "empty"
    try:
        return int(text, 8), "octal"
    except ValueError:
        raise Broken(f"tar: {what} is no octal number: {field!r}") from None


def text(field):
    return field.split(b"\0", 1)[0]


def read_exact(stream, n):
    out = bytearray()
    while len(out) < n:
        piece = stream.read(n - len(out))
        if not piece:
            break
        out += piece
    return bytes(out)


def pax_records(data):
    records, i = {}, 0
    while i < len(data):
        m = re.match(rb"(\d+) ", data[i:i + 20])
        if not m:
            raise Broken("tar: a PAX record without its length")
        n = int(m.group(1))
        record = data[i:i + n]
        if len(record) != n or not record.endswith(b"\n") or b"=" not in record:
            raise Broken("tar: a PAX record whose length is wrong")
        key, value = record[len(m.group(0)):-1].split(b"=", 1)
        records[key.decode()] = value
        i += n
    return records


class Tar:
    """Members of a tar stream, with a payload reader; collects what is unusual in `notes`."""

    def __init__(self, stream):
        self.stream = stream
        self.notes = []         # (kind, text)
        self.left = self.padding = 0

    def __iter__(self):
        pax = {}
        while True:
            self.skip()
            header = read_exact(self.stream, 512)
            if not header:
                self.notes.append(("end-blocks", "no end-of-archive blocks"))
                return
            if len(header) < 512:
                raise Broken("tar: cut short inside a header")
            if header == bytes(512):
                second = read_exact(self.stream, 512)
                if len(second) != 512 or second != bytes(512):
                    self.notes.append(("end-blocks", "one end-of-archive block instead of two"))
                rest = self.stream.read(1)
                if rest:
                    self.notes.append(("end-blocks", "bytes after the two end-of-archive blocks"))
                    while rest:
                        if rest.strip(b"\0"):
                            raise Broken("tar: data after the end of the archive")
                        rest = self.stream.read(1 << 20)
                return
            unsigned = sum(header[:148]) + 8 * 32 + sum(header[156:])
            if octal(header[148:156], "checksum")[0] != unsigned:
                raise Broken("tar: a header's checksum is wrong")
            m = Member()
            magic = header[257:265]
            if magic == b"ustar  \0":
                m.format = "gnu"
            elif magic != b"ustar\x0000":
                m.format = "v7"
            m.type = chr(header[156])
            name, prefix = text(header[0:100]), text(header[345:500])
            if prefix and m.format == "ustar":
                name = prefix + b"/" + name
            m.size, how = octal(header[124:136], "size")
            if how == "base256":
                m.format = "gnu"
            if m.type in "xgLK":
                body = read_exact(self.stream, (m.size + 511) // 512 * 512)
                if len(body) < m.size:
                    raise Broken("tar: cut short inside an extended header")
                if m.type == "g":
                    raise Broken("tar: a global PAX header")
                if m.type in "LK":
                    self.notes.append(("gnu", "a GNU long name"))
                    pax["path" if m.type == "L" else "linkpath"] = body[:m.size].rstrip(b"\0")
                else:
                    pax.update(pax_records(body[:m.size]))
                continue
            m.pax, pax = pax, {}
            if "size" in m.pax:
                m.size = int(m.pax["size"])
            name = m.pax.get("path", name)
            m.raw_name = name
            m.name = name.decode("utf-8", "surrogateescape")
            m.link = m.pax.get("linkpath", text(header[157:257])).decode("utf-8", "surrogateescape")
            m.mode = octal(header[100:108], "mode")[0]
            m.uid = int(m.pax.get("uid", octal(header[108:116], "uid")[0]))
            m.gid = int(m.pax.get("gid", octal(header[116:124], "gid")[0]))
            m.mtime = float(m.pax.get("mtime", octal(header[136:148], "mtime")[0]))
            m.uname = m.pax.get("uname", text(header[265:297])).decode("utf-8", "replace")
            m.gname = m.pax.get("gname", text(header[297:329])).decode("utf-8", "replace")
            m.device = (octal(header[329:337], "devmajor")[0], octal(header[337:345], "devminor")[0])
            if m.format != "ustar":
                self.notes.append(("format", f"{m.name}: a {m.format} header"))
            for key in m.pax:
                if key not in ("path", "linkpath", "size", "uid", "gid", "uname", "gname", "mtime"):
                    self.notes.append(("format", f"{m.name}: PAX record {key}"))
            self.left = m.size if m.type in "0\0" else 0
            if m.type not in "0\0" and m.size:
                self.notes.append(("format", f"{m.name}: type {m.type!r} with a size"))
            self.padding = -self.left % 512
            yield m

    def read(self, n):
        piece = self.stream.read(min(n, self.left))
        if not piece and self.left and n:
            raise Broken("tar: cut short inside a member")
        self.left -= len(piece)
        return piece

    def skip(self):
        while self.left:
            self.read(1 << 20)
        if self.padding:
            pad = read_exact(self.stream, self.padding)
            if len(pad) == 0:
                self.notes.append(("end-blocks", "the last member's padding is missing"))
            elif len(pad) < self.padding:
                raise Broken("tar: cut short inside padding")
            elif pad.strip(b"\0"):
                self.notes.append(("format", "padding that is not zero"))
            self.padding = 0


# ---------------------------------------------------------------------------------- pg


def _crc_table():
    table = []
    for i in range(256):
        c = i
        for _ in range(8):
            c = (c >> 1) ^ 0x82F63B78 if c & 1 else c >> 1
        table.append(c)
    return table


CRC = _crc_table()


def control_identifier(data):
    """The system identifier of a pg_control, whose CRC is proved."""
    if len(data) != 8192:
        raise Broken(f"pg_control has {len(data)} bytes")
    c = 0xFFFFFFFF
    for i in range(512):
        if i >= 200 and i % 4 == 0 and c ^ 0xFFFFFFFF == struct.unpack_from("<I", data, i)[0]:
            if data[i + 4:].strip(b"\0"):
                continue
            return struct.unpack_from("<Q", data)[0]
        c = CRC[(c ^ data[i]) & 255] ^ (c >> 8)
    raise Broken("pg_control: no CRC fits")


def segment_name(timeline, number, size):
    per = (1 << 32) // size
    return "%08X%08X%08X" % (timeline, number // per, number % per)


def segment_number(name, size):
    per = (1 << 32) // size
    low = int(name[16:24], 16)
    if low >= per:
        raise Broken(f"{name} cannot be a name at this segment size")
    return int(name[8:16], 16) * per + low


def wal_header(data):
    """(magic, info, tli, pageaddr, sysid, segment size, block size) of a first page."""
    magic, info, tli, addr, _rem, sysid, seg, blk = struct.unpack_from("<HHIQIxxxxQII", data)
    return magic, info, tli, addr, sysid, seg, blk


# ---------------------------------------------------------------------------------- json


class Pairs(list):
    """A JSON object as its pairs, so that order and repetition can be seen."""


def load_pairs(raw):
    return json.loads(raw, object_pairs_hook=Pairs)


def to_dict(value):
    if isinstance(value, Pairs):
        return {k: to_dict(v) for k, v in value}
    if isinstance(value, list):
        return [to_dict(v) for v in value]
    return value


# key, types, may it be absent
SENTINEL_KEYS = [
    ("LSN", int, False), ("DeltaLSN", int, True), ("DeltaFrom", str, True), ("DeltaFullName", str, True),
    ("DeltaCount", int, True), ("PgVersion", int, False), ("FinishLSN", int, False), ("SystemIdentifier", int, False),
    ("UncompressedSize", int, False), ("CompressedSize", int, False), ("DataCatalogSize", int, True),
    ("Spec", Pairs, True), ("UserData", object, True), ("FilesMetadataDisabled", bool, True),
    ("ChkpNum", type(None), False), ("DeltaChkpNum", int, True), ("Version", int, False), ("StartTime", "time", False),
    ("FinishTime", "time", False), ("DateFmt", str, False), ("Hostname", str, False), ("DataDir", str, False),
    ("IsPermanent", bool, False),
]
METADATA_KEYS = [
    ("start_time", "time", False), ("finish_time", "time", False), ("date_fmt", str, False), ("hostname", str, False),
    ("data_dir", str, False), ("pg_version", int, False), ("start_lsn", int, False), ("finish_lsn", int, False),
    ("is_permanent", bool, False), ("system_identifier", int, False), ("uncompressed_size", int, False),
    ("compressed_size", int, False), ("user_data", object, True),
]
FILE_KEYS = [
    ("IsIncremented", bool, False), ("IsSkipped", bool, False), ("MTime", "mtime", False),
    ("CorruptBlocks", Pairs, True), ("UpdatesCount", int, False),
]


class Reader:
    def __init__(self, repo, origin="walpipe", allow_unfinished=False):
        self.repo = os.fspath(repo)
        self.ours = origin == "walpipe"
        self.allow_unfinished = allow_unfinished
        self.problems = []

    # kinds of complaint which only our own writer must never cause
    RELAXED = frozenset(("order", "sequence", "identity", "end-blocks", "names", "metadata", "label", "root",
                         "escape", "lists", "format", "sizes", "wal-range", "leftover", "frame", "gnu", "keys"))

    def complain(self, kind, where, what):
        if self.ours or kind not in self.RELAXED:
            self.problems.append(f"{where}: {what}")

    def path(self, *parts):
        return os.path.join(self.repo, *parts)

    # -- the whole repository

    def names(self):
        folder = self.path("basebackups_005")
        if not os.path.isdir(folder):
            return []
        found = [m.group(1) for m in map(SENTINEL.match, os.listdir(folder)) if m]
        # as wal-g: by the sentinel's modification time
        return sorted(found, key=lambda n: (os.stat(self.sentinel_path(n)).st_mtime_ns, n))

    def sentinel_path(self, name):
        return self.path("basebackups_005", name + "_backup_stop_sentinel.json")

    def check(self, name=None):
        """All problems of the repository, or of one backup and the WAL it needs."""
        names = self.names()
        if name == "LATEST":
            name = names[-1] if names else None
        if name is not None and name not in names:
            self.problems.append(f"{name}: no such backup")
            return self.problems
        self.check_tree(names)
        wal = self.check_wal(names)
        for n in [name] if name else names:
            try:
                self.check_backup(n, wal)
            except (Broken, OSError, ValueError, KeyError) as e:
                self.problems.append(f"{n}: {type(e).__name__}: {e}")
        return self.problems

    def check_tree(self, names):
        for folder, subfolders, files in os.walk(self.repo):
            for f in files + [s for s in subfolders if os.path.islink(os.path.join(folder, s))]:
                full = os.path.join(folder, f)
                key = os.path.relpath(full, self.repo)
                if TEMPORARY.search(f):
                    if not self.allow_unfinished:
                        self.complain("leftover", key, "a temporary file was left")
                elif os.path.islink(full) or not os.path.isfile(full):
                    self.problems.append(f"{key}: neither file nor directory")
                elif key == IDENTITY:
                    pass
                elif key.startswith("wal_005/"):
                    pass
                elif key.startswith("basebackups_005/"):
                    parts = key.split("/")
                    if len(parts) == 2 and SENTINEL.match(parts[1]):
                        continue
                    known = BACKUP.match(parts[1]) and (
                        (len(parts) == 3 and parts[2] in ("metadata.json", "files_metadata.json"))
                        or (len(parts) == 4 and parts[2] == "tar_partitions"))
                    if not known:
                        self.problems.append(f"{key}: unexpected in the repository")
                    elif parts[1] not in names and not self.allow_unfinished:
                        self.complain("leftover", key, "belongs to a backup that has no sentinel")
                else:
                    self.problems.append(f"{key}: unexpected in the repository")
        self.identities = []
        if os.path.exists(self.path(IDENTITY)):
            try:
                with open(self.path(IDENTITY), "rb") as f:
                    entries = json.load(f)
                for e in entries:
                    if sorted(set(e) - {"create_only"}) != ["segment_size", "server_version_num", "since", "system_identifier"]:
                        self.problems.append(f"{IDENTITY}: keys {sorted(e)}")
                    if not isinstance(e["system_identifier"], int) or not isinstance(e["segment_size"], int):
                        self.problems.append(f"{IDENTITY}: identifier or size is no number")
                    self.identities.append(e)
            except (ValueError, TypeError, KeyError) as e:
                self.problems.append(f"{IDENTITY}: {e}")
        elif names:
            self.complain("identity", IDENTITY, "missing")

    def check_wal(self, names):
        """Every object of wal_005 decodes to what its name says; returns names without extension."""
        found, identifiers = {}, {e["system_identifier"] for e in self.identities}
        for n in names:
            try:
                with open(self.sentinel_path(n), "rb") as f:
                    sentinel = json.load(f)
                if sentinel.get("SystemIdentifier"):
                    identifiers.add(sentinel["SystemIdentifier"])
            except (ValueError, OSError):
                pass        # said elsewhere
        folder = self.path("wal_005")
        size = None
        for obj in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            where = "wal_005/" + obj
            if TEMPORARY.search(obj):
                continue
            m = re.match(rf"^(?:({SEGMENT})(\.partial|\.[0-9A-F]{{8}}\.backup)?|([0-9A-F]{{8}})\.history)"
                         r"(?:\.(lz4|lzma|br|zst))?$", obj)
            if not m:
                if not (not self.ours and re.match(rf"^{SEGMENT}_delta", obj)):
                    self.problems.append(f"{where}: unexpected in the repository")
                continue
            plain = obj[:len(obj) - len(m.group(4)) - 1] if m.group(4) else obj
            if plain in found:
                self.problems.append(f"{where}: stored twice, also as {found[plain]}")
            found[plain] = obj
            if m.group(4) not in (None, "lz4"):
                continue
            try:
                if m.group(4) == "lz4":
                    self.check_frame(where, self.path(where))
                data = decode(self.path(where))
                if m.group(3):
                    self.check_history(where, data, int(m.group(3), 16))
                elif m.group(2) and m.group(2).endswith(".backup"):
                    if not data.startswith(b"START WAL LOCATION: "):
                        self.problems.append(f"{where}: no backup history file")
                else:
                    seg = self.check_segment(where, plain[:24], data, identifiers, bool(m.group(2)))
                    if size is not None and seg != size:
                        self.problems.append(f"{where}: segment size {seg}, others have {size}")
                    size = seg
            except (Broken, OSError, struct.error) as e:
                self.problems.append(f"{where}: {e}")
        self.segment_size = size
        return found

    def check_history(self, where, data, timeline):
        parents = []
        for line in data.decode("utf-8", "replace").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                m = re.match(r"^(\d+)\t([0-9A-F]+/[0-9A-F]+)\t", line)
                if not m:
                    self.problems.append(f"{where}: not a history line: {line!r}")
                else:
                    parents.append(int(m.group(1)))
        if parents != sorted(parents) or (parents and parents[-1] >= timeline) or not parents:
            self.problems.append(f"{where}: parents {parents} of timeline {timeline}")

    def check_segment(self, where, name, data, identifiers, partial):
        magic, info, tli, addr, sysid, seg, blk = wal_header(data)
        if magic not in WAL_MAGIC.values():
            raise Broken(f"WAL magic {magic:04X} is no version's")
        if not info & 2:
            raise Broken("the first page has no long header")
        if len(data) != seg:
            raise Broken(f"{len(data)} bytes where the header says segments of {seg}")
        if addr != segment_number(name, seg) * seg:
            raise Broken(f"its first page is at {addr:X}")
        if tli > int(name[:8], 16) or tli == 0:
            raise Broken(f"timeline {tli} in its first page")
        if identifiers and sysid not in identifiers:
            raise Broken(f"of another cluster: {sysid}")
        if blk != 8192:
            raise Broken(f"WAL block size {blk}")
        del partial
        return seg

    def check_frame(self, where, path):
        """One lz4 frame as wal-g writes it, and nothing else in the object."""
        header, blocks, end = lz4_scan(path)
        if header != bytes.fromhex("04224d186470b9"):
            self.complain("frame", where, f"lz4 frame header is {header.hex(' ')}")
        size = os.path.getsize(path)
        if end != size:
            self.problems.append(f"{where}: {size - end} bytes after the first lz4 frame (wal-g reads the first only)")
        for _, n, stored in blocks:
            if n > 4 << 20 or (stored and n > 4 << 20):
                self.problems.append(f"{where}: an lz4 block of {n} bytes")

    # -- one backup

    def load_json(self, where, path, keys=None):
        with open(path, "rb") as f:
            raw = f.read()
        if raw.startswith(b"\xef\xbb\xbf"):
            self.problems.append(f"{where}: begins with a byte order mark")
        pairs = load_pairs(raw.decode("utf-8"))
        if not isinstance(pairs, Pairs):
            raise Broken(f"{where}: no JSON object")
        seen = [k for k, _ in pairs]
        if len({k.lower() for k in seen}) != len(seen):
            self.problems.append(f"{where}: a key is there twice")
        if keys:
            if re.search(r"[<>&\u2028\u2029]", raw.decode("utf-8")):
                self.complain("escape", where, "<, > or & stands unescaped")
            self.check_keys(where, pairs, keys)
        return pairs

    def check_keys(self, where, pairs, keys, extra=()):
        known = [k for k, _, _ in keys]
        present = dict(pairs)
        order = [k for k, _ in pairs if k in known]
        if order != [k for k in known if k in present]:
            self.complain("order", where, f"keys are ordered {order}")
        for k in present:
            if k not in known and k not in extra:
                self.complain("keys", where, f"unknown key {k}")
        for k, kind, optional in keys:
            if k not in present:
                if not optional:
                    self.complain("keys", where, f"key {k} is missing")
                continue
            v = present[k]
            if kind in ("time", "mtime"):
                if not isinstance(v, str) or not (TIME if kind == "time" else MTIME).match(v):
                    self.complain("keys", where, f"{k} is {v!r}")
            elif kind is int:
                if not isinstance(v, int) or isinstance(v, bool) or v < 0:
                    self.problems.append(f"{where}: {k} is {v!r}")
            elif kind is not object and not isinstance(v, kind):
                self.problems.append(f"{where}: {k} is {v!r}")

    def parts(self, name):
        """(concurrent, sequential) object names, as wal-g groups them."""
        found = sorted(f for f in os.listdir(self.path("basebackups_005", name, "tar_partitions"))
                       if not TEMPORARY.search(f))
        late = [f for f in found if re.match(r"^.*?(pg_control|backup_label)\.tar(\..+$|$)", f)]
        return [f for f in found if f not in late], late

    def files_metadata(self, name, sentinel):
        """(Files, TarFileSets) or (None, None) where no list exists."""
        path = self.path("basebackups_005", name, "files_metadata.json")
        if sentinel.get("FilesMetadataDisabled"):
            if os.path.exists(path):
                self.problems.append(f"{name}: FilesMetadataDisabled, yet files_metadata.json is there")
            return None, None
        if not os.path.exists(path):
            if self.ours:
                self.problems.append(f"{name}: files_metadata.json is missing")
            return sentinel.get("Files"), sentinel.get("TarFileSets") or {}
        with open(path, "rb") as f:
            pairs = load_pairs(f.read().decode("utf-8"))
        top = dict(pairs)
        for k in top:
            if k not in ("Files", "TarFileSets", "DatabasesByNames"):
                self.complain("keys", name + "/files_metadata.json", f"unknown key {k}")
        files = top.get("Files", Pairs())
        if len({k for k, _ in files}) != len(files):
            self.problems.append(f"{name}: files_metadata.json names a file twice")
        for k, v in files:
            self.check_keys(f"{name}/files_metadata.json {k}", v, FILE_KEYS)
        return to_dict(files), to_dict(top.get("TarFileSets", Pairs()))

    def check_backup(self, name, wal):
        where = self.sentinel_path(name)[len(self.repo):].lstrip("/")
        pairs = self.load_json(where, self.sentinel_path(name))
        if re.search(rb"[<>&]", open(self.sentinel_path(name), "rb").read()):
            self.complain("escape", where, "<, > or & stands unescaped")
        self.check_keys(where, pairs, SENTINEL_KEYS, extra=("WalpipeWalChecked",))
        s = to_dict(pairs)
        if s.get("Version") != 2:
            self.complain("keys", where, f"Version is {s.get('Version')!r}")
        if s.get("DateFmt") != DATE_FORMAT:
            self.complain("keys", where, f"DateFmt is {s.get('DateFmt')!r}")
        if "WalpipeWalChecked" in s and s["WalpipeWalChecked"] is not False:
            self.problems.append(f"{where}: WalpipeWalChecked is {s['WalpipeWalChecked']!r}")
        delta = [k for k in ("DeltaLSN", "DeltaFrom", "DeltaFullName", "DeltaCount") if s.get(k) is not None]
        if delta:
            raise Broken("a delta is not for this reader")
        if "FilesMetadataDisabled" in s and not s["FilesMetadataDisabled"]:
            self.complain("keys", where, "FilesMetadataDisabled is written although false")
        if "DataCatalogSize" in s and s["DataCatalogSize"] == 0:
            self.complain("keys", where, "DataCatalogSize is written although 0")
        if "_D_" in name:
            self.problems.append(f"{where}: the name of a delta")
        self.check_spec(where, s)
        self.check_metadata(name, s)
        self.check_parts(name, s)
        self.check_wal_range(name, s, wal)
        identifiers = {e["system_identifier"] for e in self.identities}
        if identifiers and s["SystemIdentifier"] not in identifiers:
            self.problems.append(f"{where}: SystemIdentifier is not in {IDENTITY}")
        last = os.stat(self.sentinel_path(name)).st_mtime_ns
        for folder, _, files in os.walk(self.path("basebackups_005", name)):
            for f in files:
                if os.stat(os.path.join(folder, f)).st_mtime_ns > last:
                    self.complain("sequence", where, f"{f} is newer than the sentinel")

    def check_spec(self, where, s):
        if "Spec" not in s:
            return
        spec = s["Spec"]
        oids = spec.get("tablespaces", [])
        if not oids:
            self.complain("keys", where, "Spec without tablespaces")
        if spec.get("base_prefix") != s.get("DataDir"):
            self.complain("keys", where, f"base_prefix is {spec.get('base_prefix')!r}, DataDir {s.get('DataDir')!r}")
        if sorted(spec) != sorted(list(oids) + ["base_prefix", "tablespaces"]):
            self.problems.append(f"{where}: Spec has the keys {sorted(spec)}")
        if list(spec) != sorted(spec):
            self.complain("order", where, f"Spec's keys are ordered {list(spec)}")
        for oid in oids:
            entry = spec.get(oid)
            if not isinstance(entry, dict) or entry.get("link") != "pg_tblspc/" + oid or \
                    not str(entry.get("loc", "")).startswith("/") or entry["loc"].endswith("/"):
                self.problems.append(f"{where}: Spec of {oid} is {entry!r}")

    def check_metadata(self, name, s):
        path = self.path("basebackups_005", name, "metadata.json")
        where = f"basebackups_005/{name}/metadata.json"
        if not os.path.exists(path):
            self.complain("metadata", where, "missing")
            return
        m = to_dict(self.load_json(where, path, METADATA_KEYS))
        for ours, theirs in (("start_time", "StartTime"), ("finish_time", "FinishTime"), ("date_fmt", "DateFmt"),
                             ("hostname", "Hostname"), ("data_dir", "DataDir"), ("pg_version", "PgVersion"),
                             ("start_lsn", "LSN"), ("finish_lsn", "FinishLSN"), ("is_permanent", "IsPermanent"),
                             ("system_identifier", "SystemIdentifier"), ("uncompressed_size", "UncompressedSize"),
                             ("compressed_size", "CompressedSize"), ("user_data", "UserData")):
            if m.get(ours) != s.get(theirs) and ours != "is_permanent":
                self.complain("metadata", where, f"{ours} {m.get(ours)!r} differs from the sentinel's {s.get(theirs)!r}")
        if m.get("start_time", "") > m.get("finish_time", ""):
            self.complain("metadata", where, "finishes before it starts")

    def check_wal_range(self, name, s, wal):
        if s.get("WalpipeWalChecked") is False:
            return
        if self.segment_size is None:
            self.complain("wal-range", name, "no WAL at all is stored")
            return
        size, tli = self.segment_size, int(name[5:13], 16)
        first = s["LSN"] // size
        if s["FinishLSN"] < s["LSN"]:
            self.problems.append(f"{name}: FinishLSN before LSN")
        if self.ours and name[5:29] != segment_name(tli, first, size):
            self.problems.append(f"{name}: its LSN lies in {segment_name(tli, first, size)}")
        for number in range(first, (s["FinishLSN"] - 1) // size + 1):
            if segment_name(tli, number, size) not in wal:
                self.complain("wal-range", name, f"WAL {segment_name(tli, number, size)} is not stored")

    def check_parts(self, name, s):
        files, sets = self.files_metadata(name, s)
        early, late = self.parts(name)
        folder = f"basebackups_005/{name}/tar_partitions"
        controls = [f for f in late if "pg_control.tar" in f]
        labels = [f for f in late if "backup_label.tar" in f]
        if len(controls) != 1:
            self.problems.append(f"{folder}: {len(controls)} objects called pg_control.tar")
        if len(labels) != 1:
            self.complain("label", folder, f"{len(labels)} objects called backup_label.tar")
        methods = {method_of(f) for f in early + late}
        if len(methods) != 1:
            self.problems.append(f"{folder}: compressed in different ways: {sorted(methods)}")
        for f in early:
            if not re.match(r"^part_(\d{3}|[1-9]\d{3,})\.tar(\.(lz4|lzma|br|zst))?$", f):
                self.complain("names", folder, f"a part called {f}")
            elif f.startswith("part_000"):
                self.complain("names", folder, "numbering starts at 001")
        members, where_of, payload, stored = {}, {}, 0, 0
        for f in early + late:
            path = self.path(folder, f)
            stored += os.path.getsize(path)
            where = f"{folder}/{f}"
            if method_of(f) == "lz4":
                self.check_frame(where, path)
            names, total = self.check_part(where, path, s, members, where_of, f in controls, f in labels)
            payload += total
            if sets is not None and (sets or self.ours) and f not in controls:
                if f not in sets:
                    self.complain("lists", where, "not in TarFileSets")
                elif sorted(sets[f]) != sorted(names):
                    odd = sorted(set(sets[f]) ^ set(names))[:5]
                    self.complain("lists", where, f"TarFileSets differs from its members: {odd}")
        if sets:
            for f in sets:
                if f not in early + late:
                    self.problems.append(f"{folder}: TarFileSets names {f}, which is not stored")
                if f in controls:
                    self.complain("lists", folder, "TarFileSets lists pg_control.tar")
        if "UncompressedSize" in s and s["UncompressedSize"] != payload:
            self.complain("sizes", name, f"UncompressedSize {s['UncompressedSize']}, members sum to {payload}")
        if "CompressedSize" in s and s["CompressedSize"] != stored:
            # wal-g counts what was uploaded so far: its last few bytes, and what it copied, may be missing
            kind = "sizes" if s["CompressedSize"] < stored else "lost"
            self.complain(kind, name, f"CompressedSize {s['CompressedSize']}, objects sum to {stored}")
        for must in ("/global/pg_control", "/PG_VERSION") if self.ours else ():
            if must not in members:
                self.problems.append(f"{name}: {must} is in no part")
        if self.ours:
            for must in ("/", "/global", "/base", "/pg_wal" if s["PgVersion"] >= 100000 else "/pg_xlog", "/pg_tblspc"):
                if must not in members:
                    self.complain("root", name, f"no directory entry {must}")
        for must in ("backup_label", "tablespace_map"):
            if must not in members:
                self.problems.append(f"{name}: {must} is in no part")
        if files is not None and files:
            listed = set(files)
            if self.ours:
                there = {n for n in members if n not in UTILITY}
                for n in sorted(listed - there)[:10]:
                    self.problems.append(f"{name}: Files lists {n!r}, which is in no part")
                for n in sorted(there - listed)[:10]:
                    self.problems.append(f"{name}: member {n!r} is not in Files: wal-g would not restore it")
                for n in UTILITY:
                    if n in listed:
                        self.complain("lists", name, f"Files lists {n}")
            else:
                for n in sorted(listed - set(members))[:10]:
                    self.problems.append(f"{name}: Files lists {n!r}, which is in no part")
            for n, entry in files.items():
                if entry.get("IsSkipped") or entry.get("IsIncremented"):
                    self.problems.append(f"{name}: {n} is skipped or incremented in a full backup")

    def check_part(self, where, path, s, members, where_of, control, label):
        stream = open_object(path)
        names, total = [], 0
        try:
            tar = Tar(stream)
            for m in tar:
                names.append(m.name)
                if m.name in members and self.ours:
                    self.problems.append(f"{where}: {m.name!r} is also in {where_of[m.name]}")
                members[m.name], where_of[m.name] = m, os.path.basename(path)
                total += m.size if m.type in "0\0" else 0
                self.check_member(where, m, label)
                if m.name.endswith("global/pg_control") and m.type in "0\0" and (control or self.ours):
                    if not control:
                        self.problems.append(f"{where}: pg_control outside pg_control.tar")
                    if m.size > 8192:
                        raise Broken("pg_control is too large")
                    identifier = control_identifier(read_exact(tar, m.size))
                    if s.get("SystemIdentifier") not in (None, identifier):
                        self.problems.append(f"{where}: pg_control is of cluster {identifier}")
            for kind, what in tar.notes:
                self.complain(kind, where, what)
            stream.finish()
        except Broken as e:
            raise Broken(f"{where}: {e}") from None
        finally:
            stream.close()
        if control and names != ["/global/pg_control"]:
            self.complain("names", where, f"holds {names}")
        if label and names != ["backup_label", "tablespace_map"]:
            self.complain("label", where, f"holds {names}")
        return names, total

    def check_member(self, where, m, label):
        w = f"{where}: {m.name!r}"
        if m.type not in "05":
            if self.ours and m.type != "2":
                self.problems.append(f"{w} has type {m.type!r}")
        try:
            m.raw_name.decode("utf-8")
        except UnicodeDecodeError:
            self.complain("names", w, "is not UTF-8: the list of files cannot name it")
        if "path" not in m.pax and any(c > 126 or c < 32 for c in m.raw_name):
            self.complain("format", w, "is no plain ASCII name and has no PAX path")
        if label:
            if (m.mode, m.uid, m.gid, m.mtime, m.uname, m.gname) != (0o600, 0, 0, 0, "", ""):
                self.complain("label", w, f"mode {m.mode:o} uid {m.uid} gid {m.gid} mtime {m.mtime} {m.uname!r} {m.gname!r}")
            return
        if not self.ours:
            return
        if m.mode & ~0o7777:
            self.problems.append(f"{w} has mode {m.mode:o}")
        if m.device != (0, 0):
            self.problems.append(f"{w} has device numbers {m.device}")
        if m.mtime != int(m.mtime):
            self.complain("format", w, f"has the time {m.mtime}")
        if not m.name.startswith("/"):
            self.problems.append(f"{w} has no leading slash: wal-g looks for it with one")
        elif m.name != "/" and (m.name.endswith("/") or "//" in m.name):
            self.problems.append(f"{w} has a slash too many")
        components = m.name.strip("/").split("/")
        if ".." in components or "." in components:
            self.problems.append(f"{w} has a dot component")
        excluded = [i for i, c in enumerate(components) if c in EXCLUDED]
        # (the directories pg_wal/archive_status and pg_wal/summaries are more than wal-g stores: every reader makes them)
        more = m.type == "5" and m.name in ("/pg_wal/archive_status", "/pg_wal/summaries")
        if excluded and (m.type != "5" or excluded[0] != len(components) - 1) and not more:
            self.problems.append(f"{w} is of those that are never stored")
        if m.type == "5" and m.size:
            self.problems.append(f"{w} is a directory with a size")

    # -- restore as wal-g does

    def restore(self, name, dest, spec=None, mask=None):
        """What `wal-g backup-fetch DEST NAME` would write; raises Broken where it would fail.

        Without a restore spec the links of tablespaces, which wal-g makes below the original data
        directory, are not made."""
        if name == "LATEST":
            name = self.names()[-1]
        with open(self.sentinel_path(name), "rb") as f:
            sentinel = json.load(f)
        if sentinel.get("DeltaFrom") is not None:
            raise Broken("a delta is not for this reader")
        if os.path.isdir(dest) and os.listdir(dest):
            raise Broken(f"Directory {dest} for delta base must be empty")
        if not os.path.isdir(dest):
            os.makedirs(dest, 0o750)
            os.chmod(dest, 0o750)
        files, _ = self.files_metadata(name, sentinel)
        wanted = None
        if files:
            wanted = set(files) | set(UTILITY)
            if spec:
                wanted.discard("tablespace_map")
        if spec:
            os.makedirs(os.path.join(spec["base_prefix"], "pg_tblspc"), 0o750, exist_ok=True)
            for oid in spec["tablespaces"]:
                os.makedirs(spec[oid]["loc"], exist_ok=True)
                os.symlink(spec[oid]["loc"], os.path.join(spec["base_prefix"], spec[oid]["link"]))
        early, late = self.parts(name)
        if not late:
            raise Broken("Expect pg_control archive, but not found")
        for part in early + sorted(late, key=lambda f: "pg_control" in f):
            self.extract(os.path.join(self.path("basebackups_005", name, "tar_partitions"), part), dest, wanted)
        return name

    def extract(self, path, dest, wanted):
        stream = open_object(path)
        try:
            tar = Tar(stream)
            for m in tar:
                target = os.path.normpath(dest + "/" + m.name)
                if target != os.path.normpath(dest) and not target.startswith(os.path.normpath(dest) + "/"):
                    raise Broken(f"{m.name} leads out of the directory")
                if m.type == "5":
                    os.makedirs(target, 0o750, exist_ok=True)
                    os.chmod(target, m.mode & 0o7777)
                elif m.type in "0\0":
                    if wanted is not None and m.name not in wanted:
                        continue
                    os.makedirs(os.path.dirname(target), 0o750, exist_ok=True)
                    with open(target, "wb") as f:
                        at = 0
                        while tar.left:
                            piece = tar.read(1 << 20)
                            if piece.count(0) == len(piece):        # keep holes holes
                                f.seek(len(piece), 1)
                            else:
                                f.write(piece)
                            at += len(piece)
                        f.truncate(at)
                    os.chmod(target, m.mode & 0o7777)
                elif m.type == "2":
                    if os.path.lexists(target):
                        os.unlink(target)
                    os.symlink(m.name, target)
            stream.finish()
        finally:
            stream.close()


def listing(root):
    """Rows (path, size, digest) of a tree, in the form of the fixtures' files-N.tsv."""
    rows = []

    def walk(folder, prefix):
        for entry in os.scandir(folder):
            name = prefix + entry.name
            if entry.is_symlink():
                rows.append((name, 0, "link:" + os.readlink(entry.path)))
                if os.path.isdir(entry.path) and re.match(r"^pg_tblspc/\d+$", name):
                    walk(entry.path, name + "/")
            elif entry.is_dir():
                rows.append((name + "/", 0, "-"))
                walk(entry.path, name + "/")
            else:
                with open(entry.path, "rb") as f:
                    rows.append((name, entry.stat().st_size, hashlib.file_digest(f, "sha256").hexdigest()))

    walk(root, "")
    return sorted(rows, key=lambda r: os.fsencode(r[0]))


def read_listing(path):
    rows = []
    with open(path, encoding="utf-8", errors="surrogateescape") as f:
        for line in f.read().split("\n"):
            if line:
                name, size, digest = line.split("\t")
                rows.append((name, int(size), digest))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = parser.add_subparsers(dest="what", required=True)
    for what in ("check", "restore"):
        p = sub.add_parser(what)
        p.add_argument("--from", dest="origin", choices=("walpipe", "walg"), default="walpipe")
        p.add_argument("repo")
        if what == "check":
            p.add_argument("--allow-unfinished", action="store_true")
            p.add_argument("name", nargs="?")
        else:
            p.add_argument("--restore-spec")
            p.add_argument("name")
            p.add_argument("dir")
    words = parser.parse_args()
    reader = Reader(words.repo, words.origin, getattr(words, "allow_unfinished", False))
    if words.what == "check":
        problems = reader.check(words.name)
        sys.stdout.write("".join(p + "\n" for p in problems))
        return 1 if problems else 0
    spec = None
    if words.restore_spec:
        with open(words.restore_spec, encoding="utf-8") as f:
            spec = json.load(f)
    try:
        reader.restore(words.name, words.dir, spec)
    except (Broken, OSError) as e:
        print(e)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
