"""A test's scratch directory, the tools as installed, and everything it runs: written down, cleaned up."""

import atexit
import fcntl
import os
import pathlib
import pwd
import random
import shutil
import signal
import subprocess
import threading
import time

import pytest

from . import need, servers, shared

ROOT = shared.ROOT
USER = "walpipetest"
CLIP = 6000


def build_directory():
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release"


class Result:
    """What a command left: status (128+n for a signal), out, err."""

    def __init__(self, argv, status, out, err, seconds):
        self.argv, self.status, self.out, self.err, self.seconds = argv, status, out, err, seconds

    @property
    def lines(self):
        return self.out.splitlines()

    def __repr__(self):
        return f"<{self.argv}: {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}>"


class Session:
    """Once per run: the user that servers run as, the tools in one directory as installed."""

    def __init__(self):
        self.root = os.geteuid() == 0
        self.user = self.make_user() if self.root else None
        place = os.environ.get("WALPIPE_TEST_DIR")
        if not place:
            shm = os.statvfs("/dev/shm") if os.path.isdir("/dev/shm") else None
            roomy = shm and shm.f_bavail * shm.f_frsize > 4 << 30 and os.access("/dev/shm", os.W_OK)
            place = "/dev/shm" if roomy else "/var/tmp"
        # socket paths are short (107 bytes), so this is as well
        self.dir = pathlib.Path(place) / f"wpt{os.getpid()}"
        self.dir.mkdir(mode=0o755)
        self.dir.chmod(0o755)
        self.count = 0
        self.kept = []
        self.staged = None
        atexit.register(self.clean)

    def make_user(self):
        try:
            return pwd.getpwnam(USER)
        except KeyError:
            # one run at a time: useradd looks for the name before it has its lock, and the second one of two then gives
            # the first one's user another uid
            with open("/tmp/walpipe-useradd.lock", "wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                subprocess.run(["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent",
                                "--shell", "/bin/sh", USER], check=False, capture_output=True)
        try:
            return pwd.getpwnam(USER)
        except KeyError:
            return pwd.getpwnam("nobody")

    def clean(self):
        if self.staged:
            shutil.rmtree(self.staged, ignore_errors=True)
        try:
            self.dir.rmdir()        # stays with what a failed test left in it
        except OSError:
            pass

    def stage(self):
        """bin/walpipe and libexec/walpipe/…, readable by the servers' user."""
        if self.staged:
            return self.staged
        stage = self.dir / "i"
        libexec = stage / "libexec/walpipe"
        libexec.mkdir(parents=True)
        (stage / "bin").mkdir()
        release = build_directory()
        for f in sorted(release.iterdir()) if release.is_dir() else []:
            if f.is_file() and "." not in f.name and os.access(f, os.X_OK):
                shutil.copy2(f, libexec / f.name)
        for f in sorted((ROOT / "scripts").iterdir()):
            if f.is_file():
                shutil.copy2(f, libexec / f.name)
        if (libexec / "walpipe").exists():
            shutil.copy2(libexec / "walpipe", stage / "bin/walpipe")
        for folder, _, files in os.walk(stage):
            os.chmod(folder, 0o755)
            for f in files:
                path = os.path.join(folder, f)
                os.chmod(path, 0o755 if os.access(path, os.X_OK) and f != "lib.sh" else 0o644)
        self.staged = stage
        return stage


