"""The JavaScript stack of one Node.js process, read from its memory. For `readers`; the work is done by `child`.

Nothing is sent to the process and nothing in it runs for us. Only its main thread is stopped, only while it runs, and
never longer than `maxPause`: the kernel ends the child then, and the thread goes on. Other threads are told as the
kernel sees them.
"""

import datetime as dt

from lastack import errors
from lastack.executors.thread_dump import children, gates, pauses, runtimes, stacks, stopping
from lastack.executors.thread_dump.node import answers, child
from lastack.policy import valid

WITHIN = dt.timedelta(seconds=10)
_RIGHTS = "run as root, or with CAP_SYS_PTRACE; kernel.yama.ptrace_scope above 0 asks for it too"


class Reader:
    """By reading V8's own records of its stack from memory; the main thread stands for it only while it runs."""

    passive = False

    def begin(self, pid: int, settings: valid.ThreadDump, now: dt.timedelta) -> stopping.Stopping:
        """Start the child that reads."""
        return begin(pid, runtimes.Kind.NODE.value, settings.max_pause, now)

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """Its JSON."""
        return answers.read(raw, pid=pid, parent=parent, command=command, at=at)


def begin(pid: int, runtime: str, max_pause: dt.timedelta, now: dt.timedelta) -> stopping.Stopping:
    """Start one dump; `now` is the steady clock. Raises WorldError, and nothing was done, where that would do harm."""
    seen = gates.look(pid)
    gates.must_run(seen)
    gates.must_not_be_traced(seen)
    gates.must_be_grown(seen, now, "still loads its program")
    footing = pauses.footing(pid)
    request = child.Request(pid, runtime, seen.facts.started, max_pause.total_seconds())

    def failure(code: str, words: str) -> errors.WorldError | None:
        match code:
            case children.CLOSED:
                return errors.NotPermitted(
                    f"not permitted to read the JavaScript stacks of process {pid}: {words}", fix=_RIGHTS
                )
            case children.UNSUPPORTED:
                return errors.Unsupported(words, fix=runtimes.NODE_BY_HAND)
            case _:
                return None

    return stopping.Stopping(
        stopping.Plan(
            pid=pid,
            what="the JavaScript stacks",
            whose="the main thread",
            work=lambda: child.read(request),
            within=WITHIN,
            max_pause=max_pause,
            # It is seized, without a signal: there is none to take back.
            mend=lambda: pauses.await_as_found(footing),
            mends_always=False,
            failure=failure,
        )
    )
