"""`lastack pause` and `lastack resume` where no lastack runs, and where they cannot be."""

from __future__ import annotations

import json
import pathlib

import pytest

from tests.contracts import command_runs

pytestmark = [pytest.mark.xdist_group("commands")]


@pytest.mark.parametrize(
    "words", [("pause", "--reason", "deploying 4.2"), ("resume",)], ids=["pause", "resume"]
)
def test_that_nobody_was_told_is_said(words: tuple[str, ...], tmp_path: pathlib.Path) -> None:
    """On stderr: a directory that was mistyped is not the one of the lastack that goes on acting."""
    place = tmp_path / "state"
    run = command_runs.run(*words, "--state-dir", str(place))
    assert (0, True) == (run.status, f"no lastack runs on {place}" in run.err), run
    assert "no lastack" not in run.out


@pytest.mark.parametrize(
    "words", [("pause", "--reason", "deploying 4.2"), ("resume",)], ids=["pause", "resume"]
)
def test_a_failure_is_one_document_too(words: tuple[str, ...], tmp_path: pathlib.Path) -> None:
    """Exit 3; whether it is paused is unknown, with the reason."""
    (tmp_path / "file").write_text("")
    run = command_runs.run(*words, "-o", "json", "--state-dir", str(tmp_path / "file" / "state"))
    assert 3 == run.status, run
    document = json.loads(run.out)
    assert ("Pause", None) == (document["kind"], document["paused"])
    assert document["missing"][0]["why"], run


def test_status_says_it_when_nothing_is_held(tmp_path: pathlib.Path) -> None:
    """An announcement with nothing behind it reads as if something were lost."""
    place = ("--state-dir", str(tmp_path / "state"))
    assert 0 == command_runs.run("resume", *place).status
    run = command_runs.run("status", *place)
    assert (3, "nothing is paused, and no setting is leased\n") == (run.status, run.out), run
