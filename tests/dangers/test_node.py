"""Node.js at work, in a loop without an end, at rest, just begun, at its end: none is ended, none stands still."""

from __future__ import annotations

import os
import pathlib
import random
import signal
import subprocess
import time
from collections.abc import Iterator

import psutil
import pytest

from lastack.engine import outcomes
from tests import targets, waiting
from tests.dangers import asking
from tests.executors import worlds

pytestmark = [pytest.mark.dangers, pytest.mark.timeout(120), pytest.mark.xdist_group("dangers-node")]

WORKING = targets.HERE / "working.js"
MADE = (
    (),
    ("--jitless",),
    ("--always-sparkplug",),
    ("--always-turbofan",),
    ("--max-semi-space-size=1", "--gc-interval=500"),
)
"""Ways to make code, and to collect garbage all the time."""
ENDLESS = """
const { Worker } = require('worker_threads');
function stall() { for (;;); }
for (let i = 0; i < 2; i++) {
  new Worker('for (;;) { const all = []; for (let i = 0; i < 1e5; i++) all.push({ i }); }', { eval: true });
}
setTimeout(() => process.stdout.write('up 1\\n', stall), 200);
"""


@pytest.fixture(
    scope="module",
    params=[(manner, made) for manner in ("calls", "garbage", "expressions") for made in MADE],
    ids=lambda each: "-".join([each[0], *(option.strip("-").replace("=", "-") for option in each[1])]),
)
def working(request: pytest.FixtureRequest, beats: targets.Beats) -> Iterator[targets.Life]:
    """Its only loop works, in one manner, with code that is made in one way; it checks its work."""
    manner, made = request.param
    with targets.running(["node", *made, WORKING, beats.path, manner]) as life:
        yield life


@asking.each_run
def test_a_node_in_full_work(
    working: targets.Life, beats: targets.Beats, asker: asking.Asker, run: int
) -> None:
    """Two dumps; its work is right, its loop serves, and it is silent for no longer than a stop may be."""
    with asker.unharmed(working, beats):
        told = [asker.ask(working.pid) for _ in range(2)]
    assert all(isinstance(one.outcome, outcomes.Succeeded) for one in told), told


@pytest.mark.parametrize("made", MADE, ids=lambda each: "".join(each) or "default")
@asking.each_run
def test_a_node_in_a_loop_without_an_end(
    tmp_path: pathlib.Path, asker: asking.Asker, made: tuple[str, ...], run: int
) -> None:
    """Dumps of one life, in which the inspector ended nine of sixty-five; its other threads collect garbage."""
    program = tmp_path / "endless.js"
    program.write_text(ENDLESS)
    with targets.running(["node", *made, program]) as life:
        waiting.wait_until(lambda: "stall" in asker.ask(life.pid).text, within=worlds.WITHIN, what="the loop")
        for _ in range(2):
            told = asker.ask(life.pid)
            assert "stall (endless.js:3)" in told.text, told
        assert life.goes_on
        assert runs_on(life.pid)


@asking.each_run
def test_a_node_at_rest(asker: asking.Asker, run: int) -> None:
    """It is not even woken up."""
    with targets.running(targets.NODE) as life:
        before = life.settled_possessions()
        told = asker.ask(life.pid)
        assert "the event loop of process" in told.text
        assert life.goes_on
        assert life.answers()
        waiting.wait_until(lambda: life.has_what_it_had(before), within=worlds.WITHIN, what=str(before))


@asking.each_run
def test_a_node_that_began_just_now(asker: asking.Asker, run: int) -> None:
    """Whatever it loads at that instant: it comes up, and serves."""
    with targets.started(targets.NODE) as process:
        time.sleep(0.005 * (1 + run % 20))  # this is the claim: at one instant or another
        told = asker.ask(process.pid)
        assert isinstance(told.outcome, outcomes.Succeeded), told
        life = targets.up(process)
        assert life.pid == process.pid
        assert life.answers()


@pytest.mark.parametrize("way", ["killed", "by-itself"])
@asking.each_run
def test_a_node_that_ends_in_the_middle(asker: asking.Asker, way: str, run: int) -> None:
    """The dump ends in time, with the reason or with what was there in time."""
    source = "const end = Date.now() + 300; while (Date.now() < end); process.exit(7);"
    with subprocess.Popen(["node", "-e", source if way == "by-itself" else "for (;;);"]) as process:
        try:
            waiting.wait_until(lambda: runs_on(process.pid), within=worlds.WITHIN, what="the loop")

            def end() -> None:
                time.sleep(0.004 * (run % 20))  # this is the claim: at one instant or another
                if way == "killed":
                    os.kill(process.pid, signal.SIGKILL)

            told = asker.ask(process.pid, meanwhile=end)
            status = process.wait(timeout=10)
        finally:
            process.kill()
    assert isinstance(told.outcome, outcomes.Succeeded) or "has ended" in told.text
    assert (-signal.SIGKILL if way == "killed" else 7) == status


@asking.each_run
def test_who_reads_a_node_is_killed(beats: targets.Beats, asker: asking.Asker, run: int) -> None:
    """At any instant: what it held goes on."""
    with targets.running(["node", WORKING, beats.path, "calls"]) as life, asker.unharmed(life, beats):
        for _ in range(5):

            def kill() -> None:
                time.sleep(random.uniform(0, 0.1))  # this is the claim: at one instant or another
                for child in psutil.Process().children():
                    if child.pid != life.pid:
                        child.kill()

            asker.ask(life.pid, meanwhile=kill)


def runs_on(pid: int) -> bool:
    """It uses the processor: it is neither stopped nor waits for anything."""
    before = psutil.Process(pid).cpu_times().user
    return bool(
        waiting.wait_until(
            lambda: psutil.Process(pid).cpu_times().user > before, within=worlds.WITHIN, what="it to run"
        )
    )
