"""A bounded pool of threads for short calls that come due at a time. Used by `works`.

A call that says True is called again after `again`; between its calls it occupies no thread.
"""

import datetime as dt
import heapq
import itertools
import threading
import time
from collections.abc import Callable

Call = Callable[[], bool]


class Pool:
    """Up to `threads` threads, made when they are needed."""

    def __init__(self, threads: int, again: dt.timedelta) -> None:
        """No thread runs yet."""
        self._most = threads
        self._again = again
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Call]] = []
        self._order = itertools.count()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closing = False

    @property
    def closing(self) -> bool:
        """Whether nothing more is called."""
        return self._closing

    def call(self, run: Call) -> None:
        """Call `run` soon, in a thread of the pool; it must not raise."""
        self._push(run, time.monotonic())

    def close(self, within: dt.timedelta) -> bool:
        """Call nothing more, and wait for the calls that run; whether all of them ended in time."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        deadline = time.monotonic() + within.total_seconds()
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in self._threads)

    def _push(self, run: Call, due: float) -> None:
        with self._changed:
            if self._closing:
                return
            heapq.heappush(self._due, (due, next(self._order), run))
            if self._idle == 0 and len(self._threads) < self._most:
                # A daemon: a call that hangs must not keep the process from ending within its 5 s.
                name = f"lastack-work-{len(self._threads) + 1}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify()

    def _work(self) -> None:
        while (run := self._next()) is not None:
            if run():
                self._push(run, time.monotonic() + self._again.total_seconds())

    def _next(self) -> Call | None:
        """The next call that is due; None when the pool closes."""
        with self._changed:
            while not self._closing:
                now = time.monotonic()
                if self._due and self._due[0][0] <= now:
                    return heapq.heappop(self._due)[2]
                self._idle += 1
                self._changed.wait(self._due[0][0] - now if self._due else None)
                self._idle -= 1
            return None
