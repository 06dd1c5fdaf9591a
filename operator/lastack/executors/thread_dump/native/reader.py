"""Native stacks of one process, where the policy allows that its threads are stopped for it. For `readers`.

Each thread is stopped on its own, for the few milliseconds that its stack takes, and never longer than `maxPause`: the
kernel ends the child that walks (`child`) then. What that leaves behind is put right by `pauses`.
"""

import datetime as dt

from lastack import errors
from lastack.executors.thread_dump import children, gates, pauses, runtimes, stacks, stopping
from lastack.executors.thread_dump.native import answers, child
from lastack.policy import valid

WITHIN = dt.timedelta(seconds=10)
"""Threads that were not walked by then are left out: a dump of thousands of threads says enough without them."""

_GRACE = dt.timedelta(seconds=5)
"""Beyond it, to look names up, while nothing is stopped any more."""
_RIGHTS = "run as root, or with CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH and CAP_KILL"
_INSTALL = "apt-get install libdw1 (elfutils-libs on other systems)"


class Reader:
    """By walking the native stacks of any program, each thread stopped for it: only where the policy allows that."""

    passive = False

    def __init__(self, kind: runtimes.Kind) -> None:
        """`kind` is what the dump says that the program is."""
        self._kind = kind

    def begin(self, pid: int, settings: valid.ThreadDump, now: dt.timedelta) -> stopping.Stopping:
        """Start the child that walks."""
        del now  # no signal is sent
        return begin(pid, self._kind.value, settings.max_pause)

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """Its JSON. The program file of a virtual machine holds no function of the application."""
        own = self._kind is runtimes.Kind.NATIVE
        return answers.read(raw, of_program=own, pid=pid, parent=parent, command=command, at=at)


def begin(pid: int, runtime: str, max_pause: dt.timedelta) -> stopping.Stopping:
    """Start one dump. Raises WorldError, and nothing was stopped, where that would do harm."""
    seen = gates.look(pid)
    gates.must_not_be_traced(seen)
    if max_pause <= dt.timedelta(0):
        raise errors.Unsupported(
            f"native stacks of process {pid} need a stop, and maxPause is 0", fix="raise maxPause"
        )
    footing = pauses.footing(pid)
    if not pauses.may_be_restored(footing):
        raise errors.NotPermitted(
            f"native stacks of process {pid} need a stop, and it might not be let go on again", fix=_RIGHTS
        )
    request = child.Request(
        pid, runtime, seen.facts.started, max_pause.total_seconds(), WITHIN.total_seconds()
    )

    def failure(code: str, words: str) -> errors.WorldError | None:
        match code:
            case children.CLOSED:
                return errors.NotPermitted(
                    f"not permitted to stop the threads of process {pid}: {words}",
                    fix=f"{_RIGHTS}; kernel.yama.ptrace_scope above 0 asks for it too",
                )
            case children.ABSENT:
                return errors.Unsupported(
                    f"libdw, which reads native stacks, is not installed ({words})", fix=_INSTALL
                )
            case _:
                return None

    return stopping.Stopping(
        stopping.Plan(
            pid=pid,
            what="the native stacks",
            whose="a thread",
            work=lambda: child.walk(request),
            within=WITHIN + _GRACE,
            max_pause=max_pause,
            mend=lambda: pauses.restore(footing),
            mends_always=False,
            failure=failure,
        )
    )
