"""The catalogue of net sysctls: what each acts on, when, where, and whether it can help against a diagnosis.

Read by lint (values, scope), by engine.diagnoses (canHelp, cannotHelp), by the ladder's guard of sysctl stages and
by executors. The facts were measured on Linux 6.18 in network namespaces, and so were the ranges of what exists
there, less the values that make no sense. `judge` is total over every name and every diagnosis; what is not known
is never a yes: without the numbers that a rule needs, the answer is no and says which number is missing.
"""

import dataclasses
import enum
from collections.abc import Callable, Mapping

from lastack.policy import vocabulary

_INT_MAX = 2**31 - 1
Code = vocabulary.DiagnosisCode


class TakesEffect(enum.StrEnum):
    """When a written value begins to act; before that nothing is judged by it."""

    AT_ONCE = "at-once"
    NEW_CONNECTIONS = "new-connections"
    NEXT_LISTEN = "next-listen"


class Scope(enum.StrEnum):
    """Whether each network namespace has a value of its own, or only the host has one."""

    NAMESPACE = "namespace"
    HOST = "host"


@dataclasses.dataclass(frozen=True, slots=True)
class Sysctl:
    """One setting. `acts_on` completes "acts on ..."; `helps` are the diagnoses that it can help at all.

    `fields` are the ranges of the numbers of its value, one or three, in the order of /proc/sys.
    """

    name: str
    acts_on: str
    takes_effect: TakesEffect
    scope: Scope
    fields: tuple[tuple[int, int], ...]
    helps: frozenset[Code] = frozenset()

    @property
    def grammar(self) -> str:
        """What a value looks like, for messages."""
        low, high = self.fields[0]
        if len(self.fields) == 1:
            return f"a number from {low} to {high}"
        return f"three numbers from {low} to {high}, each at least as large as the one before"

    def wrong(self, value: str) -> str | None:
        """What is wrong with a value, None when it can be written."""
        try:
            numbers = [int(part) for part in value.split()]
        except ValueError:
            return f"{value!r} is not {self.grammar}"
        fits = len(numbers) == len(self.fields) and all(
            low <= number <= high for number, (low, high) in zip(numbers, self.fields, strict=True)
        )
        return None if fits and numbers == sorted(numbers) else f"{value} is not {self.grammar}"


def _triple(low: int) -> tuple[tuple[int, int], ...]:
    return ((low, _INT_MAX),) * 3


_ENTRIES = (
    Sysctl(
        "net.core.somaxconn",
        "the cap of every listen backlog, at the next listen()",
        TakesEffect.NEXT_LISTEN,
        Scope.NAMESPACE,
        ((1, _INT_MAX),),
        frozenset({Code.BACKLOG_TOO_SMALL}),
    ),
    Sysctl(
        "net.ipv4.tcp_max_syn_backlog",
        "the SYN queue, and only while tcp_syncookies is 0",
        TakesEffect.AT_ONCE,
        Scope.NAMESPACE,
        ((1, _INT_MAX),),
        frozenset({Code.SYN_PRESSURE}),
    ),
    Sysctl(
        "net.ipv4.tcp_syncookies",
        "what happens when the SYN queue is full: a cookie or a drop",
        TakesEffect.AT_ONCE,
        Scope.NAMESPACE,
        ((0, 2),),
        frozenset({Code.SYN_PRESSURE}),
    ),
    Sysctl(
        "net.ipv4.tcp_abort_on_overflow",
        "how a client is told when the accept queue fills between SYN and ACK: a reset instead of silence",
        TakesEffect.AT_ONCE,
        Scope.NAMESPACE,
        ((0, 1),),
    ),
    Sysctl(
        "net.ipv4.tcp_syn_retries",
        "this host as a client: how long its own connects are tried",
        TakesEffect.NEW_CONNECTIONS,
        Scope.NAMESPACE,
        ((1, 127),),
    ),
    Sysctl(
        "net.ipv4.tcp_fin_timeout",
        "orphaned FIN_WAIT2, which is the other side of a CLOSE_WAIT",
        TakesEffect.NEW_CONNECTIONS,
        Scope.NAMESPACE,
        ((1, 2_147_483),),
    ),
    *(
        Sysctl(
            f"net.ipv4.tcp_keepalive_{part}",
            "sockets with SO_KEEPALIVE that are made afterwards",
            TakesEffect.NEW_CONNECTIONS,
            Scope.NAMESPACE,
            ((1, highest),),
        )
        for part, highest in (("time", 2_147_483), ("intvl", 2_147_483), ("probes", 255))
    ),
    Sysctl(
        "net.ipv4.tcp_rmem",
        "the receive buffers of new connections",
        TakesEffect.NEW_CONNECTIONS,
        Scope.NAMESPACE,
        _triple(1),
    ),
    Sysctl(
        "net.ipv4.tcp_wmem",
        "the send buffers of new connections",
        TakesEffect.NEW_CONNECTIONS,
        Scope.NAMESPACE,
        _triple(1),
    ),
    Sysctl(
        "net.ipv4.tcp_max_orphans",
        "sockets that no process holds any more; a CLOSE_WAIT is one that its process has not let go",
        TakesEffect.AT_ONCE,
        Scope.HOST,
        ((1, _INT_MAX),),
    ),
    Sysctl(
        "net.ipv4.tcp_mem",
        "the memory of all TCP sockets of the host",
        TakesEffect.AT_ONCE,
        Scope.HOST,
        _triple(1),
    ),
    Sysctl(
        "net.core.netdev_max_backlog",
        "packets that wait for a processor before TCP sees them",
        TakesEffect.AT_ONCE,
        Scope.HOST,
        ((1, _INT_MAX),),
    ),
    Sysctl(
        "net.core.rmem_max",
        "the largest receive buffer that a program may ask for",
        TakesEffect.AT_ONCE,
        Scope.HOST,
        ((1, _INT_MAX),),
    ),
    Sysctl(
        "net.core.wmem_max",
        "the largest send buffer that a program may ask for",
        TakesEffect.AT_ONCE,
        Scope.HOST,
        ((1, _INT_MAX),),
    ),
)

