"""What a server and a condition are: plain values. Written by servers/*, conditions; read by rooms, runs, tables.

What every handler of a server does, by URL path, so that conditions can name it without knowing the server:

    /ok          answers "ok" at once
    /work        occupies a worker for WORK_SECONDS, then answers (an event loop: blocks it)
    /slow        occupies a worker for SLOW_SECONDS, then answers (an event loop: blocks it)
    /lock        waits for a lock that is never released
    /downstream  connects to 127.0.0.1:DOWNSTREAM_PORT, sends a line, and reads: the answer never comes
    /sleep       sleeps for an hour
    /cpu         computes for ever
    /leak        takes the connection over (101, upgrade), reads it to its end in the background, never closes it
    /hoard       opens a file and never closes it, then answers
    /fetch       connects to 127.0.0.1:DOWNSTREAM_PORT, reads the whole answer, never closes that connection, answers
    /longpoll    answers after POLL_SECONDS (/longpoll?seconds=N: after N)
    /download    64 MiB of zeros
    /stream      a line every half second for two minutes, also to a client that has shut down its sending half

Handlers wait the way that is natural to the server and wrong: a blocking call, also in an event loop. No handler
looks at whether its client is still there.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Literal

PORT = 8000
DOWNSTREAM_PORT = 7000
WORK_SECONDS = 0.02
SLOW_SECONDS = 1.0
POLL_SECONDS = 20
HANDLER_STALL_RIPENS_SECONDS = 36
"""An accepted connection has to be half a minute old before anybody may call its handler stuck."""
_MOST_SPINNING = 12
"""More threads that compute for ever leave nothing of two cores to whoever looks."""

Handler = Literal[
    "ok", "work", "slow", "lock", "downstream", "sleep", "cpu", "leak", "hoard", "fetch", "longpoll", "download",
    "stream",
]  # fmt: skip
Downstream = Literal["silent", "brief", "deaf", "gone"]
DISEASES = frozenset(
    {
        *("fd-exhaustion", "accept-stall", "overload", "backlog-too-small", "handler-stall", "fd-leak"),
        *("syn-pressure", "outbound-leak", "not-listening"),
    }
)


@dataclasses.dataclass(frozen=True, slots=True)
class Expectation:
    """What `lastack diagnose` may say about the server's listener (or its process) without being wrong.

    `codes` are right. `unknown` is allowed as well when it names at least one signal of `unless_missing`. `causes`
    are right where a cause is given; `unknown` always is. `peer` is the peer that a downstream cause has to name.
    `beside` may be said about other listeners of the namespace, about which nothing is wrong otherwise.
    """

    codes: frozenset[str]
    unless_missing: frozenset[str] = frozenset()
    causes: frozenset[str] = frozenset()
    peer: str | None = None
    beside: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """A server at its default settings.

    In `command`, `tls` (arguments added for TLS), `environment` and `configuration` (files by name, written into
    {folder}) the words {port}, {certificate}, {key} and {folder} (an empty folder of this run) are filled in.
    `build` makes what `command` starts, once, and raises NotBuilt with what to install. `stalls_as` is what blocked
    handlers lead to: accept-stall where those who accept are those who are blocked, handler-stall where others go
    on accepting. `workers` requests at once block it. `load` makes it about 80 % busy: clients, their pause between
    two requests in seconds, and the handler. `overload` is a rate of /slow requests per second that it cannot keep
    up with. `burst` is how many connections at once, of each of two clients, it cannot accept as fast as they come.
    `polls` are how many of its workers may wait for news at once, `files` is the soft limit of open files
    that it needs and can exhaust within half a minute. `behind` is the downstream that it needs at all times.
    `otherwise` overrides what a condition expects, by its name.
    """

    name: str
    command: tuple[str, ...]
    process: str
    """The name of its process, as in /proc/PID/comm."""
    address: str
    """As `lastack diagnose` shows it."""
    backlog: int
    handlers: frozenset[Handler]
    stalls_as: str
    workers: int
    load: tuple[int, float, Handler]
    overload: float
    burst: int = 30
    polls: int = 10
    files: int = 64
    tls: tuple[str, ...] = ()
    working_folder: pathlib.Path | None = None
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    configuration: Mapping[str, str] = dataclasses.field(default_factory=dict)
    behind: Downstream | None = None
    build: Callable[[], None] | None = None
    otherwise: Mapping[str, Expectation] = dataclasses.field(default_factory=dict)
    in_ci: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """Something that happens to a server, healthy or not.

    `clients` are command lines for clients.py, in which {polls}, {load_clients}, {load_pause}, {load_path}, {burst}
    and {overload} of the server are filled in; {stuck} is enough requests to block all its workers and leave some
    over, {spinning} as many as a machine bears. It is ripe `ripens_seconds` after they began. `expects` without
    codes is: what blocked handlers of the server lead to (Server.stalls_as). `sysctls` are of the namespace,
    set before the server starts; `scarce_files` starts it with its own low limit of open files. `heavy` keeps a
    core busy and runs alone; `patient` needs minutes to ripen and is left out of CI. Where it is `served`, a
    client without an answer makes the run void: the server was not healthy. Where it `overflows`, a kernel that
    dropped nothing in the meantime makes it void: the server was not sick. `only` names the servers that can
    be in it, empty is all.
    """

    name: str
    story: str
    clients: tuple[str, ...]
    ripens_seconds: float
    needs: frozenset[Handler]
    expects: Expectation
    downstream: Downstream | None = None
    sysctls: Mapping[str, int] = dataclasses.field(default_factory=dict)
    scarce_files: bool = False
    tls: bool = False
    heavy: bool = False
    patient: bool = False
    served: bool = False
    overflows: bool = False
    only: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """One server in one condition: a cell of the table."""

    server: Server
    condition: Condition

    @property
    def name(self) -> str:
        """As in the table, in file names and on the command line."""
        return f"{self.server.name}-{self.condition.name}"

    @property
    def expects(self) -> Expectation:
        """What may be said here."""
        special = self.server.otherwise.get(self.condition.name)
        if special is not None:
            return special
        expects = self.condition.expects
        if self._stalls:
            return dataclasses.replace(expects, codes=frozenset({self.server.stalls_as}))
        return expects

    @property
    def sick(self) -> bool:
        """Whether something is wrong in this cell: a condition may be harmless to one server and not to another."""
        return bool(self.expects.codes & DISEASES)

    @property
    def downstream(self) -> Downstream | None:
        """Who answers on DOWNSTREAM_PORT, or does not."""
        return self.condition.downstream or self.server.behind

    @property
    def ripens_seconds(self) -> float:
        """From the first client to the diagnosis."""
        if self._stalls and self.server.stalls_as == "handler-stall":
            return max(self.condition.ripens_seconds, HANDLER_STALL_RIPENS_SECONDS)
        return self.condition.ripens_seconds

    @property
    def clients(self) -> tuple[list[str], ...]:
        """The command lines of the clients, filled in."""
        clients, pause, path = self.server.load
        words = {
            "stuck": self.server.workers + 5,
            "spinning": min(self.server.workers + 5, _MOST_SPINNING),
            "polls": self.server.polls,
            "load_clients": clients,
            "load_pause": pause,
            "load_path": path,
            "overload": self.server.overload,
            "burst": self.server.burst,
        }
        return tuple([word.format(**words) for word in line.split()] for line in self.condition.clients)

    @property
    def _stalls(self) -> bool:
        """Whether what is seen depends on who accepts while handlers are blocked."""
        return not self.condition.expects.codes


class NotBuilt(Exception):
    """A server cannot be made here; the message says what was tried and what to install."""
