"""pytest for all suites: paths, the count that tests/run sums, shards, what a failure leaves."""

import os
import pathlib
import signal
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
for place in (HERE, HERE / "interop"):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

sys.dont_write_bytecode = True

# a background job of a shell ignores these, and so would all that we start: a script cannot trap what it was born ignoring
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

from lib.rig import rig, session  # noqa: E402,F401  fixtures for every test

COUNT = {"passed": 0, "failed": 0, "skipped": 0}


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="500 kills of each process instead of 20, a million files")


@pytest.fixture
def long(request):
    return request.config.getoption("--long")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: only under --long")


def pytest_collection_modifyitems(config, items):
    """What is long runs under --long only.  WALPIPE_SHARD=1/2 runs every second test only: tests/run starts one process per core."""
    if not config.getoption("--long"):
        items[:] = [item for item in items if not item.get_closest_marker("long")]
    shard = os.environ.get("WALPIPE_SHARD")
    if shard:
        mine, of = (int(x) for x in shard.split("/"))
        keep = [item for i, item in enumerate(items) if i % of == mine - 1]
        config.hook.pytest_deselected(items=[item for i, item in enumerate(items) if i % of != mine - 1])
        items[:] = keep


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        item.failed = True
        r = getattr(item, "funcargs", {}).get("rig")
        if r is not None:
            report.sections.append(("directory left", str(r.dir)))
            report.sections.append(("commands", "\n".join(r.journal[-12:])))
            for c in r.clusters:
                report.sections.append((f"log of {c.name}", c.tail(2500)))


def pytest_runtest_logreport(report):
    if report.when == "call" or (report.when == "setup" and report.outcome != "passed") or report.failed:
        COUNT[report.outcome] += 1


def pytest_sessionfinish(session, exitstatus):  # noqa: F811
    path = os.environ.get("WALPIPE_COUNT_FILE")
    if path:
        with open(path, "w", encoding="utf-8") as f:
            f.write("%(passed)d passed, %(failed)d failed, %(skipped)d skipped\n" % COUNT)
