"""Goroutines of a real Go program by the real delve: only with leave, and the program is as it was afterwards."""

from __future__ import annotations

import datetime as dt
import os
import pathlib
import random
import re
import shutil
import subprocess

import psutil
import pytest

from lastack import errors
from lastack.executors.thread_dump import groups
from lastack.executors.thread_dump.golang import delve
from tests.executors import series_of, worlds
from tests.executors.test_go import REQUESTS, build, stuck

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("delve")]

FOLDER = pathlib.Path(__file__).parents[2] / "build" / "delve"
SECONDS = dt.timedelta(seconds=10)
RUNS = {psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING}


def version_for(go: str) -> str:
    """The delve that knows this Go: an older one refuses newer programs."""
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"go1\.(\d+)", said)
    assert found is not None, said
    return "v1.26.0" if int(found[1]) >= 24 else "v1.20.2"


@pytest.fixture(scope="module")
def path() -> str:
    """A PATH on which delve is; it is compiled on first use."""
    go = shutil.which("go")
    assert go is not None, "these tests need Go: apt-get install golang-go"
    program = FOLDER / "dlv"
    if not program.exists():
        wanted = f"github.com/go-delve/delve/cmd/dlv@{version_for(go)}"
        subprocess.run([go, "install", wanted], env={**os.environ, "GOBIN": str(FOLDER)}, check=True)
    return f"{FOLDER}:{os.environ['PATH']}"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """It does not serve its goroutines."""
    return build(tmp_path_factory.mktemp("unprofiled"), profiled=False)


def code_of(pid: int, program: pathlib.Path) -> tuple[bytes, bytes]:
    """What can be run of the program in the process, and in its file."""
    row = next(row for row in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines() if " r-xp " in row)
    start, end = (int(word, 16) for word in row.split()[0].split("-"))
    offset = int(row.split()[2], 16)
    with pathlib.Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        memory.seek(start)
        return memory.read(end - start), program.read_bytes()[offset : offset + end - start]


def as_found(pid: int, program: pathlib.Path) -> bool:
    """Nothing holds it, and its code is its own."""
    there, meant = code_of(pid, program)
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return there[: len(meant)] == meant and "TracerPid:\t0" in status and psutil.Process(pid).status() in RUNS


def test_the_stuck_handler_is_named_with_leave_only(
    program: pathlib.Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program without net/http/pprof; without leave it is told as the kernel sees it."""
    monkeypatch.setenv("PATH", path)
    with stuck(program, "/lock") as patient:
        with_leave = series_of.taken(patient.pid, native_stacks=True, max_pause_ms=10_000)
        without = series_of.taken(patient.pid)
        assert as_found(patient.pid, program)
    found = groups.find(with_leave.rounds)
    wanted = (
        f"{REQUESTS} of {REQUESTS} worker threads stand in main.waitForLock (main.go:13) waiting for a lock"
    )
    assert found.text.startswith(wanted), (found.text, with_leave.missing)
    assert "lock" == found.meaning.cause.value
    assert "waitForLock" not in str(without.rounds)


def test_a_stop_beyond_max_pause_is_ended(
    program: pathlib.Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's view is taken instead, and the sentence says what to do."""
    monkeypatch.setenv("PATH", path)
    with stuck(program, "/lock") as patient:
        taken = series_of.taken(patient.pid, native_stacks=True, max_pause_ms=200)
        assert as_found(patient.pid, program)
    problem = taken.missing[patient.pid]
    assert "longer than 200 ms (maxPause); the stop was ended, and it runs on" in problem.message
    assert "raise maxPause" in (problem.fix or "")
    assert "waitForLock" not in str(taken.rounds)


def test_a_dump_that_is_ended_at_any_time_leaves_nothing(
    program: pathlib.Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No stop, and none of the breakpoints that delve puts where a Go program dies."""
    monkeypatch.setenv("PATH", path)
    with stuck(program, "/lock") as patient:
        for _ in range(8):
            debugging = delve.begin(patient.pid, SECONDS)
            debugging.wait(dt.timedelta(seconds=random.uniform(0.02, 2.5)))
            debugging.close()
            assert as_found(patient.pid, program)


def test_breakpoints_of_a_delve_that_was_killed_are_taken_back(program: pathlib.Path) -> None:
    """Two of them, as it would leave them."""
    with stuck(program, "/lock") as patient:
        row = next(
            row
            for row in pathlib.Path(f"/proc/{patient.pid}/maps").read_text().splitlines()
            if " r-xp " in row
        )
        start = int(row.split("-")[0], 16)
        with pathlib.Path(f"/proc/{patient.pid}/mem").open("r+b", buffering=0) as memory:
            for place in (64, 4096):
                memory.seek(start + place)
                memory.write(b"\xcc")
        assert not as_found(patient.pid, program)
        assert 2 == delve.take_back_breakpoints(patient.pid)
        assert as_found(patient.pid, program)


def test_without_delve_the_fix_is_named(
    program: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is stopped."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with stuck(program, "/lock") as patient:
        with pytest.raises(errors.Unsupported, match="delve is not installed") as problem:
            delve.begin(patient.pid, worlds.WITHIN)
        assert "go install github.com/go-delve/delve" in (problem.value.fix or "")
