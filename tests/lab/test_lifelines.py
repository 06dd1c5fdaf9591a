"""Nothing outlives the process that started it, however that ends."""

from __future__ import annotations

import datetime as dt
import os
import pathlib
import signal
import subprocess
import sys

from tests import waiting
from tests.lab import leftovers, patients

SOON = dt.timedelta(seconds=20)

PARENT = """
import pathlib, sys, time
from lastack.lab import lifelines
folder = pathlib.Path(sys.argv[1])
with lifelines.child("lastack.lab.services", ["--port", sys.argv[2]], said=folder / "log"):
    print("started", flush=True)
    time.sleep(600)
"""


def test_a_killed_parent_takes_its_children_along(tmp_path: pathlib.Path) -> None:
    """SIGKILL leaves no time to clean up; the kernel does it."""
    mark, environment = leftovers.marked_environment()
    command = [sys.executable, "-c", PARENT, str(tmp_path), str(patients.free_port())]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert b"started\n" == parent.stdout.readline()
        log = tmp_path / "log"
        waiting.wait_until(
            lambda: b"listens" in log.read_bytes() or None, within=SOON, what="the child's first words"
        )
        assert 2 == len(leftovers.processes(mark))
        parent.kill()
    waiting.wait_until(lambda: not leftovers.processes(mark), within=SOON, what="the child's end")


def test_a_child_that_does_not_listen_to_sigterm_is_killed(tmp_path: pathlib.Path) -> None:
    """Patience has an end, also with a stopped process."""
    with patients.running(tmp_path) as patient:
        os.kill(patient.process.pid, signal.SIGSTOP)
    assert -signal.SIGKILL == patient.process.returncode