CATALOGUE: Mapping[str, Sysctl] = {entry.name: entry for entry in _ENTRIES}


@dataclasses.dataclass(frozen=True, slots=True)
class OriginSetting:
    """One of the nine settings of the story that this project comes from: what they had and what they set."""

    name: str
    had: str
    set_to: str


ORIGIN_SETTINGS: tuple[OriginSetting, ...] = (
    OriginSetting("net.ipv4.tcp_max_syn_backlog", "128", "4096"),
    OriginSetting("net.ipv4.tcp_syn_retries", "5", "2"),
    OriginSetting("net.ipv4.tcp_rmem", "4096 87380 6291456", "8192 87380 67108864"),
    OriginSetting("net.ipv4.tcp_wmem", "4096 16384 4194304", "8192 87380 67108864"),
    OriginSetting("net.ipv4.tcp_fin_timeout", "60", "30"),
    OriginSetting("net.ipv4.tcp_max_orphans", "4096", "327680"),
    OriginSetting("net.ipv4.tcp_keepalive_time", "7200", "600"),
    OriginSetting("net.ipv4.tcp_keepalive_intvl", "75", "60"),
    OriginSetting("net.ipv4.tcp_keepalive_probes", "9", "5"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class SysctlState:
    """What is known of the member's network namespace and listener.

    `current` are values as text, by name; `accept_queue_limit` is that of the listener, frozen when listen() ran;
    `desired` is the value that somebody means to write, None when nobody has named one.
    """

    current: Mapping[str, str] = dataclasses.field(default_factory=dict)
    accept_queue_limit: int | None = None
    desired: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Help:
    """The answer, and a clause that says why."""

    can: bool
    why: str


UNMET: Mapping[Code, str] = {
    Code.FD_EXHAUSTION: "here accept() fails because the process has no file left to open",
    Code.ACCEPT_STALL: "here finished connections wait because the application does not accept them",
    Code.OVERLOAD: "here the application accepts, but more slowly than connections arrive",
    Code.BACKLOG_TOO_SMALL: "here bursts overflow an accept queue that is too short for them",
    Code.HANDLER_STALL: "here accepted connections wait for handlers that do not end",
    Code.FD_LEAK: "here the application has seen the end of its connections and does not close them",
    Code.SYN_PRESSURE: "here the SYN queue is full of handshakes that are not finished",
    Code.OUTBOUND_LEAK: "here the process does not close connections of its own whose peer is done",
    Code.HALF_CLOSE_IN_USE: "here nothing is wrong: the application still answers clients that finished sending",
    Code.NOT_LISTENING: "here nothing listens",
    Code.HEALTHY: "here nothing is wrong",
    Code.UNKNOWN: "what is wrong here is not known",
}
"""What each diagnosis leaves to be done, which a setting that acts elsewhere does not do."""

_KEEPALIVE = (
    "; rows of connections made afterwards would vanish once the peer forgets them, the files stay open"
)
_KEEPALIVE_NAMES = frozenset(f"net.ipv4.tcp_keepalive_{part}" for part in ("time", "intvl", "probes"))

_SPECIFIC: Mapping[tuple[str, Code], str] = {
    ("net.core.somaxconn", Code.ACCEPT_STALL): (
        "a longer accept queue only buys room; nobody accepts from it, and it changes at the next listen() only"
    ),
    ("net.core.somaxconn", Code.OVERLOAD): (
        "a longer accept queue makes clients wait longer; the application accepts more slowly than they come"
    ),
    ("net.core.somaxconn", Code.FD_EXHAUSTION): (
        "a longer accept queue only buys room; nobody can be accepted from it while no file is left to open"
    ),
    ("net.core.somaxconn", Code.HANDLER_STALL): (
        "caps the accept queue; here connections are accepted, and it is the handlers that do not end"
    ),
    ("net.core.somaxconn", Code.SYN_PRESSURE): (
        "caps the backlog, by which the SYN queue is bounded too, at the next listen() only; unfinished handshakes "
        "fill a longer one as well"
    ),
    ("net.ipv4.tcp_abort_on_overflow", Code.BACKLOG_TOO_SMALL): (
        "makes no room: clients get a reset instead of silence, and only if the queue fills between SYN and ACK"
    ),
}


def judge(name: str, diagnosis: Code, state: SysctlState) -> Help:
    """Whether `name` can help against `diagnosis` in this state. A name outside of the catalogue cannot be judged."""
    entry = CATALOGUE.get(name)
    if entry is None:
        return Help(can=False, why="is not in the catalogue: what it acts on is not known here")
    rule = _RULES.get((name, diagnosis))
    if rule is None:
        return Help(can=False, why=_why_not(entry, diagnosis))
    flaw = None if state.desired is None else entry.wrong(state.desired)
    return Help(can=False, why=flaw) if flaw is not None else rule(state)


def _why_not(entry: Sysctl, diagnosis: Code) -> str:
    specific = _SPECIFIC.get((entry.name, diagnosis))
    if specific is not None:
        return specific
    keepalive = _KEEPALIVE if entry.name in _KEEPALIVE_NAMES and diagnosis in _PILES else ""
    return f"acts on {entry.acts_on}; {UNMET[diagnosis]}{keepalive}"


_PILES = frozenset({Code.FD_EXHAUSTION, Code.ACCEPT_STALL, Code.HANDLER_STALL, Code.FD_LEAK})


def number(current: Mapping[str, str], name: str) -> int | None:
    """The value of a setting that is one number, None where it was not read or is something else."""
    text = current.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _somaxconn(state: SysctlState) -> Help:
    current, limit = number(state.current, "net.core.somaxconn"), state.accept_queue_limit
    if current is None or limit is None:
        missing = "the listener's limit" if current is not None else "the present value"
        return Help(
            can=False, why=f"caps the listen backlog, but {missing} could not be read: not known to help"
        )
    if limit < current:
        why = f"the listener's limit is {limit} and somaxconn {current}: the application's own backlog is the cap"
        return Help(can=False, why=why)
    if state.desired is not None and int(state.desired) <= limit:
        return Help(can=False, why=f"{state.desired} is not more than the listener's limit, which is {limit}")
    if state.desired is None and limit > current:
        why = f"the listener's limit is {limit}, above somaxconn {current}: the cap did not hold when listen() ran"
        return Help(can=False, why=why)
    why = (
        f"somaxconn {current} caps the listener's limit of {limit}; a larger one counts from the next listen(), "
        "at the latest at a restart, as far as the application asks for more"
    )
    return Help(can=True, why=why)


_OF_THE_SYN_BACKLOG = 0.75
"""The kernel keeps the rest free for peers that it knows."""


def _max_syn_backlog(state: SysctlState) -> Help:
    cookies = number(state.current, "net.ipv4.tcp_syncookies")
    current = number(state.current, "net.ipv4.tcp_max_syn_backlog")
    if cookies is None or current is None:
        return Help(
            can=False, why="acts only while tcp_syncookies is 0, and the present values could not be read"
        )
    if cookies != 0:
        return Help(can=False, why=f"inert while tcp_syncookies is {cookies}: it acts only while that is 0")
    if state.desired is not None and int(state.desired) <= current:
        return Help(can=False, why=f"{state.desired} is not more than the present value, which is {current}")
    limit = state.accept_queue_limit
    if limit is not None and limit + 1 <= current * _OF_THE_SYN_BACKLOG:
        why = f"the listener's limit of {limit} is the cap: three quarters of this value, which is {current}, are more"
        return Help(can=False, why=why)
    why = f"tcp_syncookies is 0: the SYN queue holds about three quarters of this value, which is {current}"
    return Help(can=True, why=why)


def _syncookies(state: SysctlState) -> Help:
    current = number(state.current, "net.ipv4.tcp_syncookies")
    if current is None:
        return Help(
            can=False, why="answers a full SYN queue with cookies, but the present value could not be read"
        )
    if current != 0:
        return Help(can=False, why=f"is {current} already: a full SYN queue is answered with cookies")
    if state.desired == "0":
        return Help(can=False, why="0 is the present value")
    return Help(can=True, why="is 0: with 1 a full SYN queue is answered with cookies instead of drops")


_RULES: Mapping[tuple[str, Code], Callable[[SysctlState], Help]] = {
    ("net.core.somaxconn", Code.BACKLOG_TOO_SMALL): _somaxconn,
    ("net.ipv4.tcp_max_syn_backlog", Code.SYN_PRESSURE): _max_syn_backlog,
    ("net.ipv4.tcp_syncookies", Code.SYN_PRESSURE): _syncookies,
}
