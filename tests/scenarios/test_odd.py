"""Odd clusters: names, empty directories, links, holes, many and large files, and what memory they cost."""

import os
import pathlib

import pytest

import strict_reader
from lib import story
from lib.rig import Memory

MIB = 1024      # KiB


def restored(rig, pg, want=None):
    want = want if want is not None else pg.digests()
    pg.switch()
    pg.destroy()
    story.fetch(rig, pg.data)
    back = pg.restored("back", pg.data).start().wait_recovered()
    assert back.digests() == want
    return back


def bound(files=0, streams=4):
    """KiB for one process: 64 MiB, 1 MiB per stream, 100 bytes per file."""
    return 64 * MIB + streams * MIB + files * 100 // 1024


def sampled(rig, *argv, env=None, cwd=None, timeout=300):
    """Run a command to its end; the largest VmHWM of each program in it."""
    with open(rig.dir / "sampled.out", "wb") as out, open(rig.dir / "sampled.err", "wb") as err:
        p = rig.spawn(*argv, env=env, cwd=cwd, stdout=out, stderr=err)
        with Memory(p.pid) as memory:
            code = p.wait(timeout)
    said = (rig.dir / "sampled.err").read_text(errors="replace")
    rig.note([str(a) for a in argv], code, (rig.dir / "sampled.out").read_text(errors="replace"), said)
    assert code == 0, said
    rig.note(["memory, KiB"], 0, str(memory.by_name()))
    return memory.by_name()


def test_odd_names_come_back(rig):
    pg = story.archived(rig)
    odd = ["with space", "it's", 'say "so"', "new\nline", "tab\there", "Ünïcödé ☃", "-dash", "back\\slash", "star*", "$HOME `id` $(id)", "%f%p",
           "x" * 120, "ü" * 60]
    folder = pg.data / "odd ünï\ndir"
    folder.mkdir(mode=0o700)
    (folder / "empty dir").mkdir(mode=0o700)
    for i, n in enumerate(odd):
        (folder / n).write_bytes(n.encode() * i)
        (folder / n).chmod(0o600)
    deep = folder
    for _ in range(12):
        deep = deep / "a long directory name, as some have"
        deep.mkdir(mode=0o700)
    (deep / "file").write_text("deep")
    (deep / "file").chmod(0o600)
    rig.own(folder, recursive=True)
    rig.own(folder)
    pg.sql('create table "odd \'name\' ""q"" Ünï\nline" as select g from generate_series(1, 10) g')
    pg.sql("create database \"data base 'q' ü\"")
    pg.sql("create table t (a int)", "data base 'q' ü")
    before = [r for r in strict_reader.listing(pg.data) if r[0].startswith("odd ünï")]
    assert len(before) == len(odd) + 1 + 1 + 13 + 0, len(before)
    pg.backup()
    rig.strict()
    want = {db: pg.sql("select string_agg(relname, ',') from pg_class where relname like 'odd%' or relname = 't'", db) for db in pg.databases()}
    back = restored(rig, pg, pg.digests())
    assert {db: back.sql("select string_agg(relname, ',') from pg_class where relname like 'odd%' or relname = 't'", db)
            for db in back.databases()} == want
    assert [r for r in strict_reader.listing(pg.data) if r[0].startswith("odd ünï")] == before


def test_a_data_directory_with_an_odd_name(rig):
    pg = story.archived(rig, name="data 'dir' \"ü\" $x", small=True)
    pg.sql("create table t as select g from generate_series(1, 10) g")
    pg.backup()
    rig.strict()
    restored(rig, pg)


def test_a_repository_with_an_odd_name(rig):
    rig.repo("repo 'of' \"ü\" $x %p")
    pg = story.archived(rig, small=True)
    pg.sql("create table t as select g from generate_series(1, 10) g")
    pg.backup()
    rig.strict()
    restored(rig, pg)


