"""Threads of programs that cannot be asked, as the kernel sees them."""

from __future__ import annotations

import contextlib
import pathlib
import socket
import subprocess
from collections.abc import Iterator

import psutil
import pytest

from lastack.engine import outcomes
from tests import waiting
from tests.executors import jvms, worlds
from tests.executors.test_thread_dumps import THREADED, Stage


@pytest.fixture
def threaded() -> Iterator[int]:
    """The pid of a server whose four worker threads stand in stall."""
    with worlds.running_python(THREADED) as process:
        yield process.pid


def _dumped(folder: pathlib.Path, pid: int) -> outcomes.Succeeded:
    found = worlds.carried(Stage(folder, pid).dumper(), worlds.step_of(worlds.dump_series(pid)))
    assert isinstance(found, outcomes.Succeeded), found
    return found


def test_any_program_is_told_as_the_kernel_sees_it(tmp_path: pathlib.Path) -> None:
    """On whose socket it stands, and by which command a person sees more."""
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = silent.getsockname()[1]
        script = f"exec 3<>/dev/tcp/127.0.0.1/{port}; read -u 3 answer"
        with subprocess.Popen(["bash", "-c", script]) as process:
            try:
                stack.enter_context(silent.accept()[0])
                waiting.wait_until(
                    lambda: f"reading from 127.0.0.1:{port}" in _dumped(tmp_path, process.pid).text,
                    within=worlds.WITHIN,
                    what="the read",
                )
                found = _dumped(tmp_path, process.pid)
            finally:
                process.kill()
    assert found.text.startswith(
        f"1 of 1 worker processes stands in read, reading from 127.0.0.1:{port}, unchanged in 3 dumps over"
    )
    assert ("downstream", f"127.0.0.1:{port}") == (found.facts["cause"], found.facts["peer"])
    summary = (tmp_path / found.evidence[-1].path).read_text()
    assert f"process {process.pid} is a native program" in summary


def test_what_a_start_script_runs_is_no_part_of_the_service(tmp_path: pathlib.Path, threaded: int) -> None:
    """A native program of the unit beside a runtime that can be asked."""
    with subprocess.Popen(["sleep", "600"]) as other:
        try:
            stage = Stage(tmp_path, threaded)
            found = worlds.carried(stage.dumper(), worlds.step_of(worlds.dump_series(threaded, other.pid)))
        finally:
            other.kill()
    assert isinstance(found, outcomes.Succeeded), found
    assert found.text.startswith("4 of 4 worker threads stand in stall")
    assert not any(f"-{other.pid}-" in file.path for file in found.evidence)


@pytest.mark.parametrize(
    ("program", "text", "cause"),
    [
        ("while (true);", "1 of 1 worker processes stands in code of its own, running, unchanged", "cpu"),
        ("setInterval(() => {}, 1000);", "none of", None),
    ],
    ids=["blocked", "idle"],
)
def test_a_blocked_loop_is_told_from_an_idle_one(
    tmp_path: pathlib.Path, program: str, text: str, cause: str | None
) -> None:
    """Node: no function is named, but whether its loop runs."""
    with subprocess.Popen(["node", "-e", program]) as process:
        try:
            waiting.wait_until(
                lambda: _dumped(tmp_path, process.pid).text.startswith(text),
                within=worlds.WITHIN,
                what=text,
            )
            found = _dumped(tmp_path, process.pid)
        finally:
            process.kill()
    assert cause == found.facts["cause"]


def test_a_jvm_that_must_not_be_asked_is_told_as_the_kernel_sees_it(
    tmp_path: pathlib.Path, classes: pathlib.Path
) -> None:
    """The refusal and its reason stay on record, and the next best thing is kept."""
    with jvms.running(classes, "-XX:+DisableAttachMechanism") as pid:

        def told() -> outcomes.Succeeded | None:
            found = _dumped(tmp_path, pid)
            summary = (tmp_path / found.evidence[-1].path).read_text()
            # Before it is two seconds old, that is the reason.
            return found if "-XX:+DisableAttachMechanism" in summary else None

        found = waiting.wait_until(told, within=worlds.WITHIN, what="the reason")
        assert psutil.pid_exists(pid)
    assert 4 == len(found.evidence)
