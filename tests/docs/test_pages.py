"""Pages, --help and completion say the same, and what a page must say is there."""

import re
import shutil
import subprocess
import tomllib

import manual
import pytest

from lib import need
from lib.rig import ROOT, build_directory

STATUSES = {0, 1, 64, 65, 66, 69, 70, 73, 74, 75, 77, 78, 125, 126, 127, 141, 200}


def programs():
    """The binaries that the workspace's manifests promise."""
    found = set()
    for manifest in sorted((ROOT / "bins").glob("*/Cargo.toml")):
        with open(manifest, "rb") as f:
            cargo = tomllib.load(f)
        named = {b["name"] for b in cargo.get("bin", [])} | {p.stem for p in (manifest.parent / "src/bin").glob("*.rs")}
        if not named and (manifest.parent / "src/main.rs").exists():
            named = {cargo["package"]["name"]}
        found |= named
    return sorted(found)


def wrappers():
    """The scripts that a user runs, by the words of `walpipe`."""
    skip = {"walpipe", "install", "demo"}
    return sorted(f.name for f in (ROOT / "scripts").iterdir() if f.is_file() and "." not in f.name and f.name not in skip)


def words_of(name):
    """How it is asked for its help."""
    if name == "walpipe":
        return ["walpipe"]
    if name in programs():
        return [name]
    return ["walpipe", name]


@pytest.fixture
def asked(rig):
    def run(*words):
        if words[0] == "walpipe":
            rig.want_tools("walpipe")
            return rig.run(*words)
        return rig.tool(*words)
    return run


def options_of(text):
    """The options that a help lists: one set of names for each."""
    found = set()
    for line in text.splitlines():
        m = re.match(r"^\s+(?:(-\w)(?:, )?)?(--[a-z][a-z0-9-]*)?(?=[\s=<]|$)", line)
        names = frozenset(n for n in m.groups() if n) if m else frozenset()
        if names and not names & manual.NEVER:
            found.add(names)
    return found


def commands_of(text):
    """The subcommands that clap lists."""
    inside, found = False, []
    for line in text.splitlines():
        if not line.startswith(" "):
            inside = line == "Commands:"
        elif inside and re.match(r"^  [a-z]", line) and line.split()[0] != "help":
            found.append(line.split()[0])
    return found


@pytest.mark.parametrize("name", ["walpipe", *programs(), *wrappers()])
def test_a_page_and_the_help_name_the_same_options(asked, name):
    page = manual.page_of(name)
    assert page, f"no page for {name} in man/"
    text = manual.text_of(page)
    first = asked(*words_of(name), "--help")
    assert first.err == ""
    commands = commands_of(first.out)
    helps = {c: asked(*words_of(name), c, "--help").out for c in commands} or {None: first.out}
    synopsis = manual.synopsis(text)
    if name in wrappers():
        synopsis = {None: synopsis[name]}       # the name of the command stands there as a word
    assert set(synopsis) == set(helps), "SYNOPSIS has other subcommands than --help"
    every = set()
    for command, help_text in helps.items():
        options = options_of(help_text)
        every |= options
        shown = synopsis[command]
        missing = [set(o) for o in options if not o & shown]
        unknown = shown - {flag for option in options for flag in option}
        assert not missing and not unknown, f"SYNOPSIS of {command or name}: lacks {missing}, and --help lacks {unknown}"
    items = manual.items(text)
    assert items == every, f"OPTIONS: lacks {every - items}, and --help lacks {items - every}"


@pytest.mark.parametrize("path", manual.PAGES, ids=lambda p: p.name)
def test_a_page_has_what_a_page_must(path):
    text = manual.text_of(path)
    musts = ["NAME", "DESCRIPTION", "SEE ALSO"]
    if path.suffix == ".1":
        musts += ["SYNOPSIS", "EXIT STATUS", "EXAMPLES"]
        assert "Memory: " in text or "Memory of" in text or "Memory, for" in text, "says nothing of memory"
    missing = [m for m in musts if m not in manual.titles(text)]
    assert not missing, missing
    assert text.splitlines()[1].split()[1:3] == [path.stem.upper(), path.suffix[1:]]


@pytest.mark.parametrize("path", [p for p in manual.PAGES if p.suffix == ".1"], ids=lambda p: p.name)
def test_a_page_shows_only_statuses_that_there_are(path):
    shown = {int(n) for line in manual.section(manual.text_of(path), "EXIT STATUS") if line.startswith(".It ")
             for n in re.findall(r"\b\d+\b", line.replace("128+", ""))}
    assert 0 in shown or path.stem == "walpipe"
    assert shown <= STATUSES, shown - STATUSES


@pytest.mark.parametrize("name", programs())
def test_version_names_the_tool_and_the_project(asked, name):
    assert re.fullmatch(rf"{name} \(walpipe\) \d+\.\d+\.\d+\n", asked(name, "--version").out)


@pytest.mark.parametrize("name", programs())
def test_a_wrong_word_is_one_line_and_64(rig, name):
    r = rig.tool(name, "--no-such-word", status=64)
    said = [line for line in r.err.splitlines() if "HINT" not in line]
    assert r.out == "" and len(said) == 1 and said[0].startswith(name + ": "), r


