"""Runs one scenario: the service, its disease and its clients, all gone when the block ends. For cli.lab and tests.

The process must be in a network namespace of its own (lab.namespaces) before.
"""

import contextlib
import dataclasses
import pathlib
import subprocess
import time
from collections.abc import Iterator

from lastack import errors
from lastack.lab import clients, lifelines, loads, namespaces, scenarios, services

_READY_SECONDS = 10.0
_LOOK_EVERY_SECONDS = 0.02


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """A scenario that runs: `pid` is the service's."""

    scenario: scenarios.Scenario
    pid: int
    counts_file: pathlib.Path
    service: "subprocess.Popen[bytes]"

    def counts(self) -> loads.Count:
        """What became of the requests so far."""
        try:
            return read_counts(self.counts_file)[self.scenario.load.member]
        except (FileNotFoundError, KeyError):
            return loads.Count()

    @property
    def alive(self) -> bool:
        """Whether the service still runs."""
        return self.service.poll() is None


@contextlib.contextmanager
def started(scenario: scenarios.Scenario, folder: pathlib.Path) -> Iterator[Running]:
    """The scenario, running; `folder` gets the logs and the counters. Raises NotReachable, NotPermitted."""
    setting, port = scenario.setting, scenario.load.port
    if setting.somaxconn is not None:
        namespaces.set_somaxconn(setting.somaxconn)
    log, counts = folder / "service.log", folder / "counts.json"
    with lifelines.child("lastack.lab.services", setting.arguments(port), said=log) as service:
        _wait_until_it_answers(service, port, log)
        if setting.disease != "none":
            service.send_signal(services.FALL_SICK)
        plan = ("--loads", loads.to_argument((scenario.load,)), "--counts", str(counts))
        with lifelines.child("lastack.lab.clients", plan, said=folder / "clients.log"):
            yield Running(scenario, service.pid, counts, service)


def read_counts(path: pathlib.Path) -> dict[str, loads.Count]:
    """The counters by member. Raises FileNotFoundError before the clients wrote them first."""
    return loads.counts_from_json(path.read_text(encoding="utf-8"))


def _wait_until_it_answers(service: "subprocess.Popen[bytes]", port: int, log: pathlib.Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while (failure := clients.ask(port, "/health", 1.0)) is not None:
        if service.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(encoding="utf-8", errors="replace").strip()
            raise errors.NotReachable(f"the lab's service does not answer on port {port} ({failure}): {said}")
        time.sleep(_LOOK_EVERY_SECONDS)
