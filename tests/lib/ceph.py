#!/usr/bin/env python3
"""One Ceph RGW on memory, shared by all pytest processes that run at once; gone when the last of them is.

A keeper, a process of its own, starts monitor, OSD and gateway as its children and looks at who uses them.  It ends them
when no user lives any more, however the users ended; they end with the keeper, however that ends.  What comes and goes
does so under one lock.  Ports are free ones, the directory lies in memory where there is room.

    ceph.py keep DIR LOCK FD     the keeper; FD holds the lock that says it lives
"""

import base64
import ctypes
import fcntl
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "openssl", "radosgw", "radosgw-admin")
KEY, SECRET = "WALPIPETESTKEY", "walpipe/test+Secret0123456789abcdef="
OTHER_KEY, OTHER_SECRET = "WALPIPEOTHERKEY", "walpipeOtherSecret0123456789"
KMS_KEY, STORAGE_CLASS, ROLE = "mykey", "STANDARD_IA", "arn:aws:iam:::role/walpipe"
START = 180

CONF = """\
[global]
fsid = {fsid}
mon_initial_members = a
mon_host = [v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
keyring = {dir}/keyring
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_allow_pool_size_one = true
osd_crush_chooseleaf_type = 0
osd_pool_default_pg_num = 8
osd_pool_default_pg_autoscale_mode = off
mon_max_pg_per_osd = 1000
run_dir = {dir}/run
admin_socket = {dir}/run/$name.asok
log_file = {dir}/log/$name.log
pid_file = {dir}/run/$name.pid
ms_bind_ipv6 = false
[mon.a]
mon_data = {dir}/mon
mon_data_avail_crit = 1
mon_data_avail_warn = 2
[osd.0]
osd_data = {dir}/osd
osd_objectstore = memstore
memstore_device_bytes = 4294967296
[client.rgw]
rgw_data = {dir}/rgw
rgw_frontends = beast endpoint=127.0.0.1:{http} ssl_endpoint=127.0.0.1:{https} ssl_certificate={dir}/tls/srv.crt ssl_private_key={dir}/tls/srv.key
rgw_dns_name = localhost
rgw_crypt_require_ssl = false
rgw_crypt_s3_kms_backend = testing
rgw_crypt_s3_kms_encryption_keys = {kms_key}={kms}
rgw_sts_key = abcdefghijklmnop
rgw_sts_min_session_duration = 1
rgw_s3_auth_use_sts = true
rgw_gc_obj_min_wait = 1
rgw_gc_processor_period = 5
rgw_gc_processor_max_time = 5
rgw_lc_debug_interval = 5
rgw_thread_pool_size = 64
"""


class Failed(Exception):
    """It cannot be had here; why."""


def missing():
    """The programs that are not installed."""
    return [p for p in PROGRAMS if not shutil.which(p)]


def place():
    """Where it lies; another version of this file, or another user, has another place."""
    mine = hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()[:8]
    base = os.environ.get("WALPIPE_TEST_DIR")
    if not base:
        shm = os.statvfs("/dev/shm") if os.path.isdir("/dev/shm") else None
        base = "/dev/shm" if shm and shm.f_bavail * shm.f_frsize > 1 << 30 and os.access("/dev/shm", os.W_OK) else "/var/tmp"
    return pathlib.Path(base) / f"wptceph-{os.geteuid()}-{mine}"


# ---- users

