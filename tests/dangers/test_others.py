"""Python and Go programs, and processes that are no JVM but answer as one: nothing is ended, nothing stands still."""

from __future__ import annotations

import datetime as dt
import os
import pathlib
import signal
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from lastack import errors
from lastack.engine import outcomes
from lastack.executors.thread_dump.hotspot import attach
from tests import targets, waiting
from tests.dangers import asking
from tests.executors import worlds

pytestmark = [pytest.mark.dangers, pytest.mark.timeout(120), pytest.mark.xdist_group("dangers-others")]


@pytest.fixture(scope="module")
def python(beats: targets.Beats) -> Iterator[targets.Life]:
    """A Python program; the tests of this file share it."""
    with targets.running([*targets.PYTHON, beats.path]) as life:
        yield life


@asking.each_run
def test_a_stopped_python_program(
    python: targets.Life, beats: targets.Beats, asker: asking.Asker, run: int
) -> None:
    """It is read while it stands, stays stopped, and goes on when it is let go."""
    before = python.settled_possessions()
    os.kill(python.pid, signal.SIGSTOP)
    try:
        waiting.wait_until(
            lambda: psutil.Process(python.pid).status() == psutil.STATUS_STOPPED,
            within=worlds.WITHIN,
            what="the stop",
        )
        told = asker.ask(python.pid)
        assert psutil.STATUS_STOPPED == psutil.Process(python.pid).status()
    finally:
        os.kill(python.pid, signal.SIGCONT)
    assert isinstance(told.outcome, outcomes.Succeeded), told.text
    assert told.took < dt.timedelta(seconds=5)
    beats.await_some()
    waiting.wait_until(lambda: python.has_what_it_had(before), within=worlds.WITHIN, what=str(before))
    assert python.answers()


@asking.each_run
def test_a_python_program_in_full_work(
    python: targets.Life, beats: targets.Beats, asker: asking.Asker, run: int
) -> None:
    """Read without a stop."""
    with asker.unharmed(python, beats):
        told = asker.ask(python.pid)
    assert isinstance(told.outcome, outcomes.Succeeded), told.text


@asking.each_run
def test_a_python_program_that_dies_in_the_middle(
    beats: targets.Beats, asker: asking.Asker, run: int
) -> None:
    """It ends in time, with the reason or with what was there in time."""
    with targets.running([*targets.PYTHON, beats.path]) as life:

        def kill() -> None:
            time.sleep(0.002 * (run % 10))  # this is the claim: at one instant or another
            os.kill(life.pid, signal.SIGKILL)

        told = asker.ask(life.pid, meanwhile=kill)
    assert told.took < dt.timedelta(seconds=5)
    assert isinstance(told.outcome, outcomes.Succeeded) or "has ended" in told.text


@pytest.fixture(scope="module", params=[True, False], ids=["with-profiles", "without"])
def go(request: pytest.FixtureRequest, place: pathlib.Path, beats: targets.Beats) -> Iterator[targets.Life]:
    """A Go program."""
    (folder := place / f"go-{request.param}").mkdir()
    program = targets.compiled_go(folder, profiled=request.param)
    with targets.running([program, beats.path]) as life:
        yield life


@asking.each_run
def test_a_go_program(go: targets.Life, beats: targets.Beats, asker: asking.Asker, run: int) -> None:
    """A SIGQUIT, which it catches as a JVM does, would end it: none is sent."""
    with asker.unharmed(go, beats):
        told = asker.ask(go.pid)
    assert isinstance(told.outcome, outcomes.Succeeded), told.text


