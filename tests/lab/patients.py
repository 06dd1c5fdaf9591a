"""A lab service on loopback of this machine, at a port of its own, for one test."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import pathlib
import socket
import subprocess
from collections.abc import Iterator

from lastack.lab import clients, lifelines
from tests import waiting


@dataclasses.dataclass(frozen=True, slots=True)
class Patient:
    """A running service."""

    port: int
    process: subprocess.Popen[bytes]

    def ask(self, path: str, patience_seconds: float = 2.0) -> str | None:
        """One request; None when it was answered with 200."""
        return clients.ask(self.port, path, patience_seconds)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(folder: pathlib.Path, *options: str) -> Iterator[Patient]:
    """The service, answering."""
    port, said = free_port(), folder / "service.log"
    with lifelines.child("lastack.lab.services", ("--port", str(port), *options), said=said) as process:
        patient = Patient(port, process)
        waiting.wait_until(
            lambda: patient.ask("/health", 0.5) is None, within=dt.timedelta(seconds=20), what="the service"
        )
        yield patient


@contextlib.contextmanager
def upstream(folder: pathlib.Path, port: int, manner: str) -> Iterator[None]:
    """The service behind the service, listening."""
    options = ("--port", str(port), "--manner", manner)
    with lifelines.child("lastack.lab.upstreams", options, said=folder / "upstream.log"):
        waiting.wait_until(
            lambda: listed("state", "listening", "sport", "=", f":{port}"),
            within=dt.timedelta(seconds=20),
            what="the upstream",
        )
        yield


def sockets(port: int, *filters: str) -> list[tuple[int, int]]:
    """(Recv-Q, Send-Q) of every TCP socket with this local port, by ss."""
    columns = [line.split() for line in listed(*filters, f"sport = :{port}")]
    # With a `state` filter ss prints no State column.
    first = 0 if filters else 1
    return [(int(words[first]), int(words[first + 1])) for words in columns]


def listed(*filters: str) -> list[str]:
    """The lines of ss about TCP sockets."""
    command = ["ss", "-Htan", *filters]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
