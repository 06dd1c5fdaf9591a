"""Who has ended, of many processes, without asking each of them. Called by sensors that keep namespaces open.

A pidfd becomes readable when its process ends, and one epoll answers for all of them. Kernels before 5.3 have none:
there a kept /proc/PID/stat is read for each, which fails when the process is gone.
"""

import os
import select
from collections.abc import Collection
from typing import Self

from lastack import errors
from lastack.kernel import pidfds


class Endings:
    """Processes under watch; use `with`, or close() it. One thread at a time."""

    def __init__(self, *, pidfd: bool) -> None:
        """Take Features.pidfd."""
        self._epoll = select.epoll() if pidfd else None
        self._handles: dict[int, pidfds.ProcessHandle] = {}
        self._pid_of: dict[int, int] = {}
        self._files: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, pid: int) -> None:
        """Watch a process, at most once. Raises NotReachable when it has ended, Unsupported without pidfds."""
        if self._epoll is None:
            try:
                self._files[pid] = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
            except OSError as problem:
                raise errors.NotReachable(f"process {pid} has ended") from problem
            return
        handle = self._handles[pid] = pidfds.ProcessHandle.open(pid)
        self._pid_of[handle.fileno()] = pid
        self._epoll.register(handle.fileno(), select.EPOLLIN)

    def discard(self, pid: int) -> None:
        """Watch it no more; nothing when it is not watched."""
        handle, file = self._handles.pop(pid, None), self._files.pop(pid, None)
        if handle is not None and self._epoll is not None:
            self._epoll.unregister(handle.fileno())
            del self._pid_of[handle.fileno()]
            handle.close()
        if file is not None:
            os.close(file)

    def ended(self) -> Collection[int]:
        """Those that have ended (a zombie has); they stay until they are discarded."""
        if self._epoll is None:
            return {pid for pid, file in self._files.items() if _is_over(file)}
        return {self._pid_of[descriptor] for descriptor, _ in self._epoll.poll(0, max(1, len(self._handles)))}

    def close(self) -> None:
        """Give every descriptor back. May be called twice."""
        for pid in [*self._handles, *self._files]:
            self.discard(pid)
        if self._epoll is not None:
            self._epoll.close()


def _is_over(file: int) -> bool:
    """Whether the process of a kept stat file is gone or a zombie."""
    try:
        content = os.pread(file, 4096, 0)
    except OSError:
        return True
    return content[content.rfind(b")") + 1 :].split()[:1] == [b"Z"]
