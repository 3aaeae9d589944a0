"""../shared, the papers and fixtures beside the project (WALPIPE_SHARED overrides)."""

import os
import pathlib

from . import need

ROOT = pathlib.Path(__file__).resolve().parents[2]


def directory():
    """The folder of the papers; the test is skipped where it is not there."""
    path = pathlib.Path(os.environ.get("WALPIPE_SHARED") or ROOT.parent / "shared").absolute()
    if not (path / "fixtures").is_dir():
        need.skip("fixtures", f"no fixtures in {path} (WALPIPE_SHARED names another place)")
    return path


def fixture(name):
    path = directory() / "fixtures" / name
    if not path.is_dir():
        need.skip("fixtures", f"no fixture {name}")
    return path
