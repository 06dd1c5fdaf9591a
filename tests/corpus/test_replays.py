"""Every recording of a real server in the corpus, judged again: what was right stays right."""

import json
import pathlib
import subprocess

import pytest

from tests.corpus import conditions, expectations, servers
from tests.scenarios import grounds

FOLDER = pathlib.Path(__file__).parent / "recordings"
SUFFIX = ".lastack"
CELLS = {cell.name: cell for cell in conditions.cells(servers.ALL)}
RECORDINGS = sorted(FOLDER.glob(f"*{SUFFIX}"))


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name.removesuffix(SUFFIX))
def test_a_recording_is_judged_as_the_server_was(path: pathlib.Path) -> None:
    """The same claim as on the day of the recording, without the server."""
    cell = CELLS[path.name.removesuffix(SUFFIX)]
    asked = subprocess.run(
        [grounds.PROGRAM, "diagnose", "--replay", str(path), "-o", "json"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert asked.stdout, asked.stderr
    verdict = expectations.judge(cell, json.loads(asked.stdout))
    assert ((), 0) == (verdict.faults, verdict.disruptive), asked.stdout


def test_there_are_recordings_of_every_code_and_server() -> None:
    """A corpus that lost its recordings would prove nothing and stay green."""
    assert {server.name for server in servers.ALL} == {
        CELLS[path.name.removesuffix(SUFFIX)].server.name for path in RECORDINGS
    }
