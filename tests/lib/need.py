"""A test that cannot run says so aloud; WALPIPE_TEST_REQUIRE=pg17,fixtures,… makes that a failure."""

import os

import pytest


def required(what):
    return what in os.environ.get("WALPIPE_TEST_REQUIRE", "").replace(",", " ").split()


def skip(what, why):
    """SKIP the running test because WHAT is missing, or fail where it is required."""
    if required(what):
        pytest.fail(f"{what} is required (WALPIPE_TEST_REQUIRE), but {why}", pytrace=False)
    pytest.skip(f"{what}: {why}")
