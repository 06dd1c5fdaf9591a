"""A Node.js whose stack is read runs on, however its stop ends; and which ones are left alone."""

from __future__ import annotations

import datetime as dt
import os
import pathlib
import random
import signal

import psutil
import pytest

from lastack import errors
from tests import waiting
from tests.executors import natives, nodes, series_of, worlds

SPINS = "function spin() { for (;;); }\nconsole.log('ready');\nspin();\n"


def refused(pid: int, max_pause: dt.timedelta = nodes.PAUSE) -> errors.WorldError:
    """Why there is none."""
    with pytest.raises(errors.WorldError) as problem:
        nodes.looked(pid, max_pause)
    return problem.value


class TestTheProcessRunsOn:
    """However the stop ends."""

    def test_a_stop_beyond_max_pause_is_ended(self, tmp_path: pathlib.Path) -> None:
        """The kernel ends who reads; the sentence says what to do."""
        with nodes.running(tmp_path, SPINS) as patient:
            problem = refused(patient.pid, dt.timedelta(microseconds=20))
            assert "longer than 0.02 ms (maxPause); the stop was ended, and it runs on" in problem.message
            assert patient.state in nodes.GOES_ON

    def test_a_dump_that_is_ended_at_any_time(self, tmp_path: pathlib.Path) -> None:
        """Nothing is on its way to the process that could stop it later."""
        with nodes.running(tmp_path, SPINS) as patient:
            for _ in range(40):
                looking = nodes.begun(patient.pid)
                looking.wait(dt.timedelta(milliseconds=random.uniform(10, 80)))
                looking.close()
                assert patient.state in nodes.GOES_ON
            status = pathlib.Path(f"/proc/{patient.pid}/status").read_text()
            assert "TracerPid:\t0" in status

    def test_a_signal_of_its_own_arrives(self, tmp_path: pathlib.Path) -> None:
        """Also when it came while the thread stood."""
        source = (
            "let many = 0;\nprocess.on('SIGUSR2', () => { many += 1; });\n"
            "function work() { const end = Date.now() + 20; while (Date.now() < end); setImmediate(work); }\n"
            "setInterval(() => { if (many === 50) console.log('all'); }, 20);\nconsole.log('ready');\nwork();\n"
        )
        with nodes.running(tmp_path, source) as patient:
            for _ in range(50):
                looking = nodes.begun(patient.pid)
                os.kill(patient.pid, signal.SIGUSR2)
                waiting.wait_until(
                    lambda: not pending(patient.pid, signal.SIGUSR2), within=worlds.WITHIN, what="the signal"
                )
                looking.close()
            assert "all\n" == patient.output.readline()


def pending(pid: int, number: int) -> bool:
    """Whether this signal waits to be taken."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    masks = (int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd", "ShdPnd")))
    return any(mask >> (number - 1) & 1 for mask in masks)


class TestWhatIsLeftAlone:
    """Before anything is done."""

    def test_one_that_is_stopped(self, tmp_path: pathlib.Path) -> None:
        """It stays so."""
        with nodes.running(tmp_path, SPINS) as patient:
            os.kill(patient.pid, signal.SIGSTOP)
            waiting.wait_until(
                lambda: patient.state == psutil.STATUS_STOPPED, within=worlds.WITHIN, what="the stop"
            )
            assert "is stopped (SIGSTOP)" in refused(patient.pid).message
            assert psutil.STATUS_STOPPED == patient.state

    def test_one_at_which_a_debugger_is(self, tmp_path: pathlib.Path) -> None:
        """The debugger is named."""
        with nodes.running(tmp_path, SPINS) as patient, natives.traced(patient.pid) as tracer:
            assert f"is traced by process {tracer} already" in refused(patient.pid).message

    def test_one_that_began_just_now(self, tmp_path: pathlib.Path) -> None:
        """It has not loaded its program yet, and is told as the kernel sees it."""
        with nodes.running(tmp_path, SPINS) as patient:
            taken = series_of.taken(patient.pid)
        assert "is younger than 2 s and still loads its program" in taken.missing[patient.pid].message

    def test_one_that_has_ended(self, tmp_path: pathlib.Path) -> None:
        """Nothing is there to be told."""
        with nodes.running(tmp_path, SPINS) as patient:
            os.kill(patient.pid, signal.SIGKILL)
            waiting.wait_until(
                lambda: patient.state == psutil.STATUS_ZOMBIE, within=worlds.WITHIN, what="its end"
            )
            assert "has ended" in refused(patient.pid).message
