"""Run a function in a child made by fork alone, for what needs another user's credentials and must be killable.

Used by `hotspot` and `stopping`: to start an interpreter takes longer than the whole dump. The child keeps to
system calls and what is imported already: locks that other threads of the parent held at the fork stay locked in it.
"""

import contextlib
import datetime as dt
import os
import pathlib
import select
import signal
import tempfile
from collections.abc import Callable
from typing import NoReturn

_GRACE = dt.timedelta(seconds=2)
_FIRST_OTHER = 3
_DESCRIPTORS = pathlib.Path("/proc/self/fd")


class Child:
    """One running child; close() ends it. What it writes to 1 and 2 is in `output` and `said`."""

    def __init__(self, work: Callable[[], int]) -> None:
        """Start it; the result of `work` is its exit status."""
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives until close()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - the same
        self._status: int | None = None
        self._pid = os.fork()
        if self._pid == 0:
            _be_child(work, self._output.fileno(), self._said.fileno())
        self._handle = os.pidfd_open(self._pid)

    def wait(self, within: dt.timedelta) -> int | None:
        """Its exit status, negative for a signal; None when it goes on after this time."""
        if self._status is None and self._ends(within):
            _, status = os.waitpid(self._pid, 0)
            self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def output(self) -> bytes:
        """Everything on 1."""
        self._output.seek(0)
        return self._output.read()

    def said(self) -> str:
        """Everything on 2."""
        self._said.seek(0)
        return self._said.read().decode(errors="replace")

    def close(self, grace: dt.timedelta = _GRACE) -> None:
        """End it, in order first, within `grace`, and forget what it wrote. May be called twice."""
        if self._handle < 0:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._status is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)
            self.wait(grace)
        os.close(self._handle)
        self._handle = -1
        self._output.close()
        self._said.close()

    def _ends(self, within: dt.timedelta) -> bool:
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(within / dt.timedelta(milliseconds=1)))


def _be_child(work: Callable[[], int], output: int, said: int) -> NoReturn:
    status = 1
    try:
        signal.set_wakeup_fd(-1)  # it is the parent's
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(output, 1)
        os.dup2(said, 2)
        os.closerange(_FIRST_OTHER, 1 + max(int(path.name) for path in _DESCRIPTORS.iterdir()))
        status = work()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException as problem:  # noqa: BLE001 - nothing may leave the child but through _exit
        with contextlib.suppress(OSError):
            os.write(2, f"broken {problem!r}\n".encode(errors="replace"))
    finally:
        os._exit(status)