class Rig:
    def __init__(self, session, name):
        self.session = session
        session.count += 1
        self.name = name
        self.dir = session.dir / str(session.count)
        self.journal = []
        self.clusters = []
        self.processes = []
        self.mounts = []
        self.finalizers = []
        self.dir.mkdir(mode=0o755)
        (self.dir / "about").write_text(name + "\n")
        for sub in ("home", "tmp"):
            self.mkdir(sub)
        self.own(self.dir)
        self.random = random.Random(os.environ.get("WALPIPE_TEST_SEED", name))
        self.settings = {}
        self.bucket = None          # of a repository in S3 (lib/s3.py)

    # -- files

    def own(self, path, recursive=False):
        if self.session.user:
            os.chown(path, self.session.user.pw_uid, self.session.user.pw_gid, follow_symlinks=False)
            if recursive:
                for folder, subfolders, files in os.walk(path):
                    for f in subfolders + files:
                        os.chown(os.path.join(folder, f), self.session.user.pw_uid, self.session.user.pw_gid,
                                 follow_symlinks=False)
        return path

    def mkdir(self, name, mode=0o700):
        path = self.dir / name
        path.mkdir(mode=mode, parents=True, exist_ok=True)
        path.chmod(mode)
        return self.own(path)

    def write(self, name, text, mode=0o644):
        path = self.dir / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return self.own(path)

    def in_place_of(self, tool, script):
        """Programs in which `script` stands for a tool, which is `tool`.real beside it; the variable that makes walpipe use them."""
        place = self.dir / "exec"
        shutil.copytree(self.session.stage() / "libexec/walpipe", place)
        os.rename(place / tool, place / f"{tool}.real")
        self.write(f"exec/{tool}", script, 0o755)
        self.own(place, recursive=True)
        return {"WALPIPE_EXEC_PATH": place}

    def repo(self, name="repo"):
        """A directory for a repository, and the setting that names it."""
        path = self.mkdir(name, 0o755)
        self.settings["WALG_FILE_PREFIX"] = str(path)
        return path

    def repository(self):
        """The repository as a directory: itself, or what a bucket holds now."""
        return self.bucket.mirror(self.dir / "mirror") if self.bucket else self.settings["WALG_FILE_PREFIX"]

    def backups(self):
        """The names of what is visible in it."""
        import strict_reader
        return self.bucket.backups() if self.bucket else strict_reader.Reader(self.settings["WALG_FILE_PREFIX"]).names()

    def copy(self, source, name):
        """A writable copy of a tree, owned by the servers' user."""
        dest = self.dir / name
        subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(dest)], check=True)
        subprocess.run(["chmod", "-R", "u+w", str(dest)], check=True)
        return self.own(dest, recursive=True)

    def fixture(self, name):
        """A copy of a fixture's repository with its sentinels' times, and its expect.json."""
        import json
        source = shared.fixture(name)
        expect = json.loads((source / "expect.json").read_text(encoding="utf-8"))
        repo = self.copy(source / "repo", "repo-" + name)
        for folder, _, files in os.walk(repo):
            os.chmod(folder, 0o755)
            for f in files:
                os.chmod(os.path.join(folder, f), 0o644)
        for key, when in expect["sentinel_mtimes"].items():
            whole, fraction = when.rstrip("Z").split(".")
            import calendar
            ns = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) * 10**9 + int(fraction.ljust(9, "0"))
            os.utime(repo / key, ns=(ns, ns))
        return repo, expect

    # -- commands

    def env(self, more=None):
        stage = self.session.stage()
        client = servers.client()
        env = {
            "PATH": ":".join([str(stage / "bin"), str(client or "/usr/bin"), "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]),
            "HOME": str(self.dir / "home"), "TMPDIR": str(self.dir / "tmp"), "LANG": "C.UTF-8", "TZ": "UTC",
            "WALPIPE_EXEC_PATH": str(stage / "libexec/walpipe"), "RIG_DIR": str(self.dir),
        }
        env.update(self.settings)
        for k, v in (more or {}).items():
            if v is None:
                env.pop(k, None)
            else:
                env[k] = str(v)
        return env

    def as_user(self, root=False):
        if self.session.user and not root:
            u = self.session.user
            return {"user": u.pw_uid, "group": u.pw_gid, "extra_groups": []}
        return {}

    def spawn(self, *argv, env=None, cwd=None, root=False, stdout=None, stderr=None, stdin=subprocess.DEVNULL, **more):
        """A process that runs beside the test; ended, with its session, when the test ends."""
        argv = [str(a) for a in argv]
        p = subprocess.Popen(argv, env=self.env(env), cwd=cwd or self.dir, stdin=stdin,
                             stdout=stdout if stdout is not None else subprocess.DEVNULL,
                             stderr=stderr if stderr is not None else subprocess.DEVNULL,
                             start_new_session=True, **self.as_user(root), **more)
        self.processes.append(p)
        return p

    def run(self, *argv, status=0, env=None, cwd=None, stdin=None, root=False, timeout=180, text=True):
        """Run, write down, compare the status: a number, a collection, "fail" for any but 0, None for any."""
        argv = [str(a) for a in argv]
        began = time.monotonic()
        out_path, err_path = self.dir / ".out", self.dir / ".err"
        with open(out_path, "wb+") as out, open(err_path, "wb+") as err:
            p = subprocess.Popen(argv, env=self.env(env), cwd=cwd or self.dir, start_new_session=True,
                                 stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                                 stdout=out, stderr=err, **self.as_user(root))
            late = False
            try:
                p.communicate(stdin.encode() if isinstance(stdin, str) else stdin, timeout=timeout)
            except subprocess.TimeoutExpired:
                late = True
                kill_session(p.pid)
                p.wait()
            out.seek(0)
            err.seek(0)
            o, e = out.read(), err.read()
        code = p.returncode if p.returncode >= 0 else 128 - p.returncode
        if text:
            o = o.decode("utf-8", "replace")
        r = Result(argv, code, o, e.decode("utf-8", "replace"), time.monotonic() - began)
        self.note(argv, code, r.out, r.err, env)
        assert not late, f"{argv} did not end within {timeout} s; stderr:\n{r.err[-2000:]}"
        wrong = (code == 0 if status == "fail" else status is not None and code != status if isinstance(status, (int, type(None)))
                 else code not in status)
        assert not wrong, f"{' '.join(argv)}: status {code}, expected {status}\n--- stdout\n{str(r.out)[-2000:]}\n--- stderr\n{r.err[-3000:]}"
        return r

    def note(self, argv, status, out="", err="", env=None):
        words = " ".join(argv)
        extra = " ".join(f"{k}={v}" for k, v in (env or {}).items())
        self.journal.append(f"$ {extra + ' ' if extra else ''}{words}\n=> {status}\n" +
                            (f"--- stdout\n{str(out)[:CLIP]}\n" if out else "") +
                            (f"--- stderr\n{str(err)[:CLIP]}\n" if err else ""))

    def walpipe(self, *argv, **more):
        self.want_tools("walpipe")
        return self.run("walpipe", *argv, **more)

    def tool(self, name, *argv, **more):
        """One of the plumbing programs."""
        self.want_tools(name)
        return self.run(self.session.stage() / "libexec/walpipe" / name, *argv, **more)

    def want_tools(self, *names):
        for n in names:
            if not (self.session.stage() / "libexec/walpipe" / n).exists():
                need.skip("tools", f"{n} is not built")

    def want_root(self, why):
        if not self.session.root:
            need.skip("root", why)

    def strict(self, repo=None, name=None, **more):
        """No problem is found by the strict reader."""
        import strict_reader
        for _ in range(50):
            problems = strict_reader.Reader(str(repo or self.repository()), **more).check(name)
            if not problems or not all("temporary file" in p or "FileNotFoundError" in p for p in problems):
                break
            time.sleep(0.1)         # the archiver may be at work just now
        self.note(["strict_reader", "check"], len(problems), "\n".join(problems))
        assert problems == [], "\n".join(problems)

    def mount(self, name, *options, kind="tmpfs", source="tmpfs"):
        """Mount a file system of our own; needs root."""
        self.want_root(f"mount {kind}")
        path = self.mkdir(name, 0o755)
        done = subprocess.run(["mount", "-t", kind, *options, source, str(path)], capture_output=True, text=True, check=False)
        if done.returncode:
            need.skip("mount", f"cannot mount: {done.stderr.strip()}")
        self.mounts.append(path)
        path.chmod(0o755)
        return self.own(path)

    def unmount(self, path, lazy=False):
        subprocess.run(["umount", *(["-l"] if lazy else []), str(path)], check=True)
        self.mounts.remove(path)

    def cluster(self, *words, **more):
        from .cluster import Cluster
        return Cluster(self, *words, **more)

    # -- the end

    def close(self, failed):
        for p in self.processes:
            if p.poll() is None:
                kill_session(p.pid)
                p.wait()
        for c in self.clusters:
            c.kill()
        for do in self.finalizers:
            do()
        for path in reversed(self.mounts):
            subprocess.run(["umount", "-l", str(path)], check=False, capture_output=True)
        if failed:
            (self.dir / "journal").write_text("\n".join(self.journal), encoding="utf-8", errors="replace")
            self.session.kept.append(self.dir)
        else:
            subprocess.run(["rm", "-rf", "--one-file-system", str(self.dir)], check=False)


def children(pid):
    """All descendants of a process, itself first: (pid, name)."""
    parents, names = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as f:
                    data = f.read()
            except OSError:
                continue
            close = data.rindex(b")")
            names[int(entry)] = data[data.index(b"(") + 1:close].decode(errors="replace")
            fields = data[close + 2:].split()
            if fields[0] != b"Z":
                parents.setdefault(int(fields[1]), []).append(int(entry))
    found, todo = [], [pid] if pid in names else []
    while todo:
        p = todo.pop()
        found.append((p, names[p]))
        todo += sorted(parents.get(p, []))
    return found


def what_runs(pid):
    """The name under which a process is known: of a script, the script's."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            words = f.read().split(b"\0")
    except OSError:
        return ""
    name = os.path.basename(words[0].decode(errors="replace"))
    if name in ("sh", "dash", "bash", "busybox", "mksh") and len(words) > 1:
        if words[1] == b"-c":
            return "sh -c"
        return os.path.basename(words[1].decode(errors="replace"))
    return name


def kill_session(pid, sig=signal.SIGKILL):
    """End a session that we started: its leader's descendants and its process group."""
    for p, _ in reversed(children(pid)):
        try:
            os.kill(p, sig)
        except ProcessLookupError:
            pass
    try:
        os.killpg(pid, sig)
    except (ProcessLookupError, PermissionError):
        pass


class Memory:
    """Samples VmHWM of a process and all its descendants until stopped: {(pid, name): KiB}."""

    def __init__(self, pid, every=0.01):
        self.peaks = {}
        self.pid, self.every = pid, every
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.sample, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def sample(self):
        while not self.over.is_set():
            for p, _ in children(self.pid):
                try:
                    with open(f"/proc/{p}/status", encoding="ascii", errors="replace") as f:
                        for line in f:
                            if line.startswith("VmHWM:"):
                                key = (p, what_runs(p))
                                self.peaks[key] = max(self.peaks.get(key, 0), int(line.split()[1]))
                except OSError:
                    pass
            self.over.wait(self.every)

    def by_name(self):
        out = {}
        for (_, name), kib in self.peaks.items():
            out[name] = max(out.get(name, 0), kib)
        return out


def wait_for(what, seconds=30, every=0.02, why="it"):
    """Call until it is true; the value."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < end, f"{why} did not come within {seconds} s"
        time.sleep(every)


@pytest.fixture(scope="session")
def session():
    return Session()


@pytest.fixture
def rig(session, request):
    r = Rig(session, request.node.name)
    try:
        yield r
    finally:
        failed = getattr(request.node, "failed", False)
        r.close(failed)
        if failed:
            request.node.user_properties.append(("left", str(r.dir)))
