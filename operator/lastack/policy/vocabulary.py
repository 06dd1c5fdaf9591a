"""The words that a policy may use and that the engine answers with. Imported by policy and engine; pure.

A word that is here means the same in YAML, in the ledger, in JSON and in the docs.
"""

import enum


class Mode(enum.StrEnum):
    """How far lastack may go. `observe` is the default everywhere."""

    OBSERVE = "observe"
    ENFORCE = "enforce"


class ActionKind(enum.StrEnum):
    """What a stage does."""

    THREAD_DUMP = "threadDump"
    SYSCTL = "sysctl"
    SOCKET_DESTROY = "socketDestroy"
    ROLLING_RESTART = "rollingRestart"


class SocketKind(enum.StrEnum):
    """Which sockets of a member a socketDestroy stage may destroy."""

    STUCK_OUTBOUND = "stuckOutbound"
    CLOSE_WAIT_QUEUED = "closeWait.queued"
    CLOSE_WAIT_UNREAD = "closeWait.unread"
    CLOSE_WAIT_HELD = "closeWait.held"
    CLOSE_WAIT_OUTBOUND = "closeWait.outbound"


class DiagnosisCode(enum.StrEnum):
    """What is wrong between the kernel's queues and the process."""

    FD_EXHAUSTION = "fd-exhaustion"
    ACCEPT_STALL = "accept-stall"
    OVERLOAD = "overload"
    BACKLOG_TOO_SMALL = "backlog-too-small"
    HANDLER_STALL = "handler-stall"
    FD_LEAK = "fd-leak"
    SYN_PRESSURE = "syn-pressure"
    OUTBOUND_LEAK = "outbound-leak"
    HALF_CLOSE_IN_USE = "half-close-in-use"
    NOT_LISTENING = "not-listening"
    HEALTHY = "healthy"
    UNKNOWN = "unknown"


class Severity(enum.StrEnum):
    """critical: requests fail now; warning: they will, or some do."""

    NONE = "none"
    WARNING = "warning"
    CRITICAL = "critical"


class Confidence(enum.StrEnum):
    """high: two independent signals over the full window; medium: one; low: a needed signal is missing."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class CauseKind(enum.StrEnum):
    """What the stuck code waits for."""

    LOCK = "lock"
    DOWNSTREAM = "downstream"
    POOL = "pool"
    CPU = "cpu"
    THROTTLED = "throttled"
    MEMORY = "memory"
    STOPPED = "stopped"
    CLIENT = "client"
    UNKNOWN = "unknown"


CAUSED = frozenset({DiagnosisCode.ACCEPT_STALL, DiagnosisCode.HANDLER_STALL, DiagnosisCode.OVERLOAD})
"""Against these a restart helps or harms by their cause, which is sought for no others."""


class SignalName(enum.StrEnum):
    """What is measured per member and listener.

    Ages and forecasts in seconds, rates per second, slopes per hour, everything else a count.
    """

    CLOSE_WAIT_TOTAL = "closeWait.total"
    CLOSE_WAIT_QUEUED = "closeWait.queued"
    CLOSE_WAIT_UNREAD = "closeWait.unread"
    CLOSE_WAIT_HELD = "closeWait.held"
    CLOSE_WAIT_OUTBOUND = "closeWait.outbound"
    CLOSE_WAIT_OLDEST = "closeWait.oldest"
    CLOSE_WAIT_TOTAL_SLOPE = "closeWait.total.slope"
    CLOSE_WAIT_HELD_SLOPE = "closeWait.held.slope"
    CLOSE_WAIT_OUTBOUND_SLOPE = "closeWait.outbound.slope"
    ACCEPT_QUEUE_DEPTH = "acceptQueue.depth"
    ACCEPT_QUEUE_PEAK = "acceptQueue.peak"
    ACCEPT_QUEUE_LIMIT = "acceptQueue.limit"
    ACCEPT_QUEUE_FILL = "acceptQueue.fill"
    ACCEPT_QUEUE_HEAD_AGE = "acceptQueue.headAge"
    ACCEPT_PROGRESS = "acceptProgress"
    ACCEPT_RATE = "acceptRate"
    LISTEN_DROP_RATE = "listen.dropRate"
    LISTEN_OVERFLOW_RATE = "listen.overflowRate"
    SYN_COOKIES_RATE = "synCookies.rate"
    SYN_QUEUE_DEPTH = "synQueue.depth"
    ESTABLISHED = "established"
    OPEN_FILES_COUNT = "openFiles.count"
    OPEN_FILES_LIMIT = "openFiles.limit"
    OPEN_FILES_FILL = "openFiles.fill"
    OPEN_FILES_DEAD = "openFiles.dead"
    OPEN_FILES_SLOPE = "openFiles.slope"
    OPEN_FILES_EXHAUSTS_IN = "openFiles.exhaustsIn"
    THREADS = "threads"
    THREADS_SLOPE = "threads.slope"
    WORKERS_STUCK = "workers.stuck"


AMBIENT_SIGNALS = frozenset(
    {SignalName.LISTEN_OVERFLOW_RATE, SignalName.ACCEPT_RATE, SignalName.SYN_COOKIES_RATE}
)
"""Of the whole network namespace, whoever listens in it."""
SLOPE_SIGNALS = frozenset(
    {
        SignalName.CLOSE_WAIT_TOTAL_SLOPE,
        SignalName.CLOSE_WAIT_HELD_SLOPE,
        SignalName.CLOSE_WAIT_OUTBOUND_SLOPE,
        SignalName.OPEN_FILES_SLOPE,
        SignalName.THREADS_SLOPE,
    }
)
FORECAST_SIGNALS = frozenset({SignalName.OPEN_FILES_EXHAUSTS_IN})
"""The time until something happens: the smaller, the worse; infinite where it never does."""
CLIENT_SIGNALS = frozenset({SignalName.CLOSE_WAIT_OUTBOUND, SignalName.CLOSE_WAIT_OUTBOUND_SLOPE})
"""Of the connections that a process made itself; everything else that a client has is of its listeners, too."""
RATE_SIGNALS = frozenset({SignalName.LISTEN_DROP_RATE}) | AMBIENT_SIGNALS
SHARE_SIGNALS = frozenset({SignalName.ACCEPT_QUEUE_FILL, SignalName.OPEN_FILES_FILL})
AGE_SIGNALS = frozenset({SignalName.CLOSE_WAIT_OLDEST, SignalName.ACCEPT_QUEUE_HEAD_AGE})
