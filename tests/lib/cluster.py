"""A throwaway PostgreSQL server."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

from . import need, servers
from .rig import children, wait_for

BASE = {
    "listen_addresses": "''", "fsync": "off", "shared_buffers": "16MB", "max_connections": "20",
    "wal_level": "replica", "max_wal_senders": "4", "hot_standby": "on", "log_min_messages": "info",
    "archive_timeout": "0", "log_line_prefix": "'%m [%p] '", "logging_collector": "off",
}


def server_bin(major):
    found = servers.find(major)
    if not found:
        servers.install(major)
        found = servers.find(major)
    if not found:
        need.skip(f"pg{major}", f"no PostgreSQL {major} under /usr/lib/postgresql or {servers.CACHE}")
    if not servers.client():
        need.skip("psql", "no psql")
    return found


class Cluster:
    """Made by initdb; or, with `data`, a directory that a restore left."""

    def __init__(self, rig, name="pg", major=15, checksums=True, segment=None, archive=True, small=False,
                 conf=None, data=None, initdb=()):
        self.rig, self.name, self.major = rig, name, major
        self.bin = server_bin(major)
        self.data = pathlib.Path(data) if data else rig.dir / name
        self.socket = rig.mkdir("s" + name, 0o755)
        self.log = rig.dir / (name + ".log")
        self.process = None
        rig.clusters.append(self)
        if data:
            return
        words = ["-N", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", *initdb]
        if checksums:
            words.append("-k")
        elif major >= 18:
            words.append("--no-data-checksums")
        if segment and segment != 16:
            words.append(f"--wal-segsize={segment}")
        rig.run(self.bin / "initdb", *words)
        settings = dict(BASE)
        if archive:
            settings.update(archive_mode="on", archive_command="'walpipe wal-push \"%p\"'")
        settings.update(conf or {})
        self.configure(**settings)
        if small:       # one database, 8 MB: backups in a moment
            self.start()
            self.sql("alter database template1 with is_template false")
            self.sql("alter database template0 with is_template false")
            self.sql("drop database template1")
            self.sql("drop database template0")

    # -- settings and life

    def configure(self, **settings):
        path = self.data / "postgresql.conf"
        with open(path, "a", encoding="utf-8") as f:
            for k, v in settings.items():
                f.write(f"{k} = {v}\n")

    def env(self, more=None):
        return {"PGHOST": str(self.socket), "PGPORT": "5432", "PGUSER": "postgres", "PGDATABASE": "postgres",
                "PGDATA": str(self.data), **(more or {})}

    def start(self, wait=True, env=None, **conf):
        """Start; wait until it takes connections (a standby: read only ones)."""
        words = [self.bin / "postgres", "-D", self.data, "-c", f"unix_socket_directories={self.socket}", "-c", "port=5432",
                 "-c", "logging_collector=off", "-c", "listen_addresses="]
        for k, v in conf.items():
            words += ["-c", f"{k}={v}"]
        with open(self.log, "ab") as log:
            self.process = self.rig.spawn(*words, stdout=log, stderr=log, cwd=self.data, env=env)
        if wait:
            wait_for(self.ready, 60, why=f"{self.name}: start")
        return self

    def ready(self):
        status = self.process.poll()
        assert status is None, f"{self.name}: the server ended with {status}\n{self.tail()}"
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        if len(lines) < 8 or lines[7].strip() not in ("ready", "standby"):
            return False
        return self.psql("select 1", status=None).status == 0

    def ended(self, seconds=60):
        """Wait for the server to end by itself; its status."""
        return wait_for(lambda: None if self.process.poll() is None else (self.process.returncode,), seconds,
                        why=f"{self.name}: the end")[0]

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, mode="fast"):
        if self.running():
            self.process.send_signal({"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])
            self.process.wait(60)

    def kill(self):
        """As a power cut: no process of the server lives on."""
        if self.running():
            for pid, _ in children(self.process.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait()
            time.sleep(0.02)

    def destroy(self):
        self.kill()
        shutil.rmtree(self.data)

    def tail(self, n=3000):
        try:
            return self.log.read_text(errors="replace")[-n:]
        except OSError:
            return ""

    # -- SQL

    def psql(self, sql, db="postgres", status=0, timeout=120):
        return self.rig.run(servers.client() / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", db, "-f", "-",
                            stdin=sql + "\n", env={**self.env(), "PGCLIENTENCODING": "UTF8"}, status=status, timeout=timeout)

    def sql(self, sql, db="postgres"):
        """The answer, unaligned, without its last newline."""
        return self.psql(sql, db).out.rstrip("\n")

    def databases(self):
        return self.sql("select datname from pg_database where datallowconn and datname not in ('template0', 'template1')"
                        " order by 1").splitlines()

    def digests(self, unlogged=False):
        """{"db.schema.table": "rows md5"} of every user table."""
        out = {}
        for db in self.databases():
            kinds = "('p', 'u')" if unlogged else "('p')"
            # names travel as hex: they may hold anything
            tables = [bytes.fromhex(t).decode() for t in self.sql(
                "select encode(convert_to(format('%I.%I', nspname, relname), 'UTF8'), 'hex')"
                " from pg_class c join pg_namespace n on n.oid = relnamespace"
                f" where relkind in ('r', 'm') and relpersistence in {kinds} and nspname !~ '^pg_' and nspname <> 'information_schema'"
                " order by 1", db).split()]
            for i in range(0, len(tables), 500):
                query = " union all ".join(
                    f"select {i + j}, count(*) || ' ' || md5(coalesce(string_agg(h, '' order by h collate \"C\"), ''))"
                    f" from (select md5(t::text) as h from {t} t) x" for j, t in enumerate(tables[i:i + 500]))
                for line in self.sql(query, db).splitlines():
                    number, value = line.split("|")
                    out[f"{db}.{tables[int(number)]}"] = value
        return out

    def amcheck(self):
        """Every btree index and, from 14 on, every heap is sound."""
        found = 0
        for db in self.databases():
            self.sql("create extension if not exists amcheck", db)
            heap = ", false" if self.major >= 11 else ""
            found += int(self.sql(
                f"select count(bt_index_check(c.oid{heap})) from pg_index i join pg_class c on c.oid = i.indexrelid"
                " join pg_am a on a.oid = c.relam where a.amname = 'btree' and c.relpersistence = 'p' and i.indisready and i.indisvalid", db))
            if self.major >= 14:
                bad = self.sql("select c.oid::regclass, blkno, msg from pg_class c, lateral verify_heapam(c.oid)"
                               " where relkind in ('r', 't', 'm') and relpersistence = 'p'", db)
                assert bad == "", bad
        assert found > 0
        return found

    def sums(self):
        """pg_checksums of a stopped cluster, where the tool of this major is there."""
        tool = self.bin / "pg_checksums"
        if tool.exists():
            self.rig.run(tool, "--check", "-D", self.data)

    # -- load and archive

    def pgbench(self, scale=1):
        self.rig.run(servers.client() / "pgbench", "-i", "-q", "-s", str(scale), "postgres", env=self.env())
        return self

    def load(self, clients=2):
        """Write load beside the test: a process to stop() later."""
        p = self.rig.spawn(servers.client() / "pgbench", "-n", "-c", str(clients), "-T", "3600", "postgres", env=self.env())
        p.stop = lambda: (p.send_signal(signal.SIGTERM), p.wait(30))
        return p

    def switch(self, wait=True, seconds=60):
        """Close the present segment and wait until it is archived; its name."""
        self.sql("select pg_create_restore_point('test')")
        name = self.sql("select pg_walfile_name(pg_current_wal_lsn())")
        self.sql("select pg_switch_wal()")
        if wait:
            wait_for(lambda: self.sql("select coalesce(max(last_archived_wal), '') >= '%s' from pg_stat_archiver"
                                      " where last_archived_wal !~ 'history'" % name) == "t", seconds, 0.05,
                     why=f"archiving of {name}")
        return name

    def in_recovery(self):
        r = self.psql("select pg_is_in_recovery()", status=None)
        return r.out.strip() if r.status == 0 else ""

    def wait_recovered(self, seconds=120):
        """Until recovery has ended in an open cluster."""
        def done():
            assert self.process.poll() is None, f"{self.name}: ended in recovery with {self.process.returncode}\n{self.tail()}"
            return self.in_recovery() == "f"
        wait_for(done, seconds, 0.05, why=f"{self.name}: the end of recovery")
        return self

    def control(self, key):
        tool = servers.client() / "pg_controldata" if self.major == 15 else None
        if tool is None or not tool.exists():
            need.skip("pg_controldata", f"for {self.major}")
        text = self.rig.run(tool, "-D", self.data).out
        return re.search(rf"^{re.escape(key)}:\s*(.*)$", text, re.M).group(1)

    @property
    def identifier(self):
        return int.from_bytes((self.data / "global/pg_control").read_bytes()[:8], "little")

    # -- walpipe on this cluster

    def backup(self, *words, status=0, env=None, **more):
        """backup-push; the name of the backup it made."""
        before = set(self.rig.backups())
        self.rig.walpipe("backup-push", self.data, *words, status=status, env=self.env(env), **more)
        new = sorted(set(self.rig.backups()) - before)
        if status == 0:
            assert len(new) == 1, new
            return new[0]
        assert new == [], f"a backup that failed is visible: {new}"
        return None

    def restored(self, name, data):
        """The cluster in a directory that backup-fetch filled."""
        return Cluster(self.rig, name, self.major, data=data)


def run_in(rig, data, major=15, name="restored"):
    return Cluster(rig, name, major, data=data)


__all__ = ["Cluster", "run_in", "server_bin", "subprocess"]
