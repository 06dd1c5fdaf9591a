"""Run a function in a thread beside its caller, who may stop waiting for it. Used by `attach`.

The same shape as forks.Child, for what needs no credentials but our own. A thread cannot be killed: the function
heeds when it shall stop, and one that the kernel holds (a dead file system) is left to itself and ends later.
"""

import datetime as dt
import threading
from collections.abc import Callable

from lastack.executors.thread_dump.hotspot import child

_GRACE = dt.timedelta(seconds=2)


class Worker:
    """One running function; close() stops it. What it writes and says is in `output` and `said`."""

    def __init__(self, work: Callable[[child.Means], int]) -> None:
        """Start it; the result of `work` is its exit status."""
        self._parts: list[bytes] = []
        self._said: list[bytes] = []
        self._status: int | None = None
        self._stop, self._done = threading.Event(), threading.Event()
        means = child.Means(self._parts.append, self._said.append, self._heed)
        # A daemon, so that one which the kernel holds does not hold the end of the program.
        self._thread = threading.Thread(target=self._run, args=(work, means), name="lastack-ask", daemon=True)
        self._thread.start()

    def wait(self, within: dt.timedelta) -> int | None:
        """Its exit status; None when it goes on after this time."""
        self._done.wait(within.total_seconds())
        return self._status

    def output(self) -> bytes:
        """Everything that it wrote."""
        return b"".join(self._parts)

    def said(self) -> str:
        """Why it failed."""
        return b"".join(self._said).decode(errors="replace")

    def close(self) -> None:
        """Stop it, and forget what it wrote. May be called twice."""
        self._stop.set()
        self._done.wait(_GRACE.total_seconds())
        self._parts.clear()

    def _heed(self) -> None:
        if self._stop.is_set():
            raise child.Stopped

    def _run(self, work: Callable[[child.Means], int], means: child.Means) -> None:
        status = 1
        try:
            status = work(means)
        except child.Stopped:
            pass
        except BaseException as problem:  # noqa: BLE001 - reported as a child's would be; a thread has no caller
            self._said.append(f"broken {problem!r}\n".encode(errors="replace"))
        finally:
            self._status = status
            self._done.set()
