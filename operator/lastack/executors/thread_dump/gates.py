"""What has to hold of a process before anything is sent to it, or before it is stopped. Used by the askers of runtimes.

A process that cannot answer is not asked: it would do so at a moment that nobody chose.
"""

import dataclasses
import datetime as dt

from lastack import errors
from lastack.engine import samples
from lastack.kernel import procfs

YOUNG = dt.timedelta(seconds=2)
"""A runtime installs its handlers some time after it began; before that the signals that are sent would end it."""

_STANDING = {
    "T": "is stopped (SIGSTOP): kill -CONT lets it go on",
    "t": "is stopped by a debugger",
    "D": "is in unkillable sleep",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """One life of a process as /proc told it."""

    facts: procfs.ProcessFacts
    status: dict[str, str]


def look(pid: int) -> Seen:
    """What is known of it. Raises NotReachable when it has ended."""
    facts, status = procfs.process(pid), procfs.status(pid)
    if isinstance(facts, samples.Missing) or isinstance(status, samples.Missing) or facts.state in {"Z", "X"}:
        raise errors.NotReachable(f"process {pid} has ended")
    return Seen(facts, status)


def must_run(seen: Seen) -> None:
    """Raise NotReachable for one that is stopped, traced or in unkillable sleep."""
    standing = _STANDING.get(seen.facts.state)
    if standing is not None:
        raise errors.NotReachable(f"process {seen.facts.pid} {standing}; nothing was sent to it")


def must_be_grown(seen: Seen, now: dt.timedelta, why: str) -> None:
    """Raise NotReachable for one that began just now; `now` is the steady clock, `why` what it may not do yet."""
    if now - seen.facts.started < YOUNG:
        raise errors.NotReachable(
            f"process {seen.facts.pid} is younger than {YOUNG.total_seconds():g} s and {why}",
            fix="ask again in a moment",
        )


def must_not_be_traced(seen: Seen) -> None:
    """Raise NotReachable for one at which a debugger is: there can be only one."""
    tracer = seen.status.get("TracerPid", "0")
    if tracer != "0":
        raise errors.NotReachable(
            f"process {seen.facts.pid} is traced by process {tracer} already; nothing was done to it",
            fix=f"end that debugger, or wait for it: ps -p {tracer}",
        )


def catches(seen: Seen, number: int) -> bool:
    """Whether it has a handler of its own for this signal."""
    return bool(int(seen.status.get("SigCgt", "0"), 16) >> (number - 1) & 1)
