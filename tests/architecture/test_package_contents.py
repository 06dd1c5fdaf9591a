"""A wheel carries what the program reads at run time, and nothing else of the clone."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import zipfile

import pytest

from lastack import shipped
from tests.architecture import trees


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names inside a wheel that is built from the clone."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=trees.ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.parametrize("folder", ["policies", "runbooks"])
def test_the_wheel_carries_what_is_shipped(wheel_names: set[str], folder: str) -> None:
    """Every file of policies/ and runbooks/ is package data of lastack.shipped."""
    expected = {f"lastack/shipped/{folder}/{path.name}" for path in (trees.ROOT / folder).iterdir()}
    assert expected == {name for name in wheel_names if name.startswith(f"lastack/shipped/{folder}/")}


def test_the_wheel_carries_nothing_but_the_package(wheel_names: set[str]) -> None:
    """No `operator`, tests or benchmarks land in somebody's site-packages."""
    tops = {pathlib.PurePath(name).parts[0] for name in wheel_names}
    assert {"lastack"} == {top for top in tops if not top.endswith(".dist-info")}


def test_the_demo_policy_is_read_from_package_data() -> None:
    """What `lastack demo` reads is the file that people find in policies/."""
    assert (trees.ROOT / "policies" / "demo.yaml").read_text(encoding="utf-8") == shipped.policy_text("demo")


def test_a_runbook_page_is_read_from_package_data() -> None:
    """What the program shows for a diagnosis is the page that people find in runbooks/."""
    expected = (trees.ROOT / "runbooks" / "accept-stall.md").read_text(encoding="utf-8")
    assert expected == shipped.page_text("accept-stall")
