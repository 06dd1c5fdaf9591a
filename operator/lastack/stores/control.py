"""The door to the process that may write: one JSON line asks, one JSON line answers. Called by loop.

A thread of its own serves the socket, so that no client can hold up a tick: requests wait in a queue for the tick
thread, whose answer comes back through another one. Everything is bounded: connections, bytes, time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping

from lastack import errors, ports
from lastack.engine import outcomes
from lastack.kernel import unix_sockets
from lastack.runbook import canonical
from lastack.stores import durable_files, peers, state_dir

LARGEST_REQUEST = 16 * 1024
MOST_CONNECTIONS = 16
MOST_ARGUMENTS = 8
SPEAK_WITHIN_SECONDS = 5.0
ANSWER_WITHIN_SECONDS = 30.0

_BLOCK = 64 * 1024
_NOT_PERMITTED = "not-permitted"
_NO_ANSWER = "no-answer"
_ERRORS: Mapping[str, type[errors.LastackError]] = {
    _NOT_PERMITTED: errors.NotPermitted,
    _NO_ANSWER: errors.NotReachable,
}
"""What an error of the server means to who asked; one without a code is about the request itself."""


@dataclasses.dataclass(slots=True, eq=False)
class _Connection:
    """One client: what it has said, or what it is still to be told."""

    socket: socket.socket
    peer: peers.Peer
    until: float
    said: bytearray = dataclasses.field(default_factory=bytearray)
    answer: memoryview | None = None
    asked: bool = False
    watched: bool = False


class ControlServer:
    """Implements ports.Controls. Made under the lock of the state directory; `close` ends its thread."""

    def __init__(
        self, where: state_dir.StateDir, *, answer_within_seconds: float = ANSWER_WITHIN_SECONDS
    ) -> None:
        self._where = where
        self._answer_within_seconds = answer_within_seconds
        self._requests: queue.SimpleQueue[ports.ControlRequest] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[_Connection, bytes]] = queue.SimpleQueue()
        self._connections: set[_Connection] = set()
        self._selector = selectors.DefaultSelector()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._listener = _listen(where)
        self._ending = False
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)
        self._thread.start()

    def pending(self) -> list[ports.ControlRequest]:
        """Requests since the last call, oldest first."""
        found = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._requests.get_nowait())
        return found

    def close(self) -> None:
        """End: whoever waits is not answered any more."""
        self._ending = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        for connection in list(self._connections):
            self._drop(connection)
        with contextlib.suppress(FileNotFoundError):
            self._where.control_socket.unlink()
        self._listener.close()
        self._selector.close()
        os.close(self._wake)

    def _serve(self) -> None:
        while not self._ending:
            for key, _ in self._selector.select(self._patience()):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj == self._wake:
                    os.eventfd_read(self._wake)
                elif isinstance(key.data, _Connection):
                    self._serve_one(key.data)
            self._take_answers()
            self._drop_late()

    def _patience(self) -> float | None:
        ends = [connection.until for connection in self._connections]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _accept(self) -> None:
        try:
            found, _ = self._listener.accept()
        except OSError:
            return
        if len(self._connections) >= MOST_CONNECTIONS:
            found.close()
            return
        found.settimeout(0)
        connection = _Connection(found, peers.peer_of(found), time.monotonic() + SPEAK_WITHIN_SECONDS)
        self._connections.add(connection)
        self._watch(connection, selectors.EVENT_READ)
        if not connection.peer.allowed:
            who = f"{connection.peer} may not ask: only root and the user of lastack"
            self._tell(connection, {"error": who, "code": _NOT_PERMITTED})

    def _serve_one(self, connection: _Connection) -> None:
        try:
            if connection.answer is not None:
                connection.answer = connection.answer[connection.socket.send(connection.answer[:_BLOCK]) :]
                if not connection.answer:
                    self._drop(connection)
                return
            heard = connection.socket.recv(_BLOCK)
        except BlockingIOError:
            return
        except OSError:
            self._drop(connection)
            return
        if not heard:
            self._drop(connection)
            return
        connection.said += heard
        self._hear(connection)

    def _hear(self, connection: _Connection) -> None:
        line, end, _ = connection.said.partition(b"\n")
        if len(line) > LARGEST_REQUEST:
            self._tell(connection, {"error": f"the request is larger than {LARGEST_REQUEST} bytes"})
            return
        if not end:
            return
        # Nothing more is read: who asks may shut down its half and wait, or go, which the answer will tell.
        self._watch(connection, None)
        connection.asked = True
        connection.until = time.monotonic() + self._answer_within_seconds
        try:
            verb, arguments = _read_request(bytes(line))
        except errors.UsageError as error:
            self._tell(connection, {"error": error.message})
            return
        self._requests.put(
            ports.ControlRequest(verb, arguments, str(connection.peer), self._replier(connection))
        )

    def _replier(self, connection: _Connection) -> Callable[[Mapping[str, outcomes.Json]], None]:
        def reply(answer: Mapping[str, outcomes.Json]) -> None:
            self._answers.put((connection, _line(answer)))
            # The server may be gone by now, and with it whoever asked.
            with contextlib.suppress(OSError):
                os.eventfd_write(self._wake, 1)

        return reply

    def _take_answers(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                connection, line = self._answers.get_nowait()
                if connection in self._connections and connection.answer is None:
                    self._send(connection, line)

    def _tell(self, connection: _Connection, answer: Mapping[str, outcomes.Json]) -> None:
        connection.asked = True
        self._send(connection, _line(answer))

    def _send(self, connection: _Connection, line: bytes) -> None:
        connection.answer = memoryview(line)
        connection.until = time.monotonic() + SPEAK_WITHIN_SECONDS
        self._watch(connection, selectors.EVENT_WRITE)

    def _drop_late(self) -> None:
        now = time.monotonic()
        for connection in [c for c in self._connections if c.until <= now]:
            if connection.answer is None:
                waited = "the request was not complete in time"
                if connection.asked:
                    waited = f"no answer within {self._answer_within_seconds:g} s; what was asked may still be done"
                self._tell(connection, {"error": waited, "code": _NO_ANSWER})
            else:
                self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        self._watch(connection, None)
        connection.socket.close()

    def _watch(self, connection: _Connection, event: int | None) -> None:
        """Wait for `event` on this socket and for no other."""
        if connection.watched:
            self._selector.unregister(connection.socket)
        if event is not None:
            self._selector.register(connection.socket, event, connection)
        connection.watched = event is not None


def ask(where: state_dir.StateDir, verb: str, arguments: Mapping[str, str]) -> Mapping[str, outcomes.Json]:
    """Ask the process that holds the state directory, and wait for its answer.

    Raises NotReachable when none listens or none answers, NotPermitted when we may not ask, UsageError when the
    answer is that the request cannot be meant.
    """
    request = _line({"verb": verb, "arguments": dict(arguments)})
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
        connection.settimeout(ANSWER_WITHIN_SECONDS + SPEAK_WITHIN_SECONDS)
        try:
            with unix_sockets.short_name(where.control_socket) as name:
                connection.connect(name)
            # Who may not ask is told so, and is not listened to.
            with contextlib.suppress(BrokenPipeError):
                connection.sendall(request)
            with connection.makefile("rb") as answers:
                line = answers.readline()
        except PermissionError:
            raise errors.NotPermitted(
                f"{where.control_socket} does not let you in", fix="ask as root, or as the user of lastack"
            ) from None
        except TimeoutError:
            holder = state_dir.holder_of(where) or "the process on the state directory"
            raise errors.NotReachable(f"{holder} does not answer on {where.control_socket}") from None
        except OSError as error:
            raise errors.NotReachable(f"no lastack runs on {where.path}") from error
    if not line.endswith(b"\n"):
        raise errors.NotReachable(f"the lastack on {where.path} ended before it answered")
    answer = json.loads(line)
    if isinstance(answer.get("error"), str):
        raise _ERRORS.get(str(answer.get("code")), errors.UsageError)(answer["error"])
    return dict(answer)


def _read_request(line: bytes) -> tuple[str, dict[str, str]]:
    expected = 'expected one line like {"verb": "pause", "arguments": {"reason": "..."}}'
    try:
        found = canonical.read(line)
    except errors.NotAnEntry as error:
        raise errors.UsageError(f"the request cannot be read: {error.message}; {expected}") from None
    verb, arguments = found.get("verb"), found.get("arguments", {})
    if not isinstance(verb, str) or not isinstance(arguments, dict) or len(arguments) > MOST_ARGUMENTS:
        raise errors.UsageError(f"the request has no verb, or arguments of a wrong kind; {expected}")
    texts = {key: value for key, value in arguments.items() if isinstance(value, str)}
    if len(texts) < len(arguments):
        raise errors.UsageError(f"every argument has to be a string; {expected}")
    return verb, texts


def _line(answer: Mapping[str, outcomes.Json]) -> bytes:
    return canonical.write(canonical.settle(answer)) + b"\n"


def _listen(where: state_dir.StateDir) -> socket.socket:
    """The listening socket, for its owner only. What a process that was killed left there is removed."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        with durable_files.translated(where.control_socket):
            with contextlib.suppress(FileNotFoundError):
                where.control_socket.unlink()
            with unix_sockets.short_name(where.control_socket) as name:
                listener.bind(name)
            where.control_socket.chmod(0o600)
            listener.listen(MOST_CONNECTIONS)
            listener.settimeout(0)
    except errors.LastackError:
        listener.close()
        raise
    return listener
