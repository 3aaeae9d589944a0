"""COVERAGE.md names tests that are there."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINES = (ROOT / "tests/COVERAGE.md").read_text(encoding="utf-8").splitlines()
TESTS = "\n".join(line.rstrip(" |").rpartition(" | ")[2] for line in LINES if line.startswith("| "))     # the last column


def known():
    """Names of all test functions, Python's without `test_`, and of all cases of tests/cli."""
    names = {path.stem for path in (ROOT / "tests/cli").rglob("*") if path.is_file()}
    for path in (ROOT / "tests").rglob("*.py"):
        names |= set(re.findall(r"^def test_(\w+)", path.read_text(encoding="utf-8"), re.M))
    for top in ("bins", "shared"):
        for path in (ROOT / top).rglob("*.rs"):
            names |= set(re.findall(r"^ *(?:async )?fn (\w+)\(", path.read_text(encoding="utf-8"), re.M))
    return names


def test_each_test_that_is_named_is_there():
    names = known()
    absent = []
    for name in re.findall(r"`([^`]+)`", TESTS):
        shape = name.split("[")[0]
        if not re.fullmatch(r"[\w…*]+", shape) or "_" not in shape:
            continue
        pattern = re.compile(".*".join(map(re.escape, re.split("[…*]", shape))))
        if not any(map(pattern.fullmatch, names)):
            absent.append(name)
    assert absent == []


def test_each_file_that_is_named_is_there():
    files = {path.name for top in ("tests", "bins", "shared") for path in (ROOT / top).rglob("*") if path.is_file()}
    assert [n for n in re.findall(r"`([\w.-]+\.(?:t|py|rs))`", TESTS) if n.split("/")[-1] not in files] == []
