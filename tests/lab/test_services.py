"""The service is well until it is told to be sick, and then sick in exactly one way."""

from __future__ import annotations

import datetime as dt
import pathlib
import socket
import subprocess
import sys
import threading

import pytest

from lastack.lab import messages, services
from tests import waiting
from tests.lab import patients

SOON = dt.timedelta(seconds=20)


def test_a_well_service_answers_both_paths_and_nothing_else(tmp_path: pathlib.Path) -> None:
    """/work and /health are served by the same workers; a path that is not there is an answer too."""
    with patients.running(tmp_path) as patient:
        assert [None, None, "an error"] == [patient.ask(path) for path in ("/work", "/health", "/nowhere")]
        assert [(0, 50)] == patients.sockets(patient.port, "state", "listening")


def test_without_a_chosen_disease_the_signal_changes_nothing(tmp_path: pathlib.Path) -> None:
    """SIGUSR1 brings what --disease named, and nothing by default."""
    with patients.running(tmp_path) as patient:
        patient.process.send_signal(services.FALL_SICK)
        assert [None] * 20 == [patient.ask("/work") for _ in range(20)]


def test_a_stalled_service_runs_out_of_workers_and_accepts_nobody(tmp_path: pathlib.Path) -> None:
    """Each request takes one worker for ever; then /health waits in the queue as well."""
    with patients.running(tmp_path, "--workers", "3", "--disease", "accept-stall") as patient:
        fall_sick(patient, requests=3)
        assert "timed out" == patient.ask("/health", 0.5)
        depth = waiting.wait_until(
            lambda: patients.sockets(patient.port, "state", "listening")[0][0], within=SOON, what="a queue"
        )
        assert depth >= 1


def test_a_dump_of_a_stalled_service_names_what_its_workers_wait_for(tmp_path: pathlib.Path) -> None:
    """The frame is in every worker's stack and in the one that holds the lock there is none of it."""
    with patients.running(tmp_path, "--workers", "3", "--disease", "accept-stall") as patient:
        fall_sick(patient, requests=3)
        py_spy = pathlib.Path(sys.executable).with_name("py-spy")
        dump = subprocess.run(
            [py_spy, "dump", "--nonblocking", "--pid", str(patient.process.pid)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        stacks = {stack.split('"')[1]: stack for stack in dump.split("Thread ")[1:]}
        stuck = sorted(name for name, stack in stacks.items() if "wait_for_inventory_lock" in stack)
        assert ["worker-1", "worker-2", "worker-3"] == stuck
        assert "take_stock" in stacks["stock-taking"]


def test_a_leaking_service_answers_everybody_and_closes_nobody(tmp_path: pathlib.Path) -> None:
    """The client's end of file was read: Recv-Q is 0, and the sockets stay in CLOSE_WAIT."""
    with patients.running(tmp_path, "--disease", "fd-leak") as patient:
        patient.process.send_signal(services.FALL_SICK)
        waiting.wait_until(
            lambda: patient.ask("/work") or patients.sockets(patient.port, "state", "close-wait"),
            within=SOON,
            what="the first leaked socket",
        )
        before = len(patients.sockets(patient.port, "state", "close-wait"))
        assert [None] * 10 == [patient.ask("/work") for _ in range(10)]
        held = [(0, 0)] * (before + 10)
        waiting.wait_until(
            lambda: patients.sockets(patient.port, "state", "close-wait") == held,
            within=SOON,
            what="the leak",
        )


def test_a_stalled_service_still_ends_at_once(tmp_path: pathlib.Path) -> None:
    """SIGTERM is taken by the main thread, which never waits for a worker."""
    with patients.running(tmp_path, "--workers", "2", "--disease", "accept-stall") as patient:
        fall_sick(patient, requests=2)
        patient.process.terminate()
        assert 0 == patient.process.wait(5)


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (b"GET /work HTTP/1.1\r\nHost: x\r\n\r\n", "/work"),
        (b"POST /work HTTP/1.1\r\n\r\n", None),
        (b"nonsense\r\n\r\n", None),
        (b"GET /cut-off", None),
        (b"", None),
        (b"x" * 20_000, None),
    ],
)
def test_only_a_whole_get_is_a_request(request_bytes: bytes, expected: str | None) -> None:
    """Whatever a client sends, a worker comes back to accept()."""

    def send() -> None:
        theirs.sendall(request_bytes)
        theirs.shutdown(socket.SHUT_WR)

    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=send)
        sender.start()
        assert expected == messages.read_path(ours)
        sender.join()


def fall_sick(patient: patients.Patient, *, requests: int) -> None:
    """Bring the stall, and let it take every worker."""
    patient.process.send_signal(services.FALL_SICK)
    waiting.wait_until(
        lambda: patient.ask("/work", 0.3) == "timed out", within=SOON, what="the first stuck worker"
    )
    for _ in range(requests - 1):
        patient.ask("/work", 0.3)
    waiting.wait_until(
        lambda: patient.ask("/health", 0.3) == "timed out", within=SOON, what="the last stuck worker"
    )
