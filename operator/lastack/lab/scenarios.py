"""The closed set of things that a lab can show: what to start, what to look at, which commands show it by hand.

Values only; lab.running starts them. Called by cli.lab and tests.
"""

import dataclasses
import enum

from lastack.lab import loads

PORT = 8080
_MEMBER = "device-api"


class Name(enum.StrEnum):
    """What `lastack lab` takes."""

    ACCEPT_STALL = "accept-stall"
    BACKLOG_TOO_SMALL = "backlog-too-small"
    FD_LEAK = "fd-leak"
    HEALTHY = "healthy"


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """How the service is started; `somaxconn` is written before it listens, None leaves the namespace's own."""

    workers: int = 8
    backlog: int = 50
    work_ms: int = 2
    disease: str = "none"
    somaxconn: int | None = None

    def arguments(self, port: int) -> tuple[str, ...]:
        """The service's command line."""
        return (
            *("--port", str(port), "--workers", str(self.workers), "--backlog", str(self.backlog)),
            *("--work-ms", str(self.work_ms), "--disease", self.disease),
        )


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
    load: loads.Load
    named: str
    looks: tuple[Look, ...]


_QUEUE = "{enter} ss -ltn 'sport = :8080'"
_CLOSE_WAITS = "{enter} ss -tn state close-wait 'sport = :8080'"

SCENARIOS: dict[Name, Scenario] = {
    Name.ACCEPT_STALL: Scenario(
        Name.ACCEPT_STALL,
        "the workers run out, and nobody accepts",
        (
            (
                "A service with 8 workers takes a lock for each request. Something in it has taken that lock and "
                "never gives it back: every worker that serves a request waits for ever, and after 8 requests "
                "nobody is left who would call accept()."
            ),
            (
                "The kernel goes on to finish handshakes, so that clients connect and then wait for an answer; they "
                "give up after 2 s. What they leave behind is a CLOSE_WAIT socket each, which no process owns yet. "
                "The queue takes 50 and one more, then new connections are dropped."
            ),
        ),
        Setting(disease="accept-stall"),
        loads.Load(_MEMBER, PORT, clients=8),
        "after about 15 s: the head of the queue must have waited for 10 s",
        (
            Look(_QUEUE, "Recv-Q is the depth of the accept queue, Send-Q its limit: 51 of 50 in the end"),
            Look(
                _CLOSE_WAITS, "8 that a worker holds, the rest unaccepted; Recv-Q is the unread request + 1"
            ),
            Look("py-spy dump --pid {pid}", "8 workers in wait_for_inventory_lock"),
        ),
    ),
    Name.BACKLOG_TOO_SMALL: Scenario(
        Name.BACKLOG_TOO_SMALL,
        "bursts overflow a queue that is emptied every time",
        (
            (
                "A service asks listen() for a backlog of 256, but net.core.somaxconn of its network namespace is 16, "
                "and the smaller of the two counts. Its handlers are quick. Every 2 s come 80 clients at once: the "
                "queue overflows and the kernel drops what does not fit, then the queue is emptied in a moment."
            ),
            "A client whose SYN was dropped tries again after 1 s: people see a service that is slow now and then.",
        ),
        Setting(workers=4, backlog=256, work_ms=15, somaxconn=16),
        loads.Load(_MEMBER, PORT, clients=2, burst=80, patience_ms=5000),
        "at once: its window of 5 s holds two bursts",
        (
            Look(
                _QUEUE, "Send-Q 16 is what listen() got; Recv-Q is 0 most of the time: a gauge misses bursts"
            ),
            Look(
                "{enter} nstat -az TcpExtListenOverflows TcpExtListenDrops", "the counters do not miss them"
            ),
            Look("{enter} cat /proc/sys/net/core/somaxconn", "16, which the service's backlog of 256 met"),
        ),
    ),
    Name.FD_LEAK: Scenario(
        Name.FD_LEAK,
        "every client leaves a connection open behind it",
        (
            (
                "A service answers, reads the client's end of file, and then keeps the connection: it was put into a "
                "list that nobody ever empties. Every client gets its answer. Two connections a second stay in "
                "CLOSE_WAIT for ever, until the process may open no more files."
            ),
            (
                "Young connections of this kind may still be closed by somebody, so the diagnosis starts at low "
                "confidence, on which nothing disruptive is ever done; it grows when the oldest is 5 minutes old."
            ),
        ),
        Setting(disease="fd-leak"),
        loads.Load(_MEMBER, PORT, clients=1, think_ms=480),
        "after about 35 s: 20 held connections whose ages spread over 30 s",
        (
            Look(_CLOSE_WAITS, "Recv-Q 0: the application has read the end of file, and has not closed"),
            Look(_QUEUE, "Recv-Q 0: nobody waits to be accepted"),
            Look("ls /proc/{pid}/fd | wc -l", "grows by two a second"),
        ),
    ),
    Name.HEALTHY: Scenario(
        Name.HEALTHY,
        "a service under load, and nothing is wrong",
        (
            (
                "The same service with the same clients, and no disease. What to compare the others with, and a check "
                "that the diagnosis stays silent."
            ),
        ),
        Setting(),
        loads.Load(_MEMBER, PORT, clients=8),
        "at once: nothing is wrong",
        (
            Look(_QUEUE, "Recv-Q 0 of Send-Q 50"),
            Look(_CLOSE_WAITS, "nothing, or one that is about to be closed"),
        ),
    ),
}