def test_an_empty_database_directory_a_linked_pg_wal_and_unlogged_tables(rig):
    rig.repo()
    wal = rig.dir / "wal elsewhere"
    pg = story.archived(rig, initdb=["-X", wal])
    assert (pg.data / "pg_wal").is_symlink()
    (pg.data / "base" / "99999").mkdir(mode=0o700)
    rig.own(pg.data / "base" / "99999")
    pg.sql("create table t as select g from generate_series(1, 1000) g")
    pg.sql("create unlogged table u as select g from generate_series(1, 1000) g; create index on u (g)")
    pg.backup()
    rig.strict()
    back = restored(rig, pg)
    assert (pg.data / "base" / "99999").is_dir()
    assert (pg.data / "pg_wal").is_dir() and not (pg.data / "pg_wal").is_symlink()
    assert back.sql("select count(*) from u") == "0"
    back.sql("insert into u values (1)")
    back.amcheck()


def test_links_sockets_and_pipes_in_the_directory_do_no_harm(rig):
    import socket
    pg = story.archived(rig, small=True)
    os.mkfifo(pg.data / "a fifo")
    s = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(pg.data)       # the path may be long
    s.bind("a socket")
    os.chdir(here)
    s.close()
    os.symlink("/etc/hostname", pg.data / "a link")
    for n in ("a fifo", "a socket", "a link"):
        rig.own(pg.data / n)
    pg.backup()
    rig.strict()
    pg.sql("create table t as select g from generate_series(1, 10) g")
    restored(rig, pg)
    assert not (pg.data / "a socket").exists()


def test_a_relation_of_3_gib_of_holes_costs_little(rig):
    pg = story.archived(rig, small=True)
    pg.sql("create table big (a int); insert into big values (1)")
    path = pg.data / pg.sql("select pg_relation_filepath('big')")
    pg.stop()
    for p in (path, pathlib.Path(f"{path}.1"), pathlib.Path(f"{path}.2")):
        p.touch()
        os.truncate(p, 1 << 30)
        rig.own(p)
        p.chmod(0o600)
    pg.start()
    assert pg.sql("select pg_relation_size('big')") == str(3 << 30)
    peaks = sampled(rig, "walpipe", "backup-push", pg.data, env=pg.env())
    assert max(peaks.values()) <= bound(1000), peaks
    repo = rig.settings["WALG_FILE_PREFIX"]
    assert story.size_of(repo) < 40 << 20
    pg.switch()
    rig.strict()
    pg.destroy()
    peaks = sampled(rig, "walpipe", "backup-fetch", pg.data, "LATEST")
    assert max(peaks.values()) <= bound(1000), peaks
    assert sum(os.path.getsize(f"{path}{s}") for s in ("", ".1", ".2")) == 3 << 30
    back = pg.restored("back", pg.data).start().wait_recovered()
    assert back.sql("select pg_relation_size('big')") == str(3 << 30)


def test_wal_in_bounded_memory(rig):
    pg = story.archived(rig, segment=64, small=True, conf={"archive_command": "'false'"})
    pg.sql("create table t as select g, md5(g::text) from generate_series(1, 400000) g")
    name = pg.sql("select pg_walfile_name(pg_current_wal_lsn())")
    pg.sql("select pg_switch_wal()")
    for _ in range(2):      # stored, and compared
        peaks = sampled(rig, "walpipe", "wal-push", pg.data / "pg_wal" / name, cwd=pg.data)
        assert {"wal-push", "compress", "walcat"} <= set(peaks) and max(peaks.values()) <= bound(), peaks
    peaks = sampled(rig, "walpipe", "wal-fetch", name, rig.dir / "fetched", cwd=pg.data)
    assert {"wal-fetch", "compress", "walcat"} <= set(peaks) and max(peaks.values()) <= bound(), peaks
    assert (rig.dir / "fetched").read_bytes() == (pg.data / "pg_wal" / name).read_bytes()


