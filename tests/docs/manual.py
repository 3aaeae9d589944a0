"""What the pages in man/ say, read out of their mdoc."""

import re

from lib.rig import ROOT

MAN = ROOT / "man"
PAGES = sorted(MAN.glob("*.[1-9]"))
ESCAPES = {r"\e": "\\", r"\&": "", r"\-": "-", r"\(dq": '"', r"\(aq": "'"}
MACROS = {"Ad", "Ar", "Cm", "Dv", "Em", "Ev", "Fl", "Ic", "Li", "Nm", "No", "Ns", "Oc", "Oo", "Op", "Pa", "Pq", "Ql", "Sm", "Sy",
          "Va", "Xc", "Xo", "Brq", "It"}
NEVER = {"-h", "--help", "-V", "--version"}      # every program has them


def page_of(name):
    """The page of a program or a command."""
    for candidate in (MAN / f"walpipe-{name}.1", MAN / f"{name}.1"):
        if candidate.exists():
            return candidate
    return None


def text_of(path):
    return path.read_text(encoding="utf-8")


def section(text, title):
    """The lines of a section."""
    out, inside = [], False
    for line in text.splitlines():
        if line.startswith(".Sh "):
            inside = line[4:].strip().strip('"') == title
        elif inside:
            out.append(line)
    return out


def titles(text):
    return [line[4:].strip().strip('"') for line in text.splitlines() if line.startswith(".Sh ")]


def plain(line):
    for escape, meaning in ESCAPES.items():
        if escape != r"\e":
            line = line.replace(escape, meaning)
    return line.replace(r"\e", "\\")


def flags(line):
    """The options that a line of mdoc marks as such; `Fl -`, the two dashes before a producer, is none."""
    found, marking = set(), False
    for word in line.split():
        if word.lstrip(".") == "Fl":
            marking = True
        elif word in MACROS or not marking:
            marking = False
        elif word not in (",", "|", "-", ":", ".", "(", ")"):
            found.add("-" + word)
    return found


def synopsis(text):
    """{subcommand, or None: options}."""
    out, now = {}, None
    for line in section(text, "SYNOPSIS"):
        words = line.split()
        if words[0] == ".Nm":
            now = words[words.index("Cm") + 1] if "Cm" in words else None
        out.setdefault(now, set()).update(flags(line))
    return {command: found - NEVER for command, found in out.items()}


def items(text):
    """The options of OPTIONS: one set of names for each."""
    found = [frozenset(flags(line)) for line in section(text, "OPTIONS") if line.startswith(".It Fl")]
    return {group for group in found if not group & NEVER}


def sessions(lines):
    """Sessions at a prompt in these lines: [(command, lines that it prints)].

    A command follows `$ `; it goes on after a backslash, and on lines that begin with `> `.
    """
    found, literal, begun, more = [], False, False, False
    for line in lines:
        if line.startswith(".Bd -literal"):
            literal, begun, more = True, False, False
        elif line.startswith(".Ed"):
            literal = False
        elif literal:
            line = plain(line)
            if line.startswith("$ "):
                found.append((line[2:], []))
                begun = True
            elif not begun:
                continue        # a picture, or what is no session
            elif more or line.startswith("> "):
                command, printed = found.pop()
                found.append((command + "\n" + (line if more else line[2:]), printed))
                line = found[-1][0]
            else:
                found[-1][1].append(line)
                line = ""
            more = line.endswith("\\")
    return found


def pattern(printed):
    """What a page shows, as a regular expression: `...` is anything, alone on a line any lines."""
    out = ""
    for line in printed:
        if line == "...":
            out += r"(?:.*\n)*?"
        else:
            out += ".*?".join(re.escape(piece) for piece in line.split("...")) + r"\n"
    return re.compile(out)