def born(pid):
    """When a process was started, in the kernel's ticks; None when it is no more."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            fields = f.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()


def users(directory):
    """The living ones; the files of the others go."""
    alive = []
    for file in sorted((directory / "users").glob("*")):
        if born(int(file.name)) == file.read_text():
            alive.append(int(file.name))
        else:
            file.unlink()
    return alive


def locked(path):
    f = open(path, "a+b")
    fcntl.flock(f, fcntl.LOCK_EX)
    return f


def acquire():
    """What the running server is: {"http", "https", "ca", …}.  It is started if there is none; release() it in the end."""
    gone = missing()
    if gone:
        raise Failed(f"not installed: {' '.join(gone)}")
    directory = place()
    directory.parent.mkdir(parents=True, exist_ok=True)
    lock, alive = f"{directory}.lock", f"{directory}.alive"
    with locked(lock):
        keeper = open(alive, "a+b")
        try:
            fcntl.flock(keeper, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fresh = True
        except BlockingIOError:
            fresh = False
        if fresh:
            shutil.rmtree(directory, ignore_errors=True)
            for sub in ("users", "mon", "osd", "rgw", "run", "log", "tls"):
                (directory / sub).mkdir(parents=True)
            directory.chmod(0o755)
        (directory / "users" / str(os.getpid())).write_text(born(os.getpid()))
        if fresh:
            with open(directory / "log/keeper", "ab") as log:
                subprocess.Popen([sys.executable, __file__, "keep", str(directory), lock, str(keeper.fileno())],
                                 stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                 pass_fds=[keeper.fileno()], cwd="/")
        keeper.close()
    end = time.monotonic() + START + 30
    while time.monotonic() < end:
        if (directory / "ready").exists():
            return json.loads((directory / "ready").read_text())
        if (directory / "failed").exists():
            raise Failed((directory / "failed").read_text())
        time.sleep(0.1)
    raise Failed("it did not start in time")


def release():
    """This process uses it no more; the last one waits until it is gone."""
    directory = place()
    with locked(f"{directory}.lock"):
        (directory / "users" / str(os.getpid())).unlink(missing_ok=True)
        last = directory.exists() and not users(directory)
    end = time.monotonic() + 20
    while last and directory.exists() and time.monotonic() < end and not users(directory):
        time.sleep(0.05)


# ---- the keeper

def dies_with_us():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Keeper:
    def __init__(self, directory, lock):
        self.dir, self.lock = pathlib.Path(directory), lock
        self.env = {**os.environ, "CEPH_CONF": f"{directory}/ceph.conf", "LC_ALL": "C"}
        self.children = []
        self.began = time.monotonic()

    def run(self, *words, wanted=True):
        left = START - (time.monotonic() - self.began)
        try:
            done = subprocess.run([str(w) for w in words], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=max(left, 1), check=False, cwd=self.dir, preexec_fn=dies_with_us)
        except subprocess.TimeoutExpired:
            raise Failed(f"{words[0]}: did not end in time") from None
        if wanted and done.returncode:
            raise Failed(f"{' '.join(map(str, words))}: {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def daemon(self, *words):
        with open(self.dir / "log" / (words[0] + ".out"), "ab") as log:
            self.children.append(subprocess.Popen([str(w) for w in words], env=self.env, stdin=subprocess.DEVNULL, stdout=log,
                                                  stderr=log, cwd=self.dir, preexec_fn=dies_with_us))

    def certificates(self):
        tls = self.dir / "tls"
        (tls / "ext").write_text("subjectAltName=DNS:localhost,DNS:*.localhost,IP:127.0.0.1\n")
        for ca in ("ca", "stranger"):
            self.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN=walpipe test {ca}",
                     "-keyout", tls / f"{ca}.key", "-out", tls / f"{ca}.crt")
        self.run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", tls / "srv.key", "-out", tls / "srv.csr")
        self.run("openssl", "x509", "-req", "-in", tls / "srv.csr", "-CA", tls / "ca.crt", "-CAkey", tls / "ca.key", "-CAcreateserial",
                 "-days", "30", "-extfile", tls / "ext", "-out", tls / "srv.crt")
        for ca in ("ca", "stranger"):
            (tls / f"{ca}.crt").chmod(0o644)
        tls.chmod(0o755)

    def start(self):
        c = self.dir
        sockets = [socket.socket() for _ in range(4)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        v2, v1, http, https = (s.getsockname()[1] for s in sockets)
        for s in sockets:
            s.close()
        fsid = str(uuid.uuid4())
        (c / "ceph.conf").write_text(CONF.format(
            dir=c, fsid=fsid, v1=v1, v2=v2, http=http, https=https, kms_key=KMS_KEY, kms=base64.b64encode(secrets.token_bytes(32)).decode()))
        self.certificates()
        ring = c / "keyring"
        self.run("ceph-authtool", "--create-keyring", ring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        for name, *caps in (("client.admin", "mon", "allow *", "osd", "allow *", "mgr", "allow *"),
                            ("osd.0", "mon", "allow profile osd", "osd", "allow *"), ("client.rgw", "mon", "allow rw", "osd", "allow rwx")):
            words = [w for k, v in zip(caps[::2], caps[1::2]) for w in ("--cap", k, v)]
            self.run("ceph-authtool", ring, "--gen-key", "-n", name, *words)
        self.run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]", c / "monmap")
        self.run("ceph-mon", "-i", "a", "--mkfs", "--monmap", c / "monmap", "--keyring", ring)
        self.daemon("ceph-mon", "-f", "-i", "a")
        osd = str(uuid.uuid4())
        self.run("ceph", "osd", "new", osd)
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self.daemon("ceph-osd", "-f", "-i", "0")
        self.run("ceph", "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=rig", wanted=False)
        admin = ("radosgw-admin", "-n", "client.rgw", "--keyring", ring)
        self.run(*admin, "user", "list", wanted=False)          # makes the default zone
        self.run(*admin, "zonegroup", "placement", "add", "--rgw-zonegroup", "default", "--placement-id", "default-placement",
                 "--storage-class", STORAGE_CLASS)
        self.run(*admin, "zone", "placement", "add", "--rgw-zone", "default", "--placement-id", "default-placement",
                 "--storage-class", STORAGE_CLASS, "--data-pool", "default.rgw.ia.data")
        self.daemon("radosgw", "-f", "-n", "client.rgw", "--keyring", ring)
        for uid, key, secret in (("walpipe", KEY, SECRET), ("other", OTHER_KEY, OTHER_SECRET)):
            self.run(*admin, "user", "create", f"--uid={uid}", f"--display-name={uid}", f"--access-key={key}", f"--secret-key={secret}",
                     "--max-buckets=100000")
        self.run(*admin, "caps", "add", "--uid=walpipe", "--caps=roles=*")
        self.run(*admin, "role", "create", "--role-name=walpipe", "--path=/", "--assume-role-policy-doc=" + json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/walpipe"]},
                                                     "Action": ["sts:AssumeRole"]}]}))
        self.run(*admin, "role-policy", "put", "--role-name=walpipe", "--policy-name=all", "--policy-doc=" + json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}]}))
        for port in (http, https):
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 5).close()
                    break
                except OSError:
                    if time.monotonic() - self.began > START:
                        raise Failed(f"nobody listens on port {port}") from None
                    self.alive()
                    time.sleep(0.1)
        version = self.run("radosgw", "--version").split()
        self.say("ready", json.dumps({"http": f"http://127.0.0.1:{http}", "https": f"https://localhost:{https}", "ca": f"{c}/tls/ca.crt",
                                      "stranger": f"{c}/tls/stranger.crt", "version": " ".join(version[:3]),
                                      "seconds": round(time.monotonic() - self.began, 1)}))

    def alive(self):
        for p in self.children:
            if p.poll() is not None:
                raise Failed(f"{p.args[0]} ended with {p.returncode}; see {self.dir}/log")

    def say(self, name, text):
        (self.dir / (name + ".new")).write_text(text)
        (self.dir / (name + ".new")).rename(self.dir / name)

    def watch(self):
        """Until nobody uses it; whoever comes meanwhile waits at the lock."""
        while True:
            time.sleep(0.2)
            with locked(self.lock):
                if not users(self.dir):
                    return self.end()

    def end(self):
        for p in reversed(self.children):
            p.kill()
            p.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def keep(directory, lock, alive):
    def stop(*_):
        raise SystemExit(143)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    keeper = Keeper(directory, lock)
    try:
        keeper.start()
    except Failed as why:
        keeper.say("failed", str(why))
    except OSError as why:
        keeper.say("failed", repr(why))
    finally:
        try:
            keeper.watch()
        except SystemExit:
            keeper.end()
    os.close(alive)


if __name__ == "__main__":
    if len(sys.argv) != 5 or sys.argv[1] != "keep":
        sys.exit(64)
    keep(sys.argv[2], sys.argv[3], int(sys.argv[4]))
