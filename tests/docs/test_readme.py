"""Every sh block of README.md runs, in order, on a throwaway server; and what it promises comes true."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from lib import need, s3, servers
from lib.cluster import Cluster
from lib.rig import ROOT, wait_for

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
BLOCKS = [(m[1], m[2]) for m in BLOCK.finditer(README)]
IN_S3 = [text for tag, text in BLOCKS if tag == "sh" and ("WALG_S3_PREFIX" in text or ".standby" in text)]
SH = [text for tag, text in BLOCKS if tag == "sh" and text not in IN_S3]


def test_every_block_says_what_it_is():
    assert README.count("\n```") == 2 * len(BLOCKS), "a block without a tag"
    assert {tag for tag, _ in BLOCKS} <= {"sh", "console", "text"}


def test_a_first_set_up_has_less_than_twenty_lines():
    block = next(text for text in SH if "archive_command" in text)
    assert len(block.splitlines()) < 20


def test_what_it_refers_to_is_there():
    for name in re.findall(r"`(walpipe(?:-\w+)*)\((\d)\)`", README):
        assert (ROOT / "man" / f"{name[0]}.{name[1]}").exists(), name
    for path in re.findall(r"\]\(((?!http)[^)]+)\)", README) + re.findall(r"\b(?:scripts|tests|man)/[\w.-]+", README):
        assert (ROOT / path).exists(), path


class Shell:
    """One sh, as a person's: blocks that are given to it one after another share its variables."""

    def __init__(self, rig, env):
        self.rig, self.count = rig, 0
        self.log = rig.write("session.log", "")
        loop = 'while read -r block; do . "$block" </dev/null; echo "@ $block"; done'
        with open(self.log, "ab") as out:
            self.process = rig.spawn("sh", "-eu", "-c", loop, env=env, cwd=rig.dir / "home", stdin=subprocess.PIPE,
                                     stdout=out, stderr=out)

    def text(self):
        return self.log.read_text(errors="replace")

    def run(self, block):
        """What it prints; it must not fail."""
        self.count += 1
        path = self.rig.write(f"block{self.count}.sh", block)
        before = len(self.text())
        self.process.stdin.write(f"{path}\n".encode())
        self.process.stdin.flush()

        def done():
            assert self.process.poll() is None, f"{block}\nended with {self.process.returncode}:\n{self.text()[-4000:]}"
            return f"@ {path}\n" in self.text()
        wait_for(done, 180, why=f"the end of\n{block}")
        return self.text()[before:]


@pytest.fixture
def server(rig):
    """A cluster that pg_ctl starts, as in the README; with whatever is restored beside it, it ends with the test."""
    major = next((m for m in (15, 17, 16, 18, 14, 13) if servers.find(m) and (servers.find(m) / "pg_ctl").exists()), None)
    if not major:
        need.skip("pg15", "no PostgreSQL server here")
    dump = shutil.which("pg_dump", path=f"{servers.find(major)}:{servers.client()}")
    if not dump or int(re.search(r"(\d+)", subprocess.check_output([dump, "--version"], text=True))[1]) < major:
        need.skip("pg_dump", f"none for PostgreSQL {major}")
    pg = Cluster(rig, major=major, archive=False)
    pg.configure(unix_socket_directories=f"'{pg.socket}'")

    def end():
        for data in rig.dir.glob("pg*"):
            if (data / "postmaster.pid").exists():
                rig.run(pg.bin / "pg_ctl", "-D", data, "-m", "immediate", "stop", status=None)
    rig.finalizers.append(end)
    return pg


def test_the_sh_blocks_do_what_they_say(rig, server):
    rig.want_tools("walpipe", "catalog", "pg-snapshot", "tarpart")      # what is not built yet is not built here
    pg, home = server, rig.dir / "home"
    install, set_up, lost, dropped, *others = SH

    # Whoever reads this has the checkout and cargo; the server's user may have neither.
    where = {"HOME": str(home)}
    for variable, folder in (("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")):
        where[variable] = os.environ.get(variable) or str(pathlib.Path.home() / folder)
    done = subprocess.run(["sh", "-eu", "-c", install], cwd=ROOT, env={**os.environ, **where}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr[-4000:]

    backup = rig.dir / "backup"
    path = f"{pg.bin}:{servers.client()}:/usr/local/bin:/usr/bin:/bin"
    env = pg.env({"BACKUP": backup, "PATH": path, "WALPIPE_EXEC_PATH": None, "LC_ALL": "C"})
    rig.run(pg.bin / "pg_ctl", "-D", pg.data, "-l", home / "server.log", "-w", "start", env=env)
    pg.sql("create table orders as select g, md5(g::text) from generate_series(1, 1000) g")
    shell = Shell(rig, env)

    text = shell.run(set_up)
    assert re.search(r"^base_[0-9A-F]{24} .*default$", text, re.M), text

    # Rows that were committed and never archived come back as well.
    pg.sql("insert into orders select g, 'late' from generate_series(1001, 1100) g")
    wanted = pg.sql("select count(*), md5(string_agg(o::text, ',' order by g)) from orders o")
    shell.run(lost)
    wait_for(lambda: pg.in_recovery() == "f", 60, why="the end of recovery")
    assert pg.sql("select count(*), md5(string_agg(o::text, ',' order by g)) from orders o") == wanted
    assert pg.sql("show archive_mode") == "on"

    # A table that was dropped comes back, and nothing else changes.
    before = pg.sql("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    pg.sql("drop table orders; create table since as select 1 as one")
    pg.switch()
    shell.run(f"BEFORE={before}\n" + dropped)
    assert pg.sql("select count(*), md5(string_agg(o::text, ',' order by g)) from orders o") == wanted
    assert pg.sql("select one from since") == "1"

    for block in others:
        text = shell.run(block)
    assert "repository=" + str(backup) in text and "usage: walpipe" in text


def test_the_blocks_of_s3_do_what_they_say(rig, server):
    rig.want_tools("walpipe", "catalog", "pg-snapshot", "tarpart", "s3put", "s3get", "s3ls", "s3rm")
    push, standby = IN_S3
    assert len((push + standby).splitlines()) < 25
    pg, bucket = server, s3.Bucket(rig, path="main")
    settings = bucket.server.settings()
    settings["FORCE_PATH"] = settings.pop("AWS_S3_FORCE_PATH_STYLE")
    path = f"{rig.session.stage()}/bin:{pg.bin}:{servers.client()}:/usr/local/bin:/usr/bin:/bin"
    env = pg.env({**settings, "BUCKET": bucket.name, "PATH": path, "WALPIPE_EXEC_PATH": None, "LC_ALL": "C"})
    pg.configure(archive_mode="on", archive_command="'false'")
    rig.run(pg.bin / "pg_ctl", "-D", pg.data, "-l", rig.dir / "home/server.log", "-w", "start", env=env)
    shell = Shell(rig, env)
    shell.run(push)
    assert len(bucket.backups()) == 1
    pg.sql("create table late as select 7 as seven")
    pg.switch()
    shell.run(standby)
    question = ("psql", "-p", "5434", "-Atc", "select seven from late", "postgres")
    wait_for(lambda: rig.run(*question, env=env, status=None).out == "7\n", 60, why="the row on the standby")
