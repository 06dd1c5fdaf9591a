"""Runs one scenario: the service, its disease and its clients, all gone when the block ends. For cli.lab and tests.

The process must be in a network namespace of its own (lab.namespaces) before.
"""

import contextlib
import dataclasses
import pathlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

from lastack import errors
from lastack.lab import clients, lifelines, loads, namespaces, plans, services

_READY_SECONDS = 60.0
_LOOK_EVERY_SECONDS = 0.02


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """A scenario that runs: `pid` is the service's."""

    scenario: plans.Scenario
    pid: int
    counts_file: pathlib.Path
    processes: tuple["subprocess.Popen[bytes]", ...]

    def counts(self) -> loads.Count:
        """What became of all clients' requests so far."""
        try:
            found = read_counts(self.counts_file).values()
        except FileNotFoundError:
            return loads.Count()
        return loads.Count(
            sum(one.sent for one in found),
            sum(one.answered for one in found),
            sum(one.failed for one in found),
        )

    @property
    def alive(self) -> bool:
        """Whether everything that was started still runs."""
        return all(process.poll() is None for process in self.processes)


@contextlib.contextmanager
def started(scenario: plans.Scenario, folder: pathlib.Path) -> Iterator[Running]:
    """The scenario, running; `folder` gets the logs and the counters. Raises NotReachable, NotPermitted."""
    setting, port = scenario.setting, scenario.loads[0].port
    for name, value in setting.sysctls:
        namespaces.set_sysctl(name, value)
    counts = folder / "counts.json"
    with contextlib.ExitStack() as stack:

        def start(module: str, arguments: tuple[str, ...]) -> "tuple[subprocess.Popen[bytes], pathlib.Path]":
            log = folder / f"{module.rpartition('.')[2]}.log"
            return stack.enter_context(lifelines.child(module, arguments, said=log)), log

        processes = []
        for companion in scenario.companions:
            if companion.listens is not None:
                process, log = start(companion.module, companion.arguments)
                _wait_for(process, _accepting(companion.listens), log)
                processes.append(process)
        service, log = start("lastack.lab.services", setting.arguments(port))
        _wait_for(service, lambda: clients.ask(port, "/health", 1.0), log)
        if setting.disease != "none":
            service.send_signal(services.FALL_SICK)
        processes.extend(
            start(companion.module, companion.arguments)[0]
            for companion in scenario.companions
            if companion.listens is None
        )
        plan = ("--loads", loads.to_argument(scenario.loads), "--counts", str(counts))
        processes.append(start("lastack.lab.clients", plan)[0])
        yield Running(scenario, service.pid, counts, (service, *processes))


def read_counts(path: pathlib.Path) -> dict[str, loads.Count]:
    """The counters by member. Raises FileNotFoundError before the clients wrote them first."""
    return loads.counts_from_json(path.read_text(encoding="utf-8"))


def _accepting(port: int) -> Callable[[], str | None]:
    def failure() -> str | None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1.0):
                return None
        except OSError as problem:
            return str(problem)

    return failure


def _wait_for(
    process: "subprocess.Popen[bytes]", failure_of: Callable[[], str | None], log: pathlib.Path
) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while (failure := failure_of()) is not None:
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(encoding="utf-8", errors="replace").strip()
            raise errors.NotReachable(f"the lab's {log.stem} do not answer ({failure}): {said}")
        time.sleep(_LOOK_EVERY_SECONDS)