@pytest.mark.parametrize("name", wrappers())
def test_the_completion_offers_the_options_of_the_help(rig, name):
    offered = complete(rig, ["walpipe", name, "--"])
    options = options_of(rig.walpipe(name, "--help").out)
    assert offered == {flag for option in options for flag in option if flag.startswith("--")}


def test_the_completion_offers_the_commands_of_the_help(rig):
    text = rig.walpipe("help").out
    commands = {m[1] for m in re.finditer(r"^  ([a-z][a-z-]*) ", text, re.M)}
    assert commands == set(wrappers()) | {"help"}
    offered = complete(rig, ["walpipe", ""])
    assert {w for w in offered if not w.startswith("-")} == commands
    assert {w for w in offered if w.startswith("-")} == {"--config", "--exec-path", "--version", "--help"}
    assert complete(rig, ["walpipe", "help", "ba"]) == {c for c in commands if c.startswith("ba")}
    assert not [w for w in complete(rig, ["walpipe", "help", ""]) if w.startswith("-")]


def complete(rig, words):
    """What bash offers for the last of these words."""
    if not shutil.which("bash"):
        need.skip("bash", "not installed")
    script = f". {rig.session.stage()}/libexec/walpipe/completion.bash; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _walpipe; " \
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    return set(rig.run("bash", "-c", script, "complete", *words).out.split())


# ---- lint

@pytest.mark.parametrize("path", manual.PAGES, ids=lambda p: p.name)
def test_mandoc_has_nothing_to_say(path):
    if not shutil.which("mandoc"):
        need.skip("mandoc", "not installed")
    # beside the others it finds those that a page refers to
    p = subprocess.run(["mandoc", "-T", "lint", path.name], cwd=manual.MAN, capture_output=True, text=True, check=False)
    # pages of other packages may not be installed
    said = [line for line in p.stdout.splitlines() if not re.search(r"referenced manual not found: Xr (?!walpipe)", line)]
    assert said == []
    shown = subprocess.run(["mandoc", "-T", "utf8", path.name], cwd=manual.MAN, capture_output=True, text=True, check=True).stdout
    shown = re.sub(r".\x08", "", shown)
    wide = [line for line in shown.splitlines() if len(line) > 80]
    assert len(shown) > 500 and wide == []


# ---- settings

def constants(name):
    """A list of names in the source of the settings."""
    text = (ROOT / "shared/tool/src/settings/names.rs").read_text(encoding="utf-8")
    m = re.search(rf"const {name}: &\[&str\] =\s*&\[(.*?)\];", text, re.S)
    assert m, f"no {name} in names.rs"
    return re.findall(r'"([A-Z_0-9]+)"', m[1])


def test_walpipe_7_has_every_setting_with_its_default(rig):
    rig.want_tools("settings")
    text = manual.text_of(manual.MAN / "walpipe.7")
    said = {}
    for line in manual.section(text, "SETTINGS"):
        if line.startswith(".It Ev "):
            now = said.setdefault(line.split()[2], [])
        elif said:
            now.append(line)
    listed = rig.tool("settings", "--all").out.splitlines()
    names = {re.split(r"[= ]", line)[0]: line for line in listed if re.match("[A-Z]", line)}
    names = {name: line for name, line in names.items() if name not in constants("INTERNAL") + constants("AWS")}
    assert set(said) == set(names), set(said) ^ set(names)
    for name, line in names.items():
        m = re.fullmatch(rf"{name}=(.*)  \(default\)", line)
        if m:
            shown = {word.strip(";,.()") for word in " ".join(said[name]).split()}
            assert m[1] in shown, f"{name}: the default {m[1]} is not in {said[name]}"


def test_walpipe_7_names_what_is_refused_and_what_is_idle():
    text = "\n".join(manual.section(manual.text_of(manual.MAN / "walpipe.7"), "SETTINGS"))
    refused, idle = text[text.index(".Ss Refused"):].split(".Ss Without effect")
    said = {part: set(re.findall(r"\b(?:WAL[GE]|YC|GPG)_[A-Z0-9_]+", part)) for part in (refused, idle)}
    for name in constants("CIPHERS") + constants("CONTENTS") + constants("PLACES") + constants("PLACE_PREFIXES"):
        same = name.replace("WALE_", "WALG_")       # "the same with WALE_"
        assert same in said[refused] or name in said[refused], name
    for name in constants("IDLE") + constants("IDLE_PREFIXES"):
        assert name in said[idle], name
    assert not said[idle] - set(constants("IDLE") + constants("IDLE_PREFIXES"))
    assert build_directory()


def test_scripts_install_installs_every_program_that_is_built():
    programs = {f.parent.parent.name for f in (ROOT / "bins").glob("*/src/main.rs")}
    programs |= {f.stem for f in (ROOT / "bins").glob("*/src/bin/*.rs")}
    line = next(line for line in (ROOT / "scripts/install").read_text().splitlines() if line.startswith("tools="))
    assert set(line.split("'")[1].split()) == programs