HOSTILE = """
import mmap, os, signal, socket, sys, time
asked = []
signal.signal(signal.SIGQUIT, lambda *_: asked.append(1))
with open(sys.argv[1], "rb") as library:
    mapped = mmap.mmap(library.fileno(), 0, prot=mmap.PROT_READ)
manner = sys.argv[2]
path = f"/tmp/.java_pid{os.getpid()}"
listener = socket.socket(socket.AF_UNIX)
def listen():
    listener.bind(path + ".tmp")
    listener.listen(5)
    os.rename(path + ".tmp", path)
if manner not in {"late", "never"}:
    listen()
print("up 1", flush=True)
try:
    if manner == "late":
        while not (asked and os.path.exists(sys.argv[1] + ".now")):
            time.sleep(0.01)
        listen()
    while True:
        if manner == "never":
            time.sleep(600)
        connection, _ = listener.accept()
        try:
            if manner == "garbage":
                connection.sendall(os.urandom(4096))
                while connection.recv(4096):
                    pass
            if manner in {"endless", "drip"}:
                connection.sendall(b"0\\n")
                while True:
                    connection.sendall(b"x" * (65536 if manner == "endless" else 1))
                    time.sleep(0 if manner == "endless" else 0.01)
            if manner == "silence":
                time.sleep(600)
            if manner == "late":
                connection.recv(100)
                connection.sendall(b"1\\n")
        except OSError:
            pass
        connection.close()
finally:
    os.unlink(path)
"""
SAID = {
    "garbage": "to the request for its threads",
    "endless": "longer than",
    "drip": "its answer did not end",
    "silence": "it reached no point at which it could answer",
    "never": "it did not open its attach socket in time",
}


@pytest.fixture
def library(tmp_path: pathlib.Path) -> pathlib.Path:
    """What makes a process look like a JVM."""
    path = tmp_path / "libjvm.so"
    path.write_bytes(bytes(4096))
    return path


def refused(pid: int, within: dt.timedelta) -> str:
    """Why it gives no threads, asked for so long."""
    asking_it = attach.Asking(pid, asking.LaterClock().now().steady, within)
    try:
        with pytest.raises(errors.WorldError) as problem:
            answer_of(asking_it, within)
    finally:
        asking_it.close()
    return problem.value.message


def answer_of(asking_it: attach.Asking, within: dt.timedelta) -> bytes:
    """Wait for it."""
    while True:
        answer = asking_it.wait(within)
        if answer is not None:
            return answer


@pytest.mark.parametrize("manner", sorted(SAID))
@asking.each_run
def test_a_process_that_plays_a_jvm(
    library: pathlib.Path, asker: asking.Asker, manner: str, run: int
) -> None:
    """Garbage, an answer without an end, none at all: bounded time and room, and the reason.

    Asked in a thread as one of our own user, and in a child in every second run, as one of another group.
    """
    around = ("setpriv", "--regid=65534", "--clear-groups") if run % 2 else ()
    within = dt.timedelta(seconds=5 if manner == "endless" else 0.5)
    with targets.running([*around, sys.executable, "-c", HOSTILE, library, manner]) as life:
        began = time.monotonic()
        try:
            assert SAID[manner] in refused(life.pid, within)
            took = dt.timedelta(seconds=time.monotonic() - began)
        finally:
            pathlib.Path(f"/tmp/.java_pid{life.pid}").unlink(missing_ok=True)
            pathlib.Path(f"/tmp/.attach_pid{life.pid}").unlink(missing_ok=True)
        asker.figures.keep(asker.danger, "took", took)
        assert took < within + dt.timedelta(seconds=3)
        assert life.goes_on


@asking.each_run
def test_a_jvm_that_comes_to_the_signal_late(library: pathlib.Path, asker: asking.Asker, run: int) -> None:
    """Until it has, the trigger file stays: without it, it would print its threads on its own output. Then it goes."""
    with targets.running([sys.executable, "-c", HOSTILE, library, "late"]) as life:
        trigger, own = (pathlib.Path(f"/tmp/.{name}_pid{life.pid}") for name in ("attach", "java"))
        try:
            said = refused(life.pid, dt.timedelta(milliseconds=200))
            assert f"(.attach_pid{life.pid} in its /tmp waits for it)" in said
            assert trigger.exists()
            library.with_name("libjvm.so.now").touch()
            waiting.wait_until(own.exists, within=worlds.WITHIN, what="the socket")
            assert "it answered b'1" in refused(life.pid, dt.timedelta(seconds=5))
            assert not trigger.exists()
        finally:
            trigger.unlink(missing_ok=True)
            own.unlink(missing_ok=True)
