"""Pages, --help and completion say the same; what README shows works."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from lib import need
from lib.rig import ROOT, build_directory

MAN = ROOT / "man"


def programs():
    """The binaries that the workspace's manifests promise."""
    found = []
    for manifest in sorted((ROOT / "bins").glob("*/Cargo.toml")):
        import tomllib
        with open(manifest, "rb") as f:
            cargo = tomllib.load(f)
        named = [b["name"] for b in cargo.get("bin", [])]
        bins = [p.stem for p in (manifest.parent / "src/bin").glob("*.rs")]
        if not named and not bins and (manifest.parent / "src/main.rs").exists():
            named = [cargo["package"]["name"]]
        found += sorted(set(named + bins))
    return found


def wrappers():
    skip = {"lib.sh", "install", "demo"}
    return sorted(f.name for f in (ROOT / "scripts").iterdir() if f.is_file() and f.name not in skip and os.access(f, os.X_OK)) \
        if (ROOT / "scripts").is_dir() else []


def page(name):
    for candidate in (f"walpipe-{name}.1", f"{name}.1"):
        if (MAN / candidate).exists():
            return (MAN / candidate).read_text(encoding="utf-8")
    return None


def section(text, *titles):
    """The lines of these sections."""
    out, inside = [], False
    for line in text.splitlines():
        if line.startswith(".Sh "):
            inside = line[4:].strip().strip('"') in titles
        elif inside:
            out.append(line)
    return out


def flags_of(lines, items_only=False):
    """Flags in mdoc: `Fl -long`, `Fl s`; of list items only those of `.It`."""
    found = set()
    for line in lines:
        if not line.startswith(".") or line.startswith('.\\"'):
            continue
        if items_only and not line.startswith(".It"):
            continue
        if not items_only and line.split()[0] not in (".Op", ".Fl", ".Oo", ".It", ".Ar", ".Oc"):
            continue
        words = line.replace("\\-", "-").split()
        i = 0
        while i < len(words):
            if words[i].lstrip(".") == "Fl":
                j = i + 1
                while j < len(words) and words[j] not in ("Ar", "Ns", "Oc", "Op", "Oo", "|", ",", "Fl", "Xo", "Xc", "No", "Cm", "Pq"):
                    found.add("-" + words[j].split("=")[0].rstrip(",").rstrip(":"))
                    j += 1
                i = j
            else:
                i += 1
    return {f for f in found if len(f) > 1}


def flags_of_help(text):
    found = set()
    for line in text.splitlines():
        m = re.match(r"^\s{2,8}(-[A-Za-z0-9])?(?:,?\s*)(--[a-z][a-z0-9-]*)?(?=[\s=<]|$)", line)
        if m:
            found |= {g for g in m.groups() if g}
    return found


def help_of(name):
    path = build_directory() / name
    if not path.exists():
        path = ROOT / "scripts" / name
    env = {**os.environ, "WALPIPE_EXEC_PATH": str(exec_path()), "COLUMNS": "200"}
    p = subprocess.run([str(path), "--help"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=env)
    assert p.returncode == 0, p
    assert p.stderr == "", p.stderr
    return p.stdout


def exec_path():
    """A directory with tools and scripts, made once."""
    stage = pathlib.Path(os.environ.get("PYTEST_STAGE", ""))
    if not os.environ.get("PYTEST_STAGE"):
        import tempfile
        import atexit
        stage = pathlib.Path(tempfile.mkdtemp(prefix="walpipe-docs."))
        atexit.register(shutil.rmtree, stage, True)
        for source in (build_directory(), ROOT / "scripts"):
            for f in source.iterdir() if source.is_dir() else []:
                if f.is_file() and not f.suffix == ".d":
                    os.symlink(f, stage / f.name)
        os.environ["PYTEST_STAGE"] = str(stage)
    return stage


COMMON = {"-h", "--help", "-V", "--version"}


@pytest.mark.parametrize("name", programs() + wrappers())
def test_a_page_and_the_help_name_the_same_flags(name):
    if not (build_directory() / name).exists() and not (ROOT / "scripts" / name).exists():
        need.skip("tools", f"{name} is not built")
    text = page(name)
    assert text is not None, f"no page for {name} in man/"
    said = flags_of_help(help_of(name)) - COMMON
    synopsis = flags_of(section(text, "SYNOPSIS")) - COMMON
    items = flags_of(section(text, "DESCRIPTION", "OPTIONS"), items_only=True) - COMMON
    assert synopsis == said, f"SYNOPSIS {sorted(synopsis)}, --help {sorted(said)}"
    assert items == said, f"OPTIONS {sorted(items)}, --help {sorted(said)}"


@pytest.mark.parametrize("name", programs() + wrappers())
def test_a_page_says_what_a_page_must(name):
    text = page(name)
    assert text is not None, f"no page for {name} in man/"
    titles = [line[4:].strip().strip('"') for line in text.splitlines() if line.startswith(".Sh ")]
    for must in ("NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES"):
        assert must in titles, f"{name}: no {must}"


@pytest.mark.parametrize("name", programs())
def test_version_names_the_tool_and_the_project(name):
    path = build_directory() / name
    if not path.exists():
        need.skip("tools", f"{name} is not built")
    p = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    assert p.returncode == 0 and re.match(rf"^{name} \(walpipe\) \d+\.\d+\.\d+\n$", p.stdout), p


@pytest.mark.parametrize("name", programs())
def test_a_wrong_word_is_one_line_and_64(name):
    path = build_directory() / name
    if not path.exists():
        need.skip("tools", f"{name} is not built")
    p = subprocess.run([path, "--no-such-word"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert p.returncode == 64 and p.stdout == "", p
    said = [line for line in p.stderr.splitlines() if "HINT" not in line]
    assert len(said) == 1 and said[0].startswith(name + ": "), p.stderr


@pytest.mark.parametrize("path", sorted(MAN.glob("*.[1-9]")), ids=lambda p: p.name)
def test_every_page_renders_and_refers_to_pages_that_exist(path):
    if not shutil.which("mandoc"):
        need.skip("mandoc", "not installed")
    p = subprocess.run(["mandoc", "-T", "utf8", str(path)], capture_output=True, text=True, check=False)
    assert p.returncode == 0 and len(p.stdout) > 500
    for name, number in re.findall(r"^\.Xr (walpipe[\w-]*) (\d)", path.read_text(encoding="utf-8"), re.M):
        assert (MAN / f"{name}.{number}").exists(), f"{path.name} refers to {name}({number})"
