"""cargo-zigbuild and zig from PyPI, in the tests' cache: what builds for an old glibc."""

import os
import pathlib
import shutil
import subprocess
import sys

CACHE = pathlib.Path(os.environ.get("WALPIPE_TEST_CACHE", "/var/tmp/walpipe-tests")) / "zig"


def environment():
    """Where cargo-zigbuild is found, and by it zig; fetched if need be, None where that cannot be done."""
    if shutil.which("cargo-zigbuild"):
        return {}
    place = CACHE / "py"
    if not (place / "bin/cargo-zigbuild").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", str(place), "cargo-zigbuild", "ziglang"],
                              stdin=subprocess.DEVNULL, check=False, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
        if done.returncode or not (place / "bin/cargo-zigbuild").exists():
            return None
    return {"PATH": f"{place}/bin:{os.environ['PATH']}", "PYTHONPATH": str(place)}
