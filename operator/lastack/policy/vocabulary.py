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
    ROLLING_RESTART = "rollingRestart"


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


class SignalName(enum.StrEnum):
    """What is measured per member and listener. Ages in seconds, rates per second, everything else a count."""

    CLOSE_WAIT_TOTAL = "closeWait.total"
    CLOSE_WAIT_QUEUED = "closeWait.queued"
    CLOSE_WAIT_UNREAD = "closeWait.unread"
    CLOSE_WAIT_HELD = "closeWait.held"
    CLOSE_WAIT_OUTBOUND = "closeWait.outbound"
    CLOSE_WAIT_OLDEST = "closeWait.oldest"
    ACCEPT_QUEUE_DEPTH = "acceptQueue.depth"
    ACCEPT_QUEUE_PEAK = "acceptQueue.peak"
    ACCEPT_QUEUE_LIMIT = "acceptQueue.limit"
    ACCEPT_QUEUE_FILL = "acceptQueue.fill"
    ACCEPT_QUEUE_HEAD_AGE = "acceptQueue.headAge"
    ACCEPT_PROGRESS = "acceptProgress"
    LISTEN_DROP_RATE = "listen.dropRate"
    SYN_QUEUE_DEPTH = "synQueue.depth"
    ESTABLISHED = "established"
    OPEN_FILES_COUNT = "openFiles.count"
    OPEN_FILES_LIMIT = "openFiles.limit"
    OPEN_FILES_FILL = "openFiles.fill"
    THREADS = "threads"
    WORKERS_STUCK = "workers.stuck"


RATE_SIGNALS = frozenset({SignalName.LISTEN_DROP_RATE})
SHARE_SIGNALS = frozenset({SignalName.ACCEPT_QUEUE_FILL, SignalName.OPEN_FILES_FILL})
AGE_SIGNALS = frozenset({SignalName.CLOSE_WAIT_OLDEST, SignalName.ACCEPT_QUEUE_HEAD_AGE})
