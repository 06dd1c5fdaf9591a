"""A process that was to be stopped for a moment runs on afterwards, also when who stopped it was ended in the middle.

Used by `py_spy`, `native` and `delve`. A debugger attaches with a SIGSTOP. When it is killed, the kernel lets
its process go, but a SIGSTOP that was on its way then stops the process for good: nobody is left who would take it.
"""

import contextlib
import dataclasses
import datetime as dt
import os
import signal
import time

from lastack import errors
from lastack.engine import samples
from lastack.kernel import pidfds, procfs

_WITHIN_SECONDS = 2.0
_LOOK_EVERY_SECONDS = 0.002


@dataclasses.dataclass(frozen=True, slots=True)
class Footing:
    """How a process was found: which life of it, and whether somebody had stopped it already."""

    pid: int
    started: dt.timedelta
    stopped: bool


def footing(pid: int) -> Footing:
    """Of the process as it is now. Raises NotReachable when it has ended."""
    facts = procfs.process(pid)
    if isinstance(facts, samples.Missing):
        raise errors.NotReachable(f"process {pid} has ended")
    return Footing(pid, facts.started, facts.state == "T")


def may_be_restored(found: Footing) -> bool:
    """Whether a SIGCONT could be sent to it: without that right (CAP_KILL) nobody should stop it."""
    try:
        os.kill(found.pid, 0)
    except PermissionError:
        return False
    except ProcessLookupError:
        return True  # nothing to restore
    return True


def restore(found: Footing) -> None:
    """Call when the tracer has ended before its time. Nothing to do for a process that has ended meanwhile.

    A SIGCONT takes a SIGSTOP back also when it is still on its way. One that was stopped before is stopped again by
    the kernel, and nothing is sent to it. Raises NotReachable, with what a person has to do, where it is not as before.
    """
    if not found.stopped:
        with (
            contextlib.suppress(errors.WorldError),  # whether it runs on is looked at below
            pidfds.ProcessHandle.open(found.pid, started=found.started) as handle,
        ):
            handle.send(signal.SIGCONT)
    await_as_found(found)


def await_as_found(found: Footing) -> None:
    """Raise NotReachable, with what a person has to do, unless every thread of it stands or runs as before, soon."""
    deadline = time.monotonic() + _WITHIN_SECONDS
    while held := _held(found):
        if time.monotonic() > deadline:
            raise errors.NotReachable(
                f"process {found.pid} is not as it was found after a stop of it was ended: {held}",
                fix=f"by hand: kill -{'STOP' if found.stopped else 'CONT'} {found.pid}",
            )
        time.sleep(_LOOK_EVERY_SECONDS)


def _held(found: Footing) -> str | None:
    """What holds a thread of it still; None when all run, or when it is gone."""
    threads = procfs.threads(found.pid)
    if isinstance(threads, samples.Missing):
        return None
    for thread in threads:
        status = procfs.status(thread)
        if isinstance(status, samples.Missing):
            continue
        if status.get("TracerPid", "0") != "0":
            return f"process {status['TracerPid']} traces thread {thread}"
        stands = status.get("State", "").startswith(("T", "t"))
        if stands != found.stopped and not status.get("State", "").startswith(("Z", "X")):
            return f"thread {thread} is stopped" if stands else f"thread {thread} is not stopped any more"
    return None
