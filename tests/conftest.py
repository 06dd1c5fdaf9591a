"""Rules for every test: a skip is a failure in CI, and properties can be run with more examples."""

from __future__ import annotations

import os
from collections.abc import Generator

import hypothesis
import pytest

pytest_plugins = ["tests.box.fixtures"]

# `make simulate SEEDS=N`; a property that sets max_examples itself keeps its own number.
hypothesis.settings.register_profile(
    "simulate", max_examples=int(os.environ.get("SEEDS", "1000")), deadline=None, print_blob=True
)
# Two workers share the processor with real servers: how long one example takes is no claim of ours.
hypothesis.settings.register_profile("default", deadline=None, print_blob=True)
hypothesis.settings.load_profile("default")

_A_PROPERTY_MAY_TAKE_SECONDS = 240
"""A hundred lives of an operator take a quarter of a minute on a quiet machine, and share it with real servers."""

_NO_SKIPS = (
    "skipped, and CI=true allows no skips: a missing Debian package or right is a failure. "
    "`make setup` as root installs the packages"
)


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip (not an expected failure) into a failure that repeats the reason of the skip."""
    if not _in_ci() or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{_NO_SKIPS}. {reason}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give properties more time than other tests have, unless they say it themselves."""
    for item in items:
        if item.get_closest_marker("hypothesis") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_A_PROPERTY_MAY_TAKE_SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge each phase of each test."""
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge files that skip as a whole."""
    report = yield
    _forbid_skip(report)
    return report
