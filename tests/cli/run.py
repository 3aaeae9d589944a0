#!/usr/bin/env python3
"""Runs tests/cli/<tool>/<case>.toml: one file is one case of one program.

    run.py [--jobs N] [TOOL | TOOL/CASE | FILE]…

Keys of a case:
    args = ["-d", "-m", "lz4"]  words after the tool's name
    stdin, stdin_file, stdin_hex    what it reads (default: nothing); a file is relative to the case's folder, or $SHARED/…
    env = { NAME = "value" }        beside PATH, HOME, TMPDIR, SHARED, LANG
    status = 0                      the exit status (128+n for a signal), or a list of good ones
    stdout, stdout_file, stdout_hex exactly this; stdout_has = ["…"] contains each; stdout_lacks = ["…"]
    stderr, stderr_has, stderr_lacks    likewise
    setup = "sh"                    run first in the empty scratch directory, with the tools in PATH
    after = "sh"                    run last; must end with 0
    timeout = 60                    seconds
    skip_unless = "command"         SKIP where this sh command does not end with 0

$SHARED, $CASE (the folder of the case) and $SCRATCH are replaced in args, env, stdin_file, stdout_file and in stdout,
stderr and their `_has`.  A failing case leaves its scratch directory.
"""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
KEYS = {"args", "stdin", "stdin_file", "stdin_hex", "env", "status", "stdout", "stdout_file", "stdout_has", "stdout_lacks", "stdout_hex",
        "stderr", "stderr_has", "stderr_lacks", "setup", "after", "timeout", "skip_unless", "about"}


def shared():
    return pathlib.Path(os.environ.get("WALPIPE_SHARED") or ROOT.parent / "shared").absolute()


def release():
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release"


def clip(data, n=3000):
    text = data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else str(data)
    return text if len(text) <= n else text[:n] + f"… ({len(text)} characters)"


def required(why):
    """Whether WALPIPE_TEST_REQUIRE forbids to skip for this reason: fixtures or tools."""
    what = "fixtures" if str(shared()) in why else "tools" if "not built" in why else "cli"
    return what in os.environ.get("WALPIPE_TEST_REQUIRE", "").replace(",", " ").split()


