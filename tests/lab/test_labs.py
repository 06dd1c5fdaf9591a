"""`lastack lab` shows a disease and leaves nothing behind."""

from __future__ import annotations

import datetime as dt
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

from lastack.lab import scenarios
from tests import waiting
from tests.lab import leftovers

SOON = dt.timedelta(seconds=30)
LAB = [str(pathlib.Path(sys.executable).with_name("lastack")), "lab"]


def started(name: str, *options: str) -> tuple[str, subprocess.Popen[str]]:
    """A lab in the background, once it has said everything, and the mark of its processes."""
    mark, environment = leftovers.marked_environment()
    process = subprocess.Popen(
        [*LAB, name, *options],
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return mark, process


def introduction(process: subprocess.Popen[str]) -> str:
    """Everything up to the last line of the introduction."""
    assert process.stdout is not None
    said = ""
    while not said.endswith("Nothing is left then.\n"):
        line = process.stdout.readline()
        assert line, f"the lab ended: {said}{process.communicate()}"
        said += line
    return said


@pytest.mark.parametrize("name", list(scenarios.Name))
def test_a_lab_ends_by_itself_and_leaves_nothing(name: scenarios.Name) -> None:
    """Exit status 0 after --for; no process and no namespace of it is left."""
    mark, process = started(name, "--for", "1s")
    said = introduction(process)
    service = int(re.findall(r"is pid (\d+)", said)[0])
    namespace = leftovers.namespace_of(service)
    assert leftovers.namespace_of(os.getpid()) != namespace
    assert f"diagnose --netns {service}\n" in said
    assert ("", 0) == (process.communicate()[1], process.returncode)
    assert ([], []) == (leftovers.processes(mark), leftovers.holders(namespace))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_lab_says_so_and_leaves_nothing(number: signal.Signals) -> None:
    """Ctrl-C, a polite kill and a closed terminal are one thing: 130."""
    mark, process = started("accept-stall")
    introduction(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (130, "") == (process.returncode, out)
    assert "interrupted" in err
    assert [] == leftovers.processes(mark)


def test_a_killed_lab_leaves_nothing() -> None:
    """Also when it had no time to clean up."""
    mark, process = started("accept-stall")
    introduction(process)
    process.kill()
    process.communicate()
    waiting.wait_until(lambda: not leftovers.processes(mark), within=SOON, what="the end of its children")


def test_the_output_of_a_lab_has_no_escape_codes_when_piped() -> None:
    """Plain lines where there is no terminal."""
    _, process = started("healthy", "--for", "1s")
    out, err = process.communicate()
    assert "\x1b" not in out + err


def test_a_lab_refuses_a_duration_that_is_none() -> None:
    """Where, what was found, what was expected."""
    done = subprocess.run([*LAB, "healthy", "--for", "soon"], capture_output=True, text=True, check=False)
    assert 2 == done.returncode
    assert "--for" in done.stderr
    assert "'soon' is not a duration" in done.stderr


def test_a_lab_that_does_not_exist_is_named_with_those_that_do() -> None:
    """The closed set is the help."""
    done = subprocess.run([*LAB, "gout"], capture_output=True, text=True, check=False)
    assert 2 == done.returncode
    assert all(name in done.stderr for name in scenarios.Name)


def test_every_scenario_is_described_for_its_name() -> None:
    """The table is complete, and each entry says what it is."""
    assert list(scenarios.Name) == [scenario.name for scenario in scenarios.SCENARIOS.values()]
    for scenario in scenarios.SCENARIOS.values():
        assert scenario.story
        assert scenario.looks
