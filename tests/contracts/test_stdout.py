"""What becomes of the exit code when the answer cannot be written."""

from __future__ import annotations

import pathlib
import subprocess

import pytest

from tests.contracts import command_runs, run_processes

pytestmark = [pytest.mark.xdist_group("commands")]

PROGRAM = run_processes.PROGRAM


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A state directory with one entry."""
    place = tmp_path_factory.mktemp("stdout") / "state"
    assert 0 == command_runs.run("pause", "--reason", "deploying 4.2", "--state-dir", str(place)).status
    return place


@pytest.mark.parametrize(
    "words", ["diagnose --for 0", "diagnose --for 0 -o json", "top --once --for 0", "ledger export"]
)
def test_a_stdout_that_is_full_is_not_called_a_finding(words: str, state: pathlib.Path) -> None:
    """Exit 3 and the reason, not 1: a full disk below the log of a check says nothing about the service."""
    at = ["--state-dir", str(state)] if "ledger" in words else []
    with pathlib.Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [PROGRAM, *words.split(), *at], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (3, 2) == (done.returncode, len(done.stderr.splitlines())), done.stderr
    assert "cannot be written to stdout: No space left on device" in done.stderr


def test_a_stdout_that_was_never_open_leaves_the_exit_code() -> None:
    """As with >&-: nobody reads, and the exit code is true all the same."""
    done = subprocess.run(
        ["bash", "-c", f"{PROGRAM} diagnose --pid 4194303 --for 0 >&-"],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (3, "") == (done.returncode, done.stderr)