class Case:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.tool = self.path.parent.name
        self.name = f"{self.tool}/{self.path.stem}"

    def run(self):
        """(outcome, words) where outcome is passed, failed or skipped."""
        try:
            with open(self.path, "rb") as f:
                case = tomllib.load(f)
        except (tomllib.TOMLDecodeError, OSError) as e:
            return "failed", f"{self.path}: {e}"
        unknown = set(case) - KEYS
        if unknown or "args" not in case:
            return "failed", f"{self.path}: unknown keys {sorted(unknown)}" if unknown else f"{self.path}: no args"
        scratch = pathlib.Path(tempfile.mkdtemp(prefix="walpipe-cli."))
        outcome, words = "failed", ""
        try:
            outcome, words = self.judge(case, scratch)
        except subprocess.TimeoutExpired as e:
            words = f"did not end within {e.timeout} s"
        except Exception as e:  # pylint: disable=broad-except
            words = f"{type(e).__name__}: {e}"
        finally:
            if outcome != "failed":
                subprocess.run(["chmod", "-R", "u+rwx", str(scratch)], check=False, capture_output=True)
                shutil.rmtree(scratch, ignore_errors=True)
            else:
                words += f"\nleft: {scratch}"
        return outcome, words

    def judge(self, case, scratch):
        work = scratch / "work"
        work.mkdir()
        (scratch / "tmp").mkdir()

        def fill(text):
            return text.replace("$SHARED", str(shared())).replace("$SCRATCH", str(work)).replace("$CASE", str(self.path.parent))

        def file(name):
            return pathlib.Path(fill(name)) if fill(name).startswith("/") else self.path.parent / fill(name)

        env = {"PATH": f"{release()}:{ROOT / 'scripts'}:/usr/local/bin:/usr/bin:/bin", "HOME": str(work), "LANG": "C.UTF-8", "TZ": "UTC",
               "TMPDIR": str(scratch / "tmp"), "SHARED": str(shared()), "SCRATCH": str(work), "CASE": str(self.path.parent),
               "WALPIPE_EXEC_PATH": os.environ.get("WALPIPE_TEST_EXEC", str(release()))}
        quiet = {"cwd": work, "env": env, "stdin": subprocess.DEVNULL, "capture_output": True, "check": False, "timeout": 60}
        if any("$SHARED" in str(v) for v in case.values()) and not shared().is_dir():
            return "skipped", f"no {shared()}"
        if "skip_unless" in case and subprocess.run(["sh", "-c", case["skip_unless"]], **quiet).returncode:
            return "skipped", case["skip_unless"]
        if "setup" in case:
            done = subprocess.run(["sh", "-euc", case["setup"]], **quiet)
            if done.returncode:
                return "failed", f"setup: status {done.returncode}\n{clip(done.stdout)}{clip(done.stderr)}"
        env.update({k: fill(v) for k, v in case.get("env", {}).items()})
        if "stdin_file" in case:
            stdin = file(case["stdin_file"]).read_bytes()
        elif "stdin_hex" in case:
            stdin = bytes.fromhex(case["stdin_hex"])
        else:
            stdin = case.get("stdin", "").encode()
        argv = [self.tool] + [fill(a) for a in case["args"]]
        path = shutil.which(self.tool, path=env["PATH"].rsplit(":/usr/local/bin", 1)[0])
        if path is None:
            return "skipped", f"{self.tool} is not built"
        p = subprocess.run(argv, executable=path, cwd=work, env=env, input=stdin, capture_output=True, check=False,
                           timeout=case.get("timeout", 60))
        status = p.returncode if p.returncode >= 0 else 128 - p.returncode
        wrong = []
        want = case.get("status", 0)
        if status != want and not (isinstance(want, list) and status in want):
            wrong.append(f"status {status}, expected {want}")
        for stream, got in (("stdout", p.stdout), ("stderr", p.stderr)):
            exact = None
            if stream in case:
                exact = fill(case[stream]).encode()
            elif stream + "_file" in case:
                exact = file(case[stream + "_file"]).read_bytes()
            elif stream + "_hex" in case:
                exact = bytes.fromhex(case[stream + "_hex"])
            if exact is not None and got != exact:
                wrong.append(f"{stream} differs, expected:\n{clip(exact)}")
            for piece in case.get(stream + "_has", []):
                if fill(piece).encode() not in got:
                    wrong.append(f"{stream} lacks {fill(piece)!r}")
            for piece in case.get(stream + "_lacks", []):
                if fill(piece).encode() in got:
                    wrong.append(f"{stream} has {fill(piece)!r}")
        if "after" in case:
            done = subprocess.run(["sh", "-euc", case["after"]], **{**quiet, "env": {**env, "STATUS": str(status)}})
            if done.returncode:
                wrong.append(f"after: status {done.returncode}\n{clip(done.stdout)}{clip(done.stderr)}")
        if not wrong:
            return "passed", ""
        return "failed", "\n".join(wrong + [f"$ {' '.join(argv)}", f"=> {status}", f"--- stdout\n{clip(p.stdout)}",
                                            f"--- stderr\n{clip(p.stderr)}"])


def main():
    words, jobs = sys.argv[1:], os.cpu_count() or 2
    if words[:1] == ["--jobs"]:
        jobs, words = int(words[1]), words[2:]
    if any(w.startswith("-") for w in words):
        print(__doc__)
        return 64
    files = sorted(HERE.glob("*/*.toml"))
    if words:
        files = [f for f in files if any(w in (f.parent.name, f"{f.parent.name}/{f.stem}") or pathlib.Path(w).resolve() == f for w in words)]
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        cases = [Case(f) for f in files]
        for case, (outcome, said) in zip(cases, pool.map(Case.run, cases)):
            if outcome == "skipped" and required(said):
                outcome, said = "failed", said + " (WALPIPE_TEST_REQUIRE)"
            counts[outcome] += 1
            if outcome != "passed":
                print(f"{'SKIP' if outcome == 'skipped' else 'FAILED'} {case.name}: {said}\n", flush=True)
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
