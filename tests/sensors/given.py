"""Listeners and connections for the sampler's tests, in a network namespace of their own."""

import contextlib
import dataclasses
import datetime as dt
import os
import signal
import socket
import sys
from array import array
from collections.abc import Callable, Iterator
from typing import TypeVar

from lastack import ports
from lastack.engine import samples
from lastack.kernel import clocks, features
from lastack.sensors import sampler
from tests import waiting
from tests.kernel import namespaces

_Result = TypeVar("_Result")

SOON = dt.timedelta(seconds=20)
"""Long for what takes milliseconds: a machine with much else to do is no failure."""
OWN = samples.Pid(os.getpid())


def eye(*, sysctls: tuple[str, ...] = ()) -> sampler.SocketSampler:
    """A sampler with the features of this kernel."""
    return sampler.SocketSampler(clocks.SystemClock(), features.probe(), sysctls)


@dataclasses.dataclass(slots=True)
class Service:
    """A listening socket of this process, and the connections to it."""

    listener: socket.socket
    stack: contextlib.ExitStack

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.listener.getsockname()[1])

    def connect(self, host: str = "127.0.0.1", source: str | None = None) -> socket.socket:
        """A client that has finished its handshake."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        client = self.stack.enter_context(socket.socket(family))
        if source is not None:
            client.bind((source, 0))
        client.connect((host, self.port))
        return client

    def accept(self) -> socket.socket:
        """Take one connection out of the queue."""
        return self.stack.enter_context(self.listener.accept()[0])


@contextlib.contextmanager
def service(
    host: str = "127.0.0.1",
    *,
    backlog: int = 16,
    family: int = socket.AF_INET,
    dual: bool = False,
    port: int = 0,
) -> Iterator[Service]:
    """A listener; closed with everything that came through it."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
        listener.bind((host, port))
        listener.listen(backlog)
        yield Service(listener, stack)


def look(at: sampler.SocketSampler, service_: Service, *, deep: bool = True) -> samples.Look:
    """The one look at a service."""
    (found,) = at.look(ports.Selection(ports=frozenset({service_.port}), deep=deep)).looks
    return found


def await_look(
    at: sampler.SocketSampler, service_: Service, claim: Callable[[samples.Look], bool], *, what: str
) -> samples.Look:
    """Look until the claim holds: the kernel needs a moment for a handshake or a FIN."""
    last: list[samples.Look] = []

    def holds() -> bool:
        last.append(look(at, service_))
        return claim(last[-1])

    waiting.wait_until(holds, within=SOON, what=what)
    return last[-1]


def alone(work: Callable[[], _Result]) -> _Result:
    """Run in a fresh namespace."""
    return namespaces.alone(work)


def queued(found: samples.Look) -> samples.QueuedRows:
    """The un-accepted rows, which have to be there."""
    rows = found.listener.queued
    assert isinstance(rows, samples.QueuedRows), rows
    return rows


@contextlib.contextmanager
def forked(work: Callable[[], None]) -> Iterator[int]:
    """A child that holds what this process holds, does `work` and waits for its end."""
    pid = os.fork()
    if pid == 0:
        work()
        while True:
            signal.pause()
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def search_path() -> str:
    """PYTHONPATH for a program that imports what this one does."""
    return os.pathsep.join(path for path in sys.path if path)


def rows(ages_ms: list[int]) -> samples.CloseWaitRows:
    """Accepted CLOSE_WAIT rows of these ages, read to the end."""
    numbers = array("I", range(1, len(ages_ms) + 1))
    none = array("I", [0] * len(ages_ms))
    return samples.CloseWaitRows(array("Q", numbers), numbers, none, array("I", ages_ms), array("I", ages_ms))


def look_at(selection: ports.Selection, claim: Callable[[samples.Look], bool], what: str) -> samples.Look:
    """Look until the selection has one listener, of which the claim holds."""
    at = eye()

    def holds() -> samples.Look | None:
        found = at.look(selection).looks
        return found[0] if len(found) == 1 and claim(found[0]) else None

    return waiting.wait_until(holds, within=SOON, what=what)
