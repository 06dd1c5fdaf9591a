"""What a scenario of the lab is made of: values.

Filled in by lab.queue_scenarios and lab.socket_scenarios, started by lab.running, shown by cli.lab.
"""

import dataclasses
import enum

from lastack.lab import loads

PORT = 8080
UPSTREAM_PORT = 9090
MEMBER = "device-api"

QUEUE_LOOK = "{enter} ss -ltn 'sport = :8080'"
CLOSE_WAITS_LOOK = "{enter} ss -tn state close-wait 'sport = :8080'"


class Name(enum.StrEnum):
    """What `lastack lab` takes, in the order in which diagnoses precede each other."""

    FD_EXHAUSTION = "fd-exhaustion"
    ACCEPT_STALL = "accept-stall"
    OVERLOAD = "overload"
    BACKLOG_TOO_SMALL = "backlog-too-small"
    HANDLER_STALL = "handler-stall"
    FD_LEAK = "fd-leak"
    SYN_PRESSURE = "syn-pressure"
    SYN_PRESSURE_COOKIES = "syn-pressure-cookies"
    OUTBOUND_LEAK = "outbound-leak"
    HALF_CLOSE_IN_USE = "half-close-in-use"
    HEALTHY = "healthy"

    @property
    def code(self) -> str:
        """The code with which `lastack diagnose` names it."""
        return "syn-pressure" if self is Name.SYN_PRESSURE_COOKIES else self.value


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """How the service is started; `sysctls` (name, value) are written before it listens."""

    workers: int = 8
    """Threads that accept and serve; 0 is one thread that accepts, and a new one for each connection."""
    backlog: int = 50
    work_ms: int = 2
    disease: str = "none"
    file_limit: int | None = None
    upstream: int | None = None
    """The port of the other service that this one asks."""
    sysctls: tuple[tuple[str, int], ...] = ()

    def arguments(self, port: int) -> tuple[str, ...]:
        """The service's command line."""
        return (
            *("--port", str(port), "--workers", str(self.workers), "--backlog", str(self.backlog)),
            *("--work-ms", str(self.work_ms), "--disease", self.disease),
            *(() if self.file_limit is None else ("--file-limit", str(self.file_limit))),
            *(() if self.upstream is None else ("--upstream", str(self.upstream))),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Companion:
    """A further process of the scenario, `python -m MODULE ARGUMENTS`.

    With `listens` it is started before the service, which is awaited to find that port open.
    """

    module: str
    arguments: tuple[str, ...]
    listens: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """A shell command for another terminal, and what it shows; `{enter}` and `{pid}` are filled in."""

    command: str
    shows: str


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    """One disease, or none. `story` is told at the start, `named` says when `diagnose` has its answer and why."""

    name: Name
    title: str
    story: tuple[str, ...]
    setting: Setting
    loads: tuple[loads.Load, ...]
    """The clients; the first asks for what the service is there for."""
    named: str
    looks: tuple[Look, ...]
    companions: tuple[Companion, ...] = ()
