"""Native stacks of one process, where the policy allows that its threads are stopped for it. Used by `readers`.

Each thread is stopped on its own, for the few milliseconds that its stack takes, and never longer than `maxPause`: the
kernel ends the child that walks (`native_child`) then. What that leaves behind is put right by `pauses`.
"""

import datetime as dt
import signal

from lastack import errors
from lastack.executors.thread_dump import forks, gates, native_child, pauses
from lastack.kernel import procfs

WITHIN = dt.timedelta(seconds=10)
"""Threads that were not walked by then are left out: a dump of thousands of threads says enough without them."""

_GRACE = dt.timedelta(seconds=5)
"""Beyond it, to look names up, while nothing is stopped any more."""
_RIGHTS = "run as root, or with CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH and CAP_KILL"
_INSTALL = "apt-get install libdw1 (elfutils-libs on other systems)"


class Walking:
    """One dump that is being taken; close() ends it early."""

    def __init__(self, pid: int, runtime: str, max_pause: dt.timedelta) -> None:
        """Begin. Raises WorldError, and nothing was stopped, where that would do harm."""
        seen = gates.look(pid)
        gates.must_not_be_traced(seen)
        if max_pause <= dt.timedelta(0):
            raise errors.Unsupported(
                f"native stacks of process {pid} need a stop, and maxPause is 0", fix="raise maxPause"
            )
        self._pid = pid
        self._max_pause = max_pause
        self._footing = pauses.footing(pid)
        if not pauses.may_be_restored(self._footing):
            raise errors.NotPermitted(
                f"native stacks of process {pid} need a stop, and it might not be let go on again",
                fix=_RIGHTS,
            )
        self._left = WITHIN + _GRACE
        request = native_child.Request(
            pid, runtime, seen.started_ticks, max_pause.total_seconds(), WITHIN.total_seconds()
        )
        self._child = forks.Child(lambda: native_child.walk(request))
        self._whole = False

    def wait(self, within: dt.timedelta) -> bytes | None:
        """The stacks as JSON, or None when they are not there `within` this time: call again.

        Raises NotPermitted, NotReachable or Unsupported with the reason.
        """
        status = self._child.wait(min(within, self._left))
        if status is None:
            self._left -= within
            if self._left > dt.timedelta(0):
                return None
            self.close()
            raise errors.NotReachable(f"the native stacks of process {self._pid} were not there in time")
        self._whole = status >= 0
        if status == 0:
            return self._child.output()
        said = self._child.said()
        self.close()
        raise self._failure(status, said)

    def close(self) -> None:
        """End it; the process runs on as before. Raises NotReachable where it does not."""
        self._child.close()
        if not self._whole:
            self._whole = True
            pauses.restore(self._footing)

    def _failure(self, status: int, said: str) -> errors.WorldError:
        if status == -signal.SIGALRM:
            return errors.NotReachable(
                f"a thread of process {self._pid} would have been stopped longer than "
                f"{self._max_pause.total_seconds() * 1000:g} ms (maxPause); the stop was ended, and it runs on",
                fix="raise maxPause, or look when the machine is less busy",
            )
        code, _, words = said.strip().partition(" ")
        if code == native_child.GONE or procfs.is_gone(self._pid):
            return errors.NotReachable(f"process {self._pid} has ended")
        if code == native_child.CLOSED:
            return errors.NotPermitted(
                f"not permitted to stop the threads of process {self._pid}: {words}",
                fix=f"{_RIGHTS}; kernel.yama.ptrace_scope above 0 asks for it too",
            )
        if code == native_child.ABSENT:
            return errors.Unsupported(
                f"libdw, which reads native stacks, is not installed ({words})", fix=_INSTALL
            )
        return errors.NotReachable(
            f"the native stacks of process {self._pid} could not be read: {words[:200] or f'status {status}'}"
        )