def test_20000_relations_in_bounded_memory(rig):
    pg = story.archived(rig, small=True)
    pg.sql("create procedure many() language plpgsql as $$ begin for i in 1..20000 loop execute 'create table r' || i || ' ()';"
           " if i % 1000 = 0 then commit; end if; end loop; end $$")
    pg.psql("call many(); checkpoint", timeout=300)
    pg.sql("create table t as select g from generate_series(1, 10) g")
    files = sum(len(f) for _, _, f in os.walk(pg.data))
    assert files > 20000
    peaks = sampled(rig, "walpipe", "backup-push", pg.data, env=pg.env())
    assert max(peaks.values()) <= bound(files), peaks
    pg.switch()
    rig.strict()
    want = pg.sql("select count(*) from pg_class")
    pg.destroy()
    peaks = sampled(rig, "walpipe", "backup-fetch", pg.data, "LATEST")
    assert max(peaks.values()) <= bound(files), peaks
    back = pg.restored("back", pg.data).start().wait_recovered()
    assert back.sql("select count(*) from pg_class") == want
    assert back.sql("select count(*) from t") == "10"


@pytest.mark.long
def test_a_million_files_in_bounded_memory(rig):
    pg = story.archived(rig, small=True)
    for i in range(1000):
        folder = pg.data / "many" / f"{i:04d}"
        folder.mkdir(parents=True)
        for j in range(1000):
            os.close(os.open(folder / str(j), os.O_CREAT | os.O_WRONLY, 0o600))
    rig.own(pg.data / "many", recursive=True)
    rig.own(pg.data / "many")
    peaks = sampled(rig, "walpipe", "backup-push", pg.data, env=pg.env(), timeout=1800)
    assert max(peaks.values()) <= bound(1001000), peaks
    pg.switch()
    rig.strict()
    pg.destroy()
    peaks = sampled(rig, "walpipe", "backup-fetch", pg.data, "LATEST", timeout=1800)
    assert max(peaks.values()) <= bound(1001000), peaks
    assert sum(len(f) for _, _, f in os.walk(pg.data / "many")) == 1000000
    pg.restored("back", pg.data).start().wait_recovered()


def test_files_that_come_go_and_change_size_meanwhile(rig):
    """Tables are created, filled, truncated and dropped all through the backup."""
    rig.settings["WALG_DISK_RATE_LIMIT"] = str(12 << 20)
    pg = story.archived(rig, scale=1)
    script = rig.write("churn.sql", "create table churn_:client_id as select g, repeat('x', 500) from generate_series(1, 2000) g;\n"
                                    "truncate churn_:client_id;\ninsert into churn_:client_id select g, 'y' from generate_series(1, 300) g;\n"
                                    "vacuum full churn_:client_id;\ndrop table churn_:client_id;\n")
    from lib import servers
    p = rig.spawn(servers.client() / "pgbench", "-n", "-c", "3", "-T", "600", "-f", script, "postgres", env=pg.env())
    pg.backup()
    pg.backup()
    assert p.poll() is None
    p.terminate()
    p.wait()
    pg.sql("drop table if exists churn_0, churn_1, churn_2")
    rig.strict()
    restored(rig, pg).amcheck()


def test_corrupt_pages_are_reported_and_the_backup_is_made(rig):
    import json
    pg = story.archived(rig, small=True)
    pg.sql("create table t as select g, repeat('x', 500) from generate_series(1, 2000) g; checkpoint")
    path = pg.sql("select pg_relation_filepath('t')")
    pg.stop()
    with open(pg.data / path, "r+b") as f:
        for block in (3, 7):
            f.seek(block * 8192 + 5000)
            f.write(b"rotten")
    pg.start()
    r = rig.walpipe("backup-push", pg.data, "--verify", env=pg.env())
    assert path in r.err and "3" in r.err and "7" in r.err
    repo = rig.settings["WALG_FILE_PREFIX"]
    name = story.names(repo)[0]
    with open(f"{repo}/basebackups_005/{name}/files_metadata.json", encoding="utf-8") as f:
        entry = json.load(f)["Files"]["/" + path]
    assert entry["CorruptBlocks"] == {"CorruptBlocksCount": 2, "SomeCorruptBlocks": [3, 7]}
    rig.strict()
    r = rig.walpipe("backup-push", pg.data, "--verify", env=pg.env({"WALPIPE_CORRUPT_PAGES": "fail"}), status="fail")
    assert path in r.err
    assert story.names(repo) == [name]
