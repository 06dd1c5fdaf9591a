"""Fetch the goroutines of a Go program that serves net/http/pprof, from its own listener. Used by `reader`.

Only of a program that carries the path of the profile in itself, and only from sockets that the process itself listens
on, in its own network namespace: nobody else is asked anything.
"""

import contextlib
import datetime as dt
import http.client
import mmap
import pathlib
import queue
import threading
import time

from lastack import errors
from lastack.engine import samples
from lastack.kernel import descriptors, netns

_PATH = "/debug/pprof/goroutine?debug=2"
_MARK = b"/debug/pprof/"
_EACH_SECONDS = 3.0
_WITHIN_SECONDS = 15.0
"""For all listeners together: one that sends a byte a second would else be read for ever."""
_MOST_BYTES = 64 * 1024 * 1024
_MOST_LISTENERS = 8
_LOCAL = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def serves_profiles(pid: int) -> bool:
    """Whether the program may serve them: it carries the path. False where it cannot be read."""
    with (
        contextlib.suppress(OSError, ValueError),
        pathlib.Path(f"/proc/{pid}/exe").open("rb") as program,
        mmap.mmap(program.fileno(), 0, prot=mmap.PROT_READ) as content,
    ):
        return content.find(_MARK) >= 0
    return False


class Fetching:
    """One dump on its way, in a thread of its own."""

    def __init__(self, pid: int) -> None:
        """Begin. Raises Unsupported where the program serves no profiles."""
        if not serves_profiles(pid):
            raise errors.Unsupported(
                f"process {pid} does not serve its goroutines (it was built without net/http/pprof)",
                fix="import net/http/pprof in it, and serve it on loopback",
            )
        self._pid = pid
        self._deadline = time.monotonic() + _WITHIN_SECONDS
        self._answers: queue.SimpleQueue[bytes | errors.WorldError] = queue.SimpleQueue()
        threading.Thread(target=self._fetch, name="lastack-pprof", daemon=True).start()

    def wait(self, within: dt.timedelta) -> bytes | None:
        """The profile, or None when it is not there yet. Raises NotReachable when no listener served it."""
        left = max(0.0, self._deadline - time.monotonic())
        try:
            answer = self._answers.get(timeout=min(within.total_seconds(), left))
        except queue.Empty:
            if time.monotonic() < self._deadline:
                return None
            raise errors.NotReachable(
                f"process {self._pid} did not serve its goroutines within {_WITHIN_SECONDS:g} s"
            ) from None
        if isinstance(answer, errors.WorldError):
            raise answer
        return answer

    def close(self) -> None:
        """The thread ends by itself, by its deadline."""

    def _fetch(self) -> None:
        try:
            path = netns.path_of(self._pid)
            here = netns.identify(path) == netns.own()
            answer = self._ask() if here else netns.call_in(path, self._ask)
        except errors.WorldError as problem:
            self._answers.put(problem)
        else:
            self._answers.put(answer)

    def _ask(self) -> bytes:
        """In the namespace of the process."""
        held = descriptors.sockets(self._pid)
        if isinstance(held, samples.Missing):
            raise errors.NotPermitted(f"process {self._pid}: {held.why}", fix=held.fix)
        with netns.open_sock_diag(netns.path_of("thread-self")) as reader:
            own = [each for each in reader.listeners() if each.inode in held]
        for listener in own[:_MOST_LISTENERS]:
            found = _get(_LOCAL.get(listener.address, listener.address), listener.port, self._deadline)
            if found is not None:
                return found
        raise errors.NotReachable(
            f"process {self._pid} carries net/http/pprof and serves {_PATH} on none of its ports",
            fix="serve it on loopback to see its goroutines",
        )


def _get(host: str, port: int, deadline: float) -> bytes | None:
    connection = http.client.HTTPConnection(host, port, timeout=_EACH_SECONDS)
    try:
        connection.request("GET", _PATH, headers={"User-Agent": "lastack", "Connection": "close"})
        response = connection.getresponse()
        content = bytearray()
        while len(content) < _MOST_BYTES and (part := response.read1(65536)):
            content += part
            if time.monotonic() > deadline:
                return None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    if response.status != 200 or not content.startswith(b"goroutine "):
        return None
    # What is longer has no end: it is read as a dump that is not whole.
    return bytes(content) if len(content) < _MOST_BYTES else bytes(content[:_MOST_BYTES]).rstrip(b"\n")
