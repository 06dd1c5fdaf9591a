"""Processes that cannot be mistaken: a pidfd, opened on one incarnation (pid and start time).

Called by executors and hosts that signal or await a process. Needs kernel 5.3; `Features.pidfd` tells.
"""

import datetime as dt
import os
import select
import signal
from typing import Self

from lastack import errors
from lastack.engine import samples
from lastack.kernel import linux, procfs


class ProcessHandle:
    """One life of one process; use `with`, or close() it."""

    def __init__(self, descriptor: int, pid: int) -> None:
        """Own `descriptor`."""
        self._descriptor = descriptor
        self.pid = pid

    @classmethod
    def open(cls, pid: int, *, started: dt.timedelta | None = None) -> Self:
        """A handle on a process; with `started` only on that life of it.

        Raises NotReachable when it is gone or another, Unsupported before kernel 5.3.
        """
        linux.require_linux()
        try:
            handle = cls(os.pidfd_open(pid), pid)
        except ProcessLookupError as problem:
            raise errors.NotReachable(f"process {pid} has ended") from problem
        except OSError as problem:
            raise errors.Unsupported(
                f"pidfd_open failed: {problem.strerror}", fix="needs kernel 5.3"
            ) from problem
        # Only now, with the life pinned, does its start time tell which one it is.
        facts = procfs.process(pid) if started is not None else None
        if isinstance(facts, samples.Missing) or (facts is not None and facts.started != started):
            handle.close()
            raise errors.NotReachable(
                f"process {pid} is not the one that was meant: it ended and the pid was used again"
            )
        return handle

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back. May be called twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def fileno(self) -> int:
        """The descriptor, readable for poll when the process has ended; -1 when closed."""
        return self._descriptor

    def send(self, number: signal.Signals) -> None:
        """Send a signal. Raises NotReachable when it has ended, NotPermitted."""
        try:
            signal.pidfd_send_signal(self._descriptor, number)
        except ProcessLookupError as problem:
            raise errors.NotReachable(f"process {self.pid} has ended") from problem
        except PermissionError as problem:
            raise errors.NotPermitted(
                f"not permitted to send {number.name} to process {self.pid}", fix="run as root or as its user"
            ) from problem

    def wait(self, within: dt.timedelta) -> bool:
        """Whether the process ended within the time (a zombie has ended)."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(within / dt.timedelta(milliseconds=1)))
