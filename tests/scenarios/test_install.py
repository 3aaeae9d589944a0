"""scripts/install and scripts/demo, as the one who installs meets them."""

import os
import re
import shutil
import subprocess

import pytest

from lib import need, zig
from lib.cluster import server_bin
from lib.rig import ROOT, build_directory


def tree(rig):
    """The project as a plain user has it after building: no cargo in PATH."""
    rig.want_tools("walpipe", "tarpart")
    place = rig.mkdir("project", 0o755)
    for name in ("scripts", "man"):
        shutil.copytree(ROOT / name, place / name)
    shutil.copytree(rig.session.stage() / "libexec/walpipe", place / "target/release")
    rig.own(place, recursive=True)
    return place


def test_install_puts_everything_in_place_from_any_directory(rig):
    place = tree(rig)
    rig.settings["CARGO_TARGET_DIR"] = str(place / "target")
    rig.settings["WALPIPE_EXEC_PATH"] = ""
    rig.run(place / "scripts/install", "--prefix", "/usr", "--destdir", rig.dir / "package", cwd="/")
    to = rig.dir / "package/usr"
    assert os.listdir(to / "bin") == ["walpipe"]
    got = rig.run(to / "bin/walpipe", "--exec-path", env={"WALPIPE_EXEC_PATH": None}).out.strip()
    assert got == str(to / "libexec/walpipe")
    there = set(os.listdir(got))
    assert {"backup-push", "backup-fetch", "backup-list", "wal-push", "wal-fetch", "config", "lib.sh", "tarpart", "compress"} <= there
    assert not {f for f in there if f.startswith(".")}
    pages = {f for _, _, fs in os.walk(to / "share/man") for f in fs}
    assert {p.name for p in (ROOT / "man").glob("*.[1-9]")} == pages
    assert [f for _, _, fs in os.walk(to / "share/bash-completion") for f in fs] == ["walpipe"]
    # again over itself, and with a relative prefix
    rig.run(place / "scripts/install", "--prefix", "/usr", "--destdir", rig.dir / "package", cwd="/")
    rig.run("project/scripts/install", "--prefix", "here", cwd=rig.dir)
    r = rig.run(rig.dir / "here/bin/walpipe", "--version", env={"WALPIPE_EXEC_PATH": None})
    assert re.match(r"^walpipe \(walpipe\) \d|^walpipe \d", r.out), r.out
    for words in (["--nonsense"], ["--prefix"]):
        rig.run(place / "scripts/install", *words, status=64)


def test_the_installed_command_is_used_by_a_link(rig):
    place = tree(rig)
    rig.run(place / "scripts/install", "--prefix", rig.dir / "p", env={"CARGO_TARGET_DIR": place / "target"})
    os.symlink(rig.dir / "p/bin/walpipe", rig.dir / "w")
    r = rig.run(rig.dir / "w", "--exec-path", env={"WALPIPE_EXEC_PATH": None})
    assert r.out.strip() == str(rig.dir / "p/libexec/walpipe")


def said_so(r):
    assert "restored, rows are back" in r.out.splitlines()[-1]
    assert r.err.count("FAILED") == 0


@pytest.mark.parametrize("who", ["root", "plain user"])
def test_the_demo_goes_from_nothing_to_the_rows_being_back(rig, who):
    server_bin(15)
    if who == "root":
        rig.want_root("the demo as root")
    place = tree(rig)
    r = rig.run(place / "scripts/demo", root=who == "root", env={"CARGO_TARGET_DIR": place / "target", "WALPIPE_EXEC_PATH": None, "TMPDIR": None},
                timeout=300)
    said_so(r)
    places = set(re.findall(r"/tmp/walpipe-demo\.\w+", r.out + r.err))  # others may run theirs beside this one
    assert places and not any(os.path.exists(place) for place in places)


def test_the_demo_notices_rows_that_are_not_back(rig):
    """Its last word is a comparison: with a backup-fetch that loses the last table it fails."""
    server_bin(15)
    place = tree(rig)
    demo = place / "scripts/demo"
    text = demo.read_text()
    changed = text.replace("after=$(digest)", "as psql -qX -c 'delete from later where g = 1'; after=$(digest)")
    assert changed != text
    demo.write_text(changed)
    r = rig.run(demo, env={"CARGO_TARGET_DIR": place / "target", "WALPIPE_EXEC_PATH": None}, status="fail", timeout=300)
    assert "restored, rows are back" not in r.out
    assert build_directory().exists()


def glibc(program):
    """The newest glibc that a program needs, as (2, 17)."""
    text = subprocess.run(["objdump", "-T", program], check=True, capture_output=True, text=True).stdout
    return max(tuple(int(n) for n in v.split(".")) for v in re.findall(r"GLIBC_(\d+(?:\.\d+)+)", text))


@pytest.mark.long
def test_it_builds_for_glibc_2_17(rig):
    rig.want_root("builds in the project's target directory")
    if not shutil.which("objdump"):
        need.skip("objdump", "not installed")
    found = zig.environment()
    if found is None:
        need.skip("cargo-zigbuild", "not to be had from PyPI")
    subprocess.run([ROOT / "scripts/install", "--prefix", rig.dir / "old", "--target", "x86_64-unknown-linux-gnu.2.17"], check=True,
                   stdin=subprocess.DEVNULL, env={**os.environ, **found})
    tools = [f for f in (rig.dir / "old/libexec/walpipe").iterdir() if f.read_bytes()[:4] == b"\x7fELF"]
    needs = {f.name: glibc(f) for f in tools}
    rig.note(["objdump", "-T"], 0, needs)
    assert len(tools) >= 10 and max(needs.values()) <= (2, 17), needs
    for f in tools:
        assert "(walpipe)" in rig.run(f, "--version").out
