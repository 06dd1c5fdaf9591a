"""Ask one Node.js process where its loop stands, by way of its inspector, in a child process. Called by `inspector`.

SIGUSR1 makes Node.js listen at its debug port on loopback. This child opens it, lets the loop pause for the moment that
its stack takes, and closes it again; what it found goes to 1 as JSON, also whether the port is closed. On failure the
exit status is 1 and 2 holds one line, `CODE WORDS`. It goes on to close the port when who runs it has ended.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any, NoReturn, Self

from lastack.executors.thread_dump import web_sockets
from lastack.kernel import linux

GONE, CLOSED, TAKEN, UNOPENED, SILENT, OPEN = "gone", "closed", "taken", "unopened", "silent", "still-open"

_HOST = "127.0.0.1"
_LISTEN = "0A"
_MOST_BYTES = 32 * 1024 * 1024
_MOST_FRAMES = 256
_LOOK_EVERY_SECONDS = 0.005
_CLOSE_WITHIN_SECONDS = 3.0
_END = "process._debugEnd ? process._debugEnd() : require('inspector').close()"


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """Whom to ask; `own_namespace`: it is in the network namespace of who asks."""

    pid: int
    started_ticks: str
    port: int
    own_namespace: bool
    most_stopped_seconds: float
    seconds: float


class _Late(Exception):
    """Who runs this has no more time."""


def ask(request: Request) -> int:
    """The whole life of the child."""
    signal.signal(signal.SIGTERM, _be_late)
    handle = _pin(request.pid, request.started_ticks)
    if not request.own_namespace:
        _enter(request.pid)
    if _listener(request.pid, request.port) is not None:
        _fail(TAKEN, f"somebody listens at port {request.port} already")
    opened, problem = False, ""
    found: dict[str, Any] = {}
    try:
        _send(handle)
        _await_listener(request, request.seconds)
        opened = True
        found = _paused(request)
    except (web_sockets.Broken, _Late) as broken:
        problem = str(broken) or "no time was left"
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what follows is to close the port
    if not opened:
        with contextlib.suppress(web_sockets.Broken):
            _await_listener(request, _CLOSE_WITHIN_SECONDS)
    if not _is_closed(request):
        _fail(OPEN, f"its debug port {request.port} could not be closed again ({problem or 'it stays open'})")
    if problem:
        _fail(SILENT if opened else UNOPENED, problem)
    os.write(1, json.dumps({**found, "port": request.port, "closed": True}, indent=1).encode())
    return 0


def _be_late(*_: object) -> NoReturn:
    raise _Late


def _pin(pid: int, started: str) -> int:
    """A pidfd of this life of the process."""
    try:
        handle = os.pidfd_open(pid)
        content = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        fields = os.read(content, 4096).rpartition(b")")[2].split()
    except OSError as problem:
        _fail(GONE, str(problem.strerror))
    if fields[19].decode() != started:
        _fail(GONE, "the pid was used again")
    return handle


def _enter(pid: int) -> None:
    try:
        linux.setns(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC), linux.CLONE_NEWNET)
    except OSError as problem:
        _fail(CLOSED, f"its network namespace cannot be entered: {problem.strerror}")


def _send(handle: int) -> None:
    try:
        signal.pidfd_send_signal(handle, signal.SIGUSR1)
    except ProcessLookupError:
        _fail(GONE, "it has ended")
    except OSError as problem:
        _fail(CLOSED, f"it cannot be signalled: {problem.strerror}")


def _listener(pid: int, port: int) -> str | None:
    """The inode of the socket that listens at the port in the namespace of the process; None when nobody does."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), pathlib.Path(f"/proc/{pid}/net/{table}").open("rb") as rows:
            for row in rows.read().decode("ascii").splitlines():
                fields = row.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    return fields[9]
    return None


def _is_its_own(pid: int, inode: str) -> bool:
    return any(target == f"socket:[{inode}]" for target in _descriptors(pid))


def _descriptors(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                yield str(path.readlink())


def _await_listener(request: Request, seconds: float) -> None:
    """Until the process listens at its debug port. Raises Broken."""
    deadline = time.monotonic() + seconds
    while (inode := _listener(request.pid, request.port)) is None:
        if time.monotonic() > deadline:
            raise web_sockets.Broken(f"it did not open its debug port {request.port}")
        time.sleep(_LOOK_EVERY_SECONDS)
    if not _is_its_own(request.pid, inode):
        raise web_sockets.Broken(f"another process listens at port {request.port}")


class _Session:
    """The DevTools protocol with one process; leaving it closes the connection, which lets a paused loop go on."""

    def __init__(self, port: int, deadline: float) -> None:
        host = f"{_HOST}:{port}"
        stream = web_sockets.Stream((_HOST, port), deadline, _MOST_BYTES)
        try:
            status, body = stream.get("/json/list", host)
            path = _path(status, body)
        finally:
            stream.close()
        self._stream = web_sockets.Stream((_HOST, port), deadline, _MOST_BYTES)
        self._messages = web_sockets.Messages(self._stream, path, host)
        self._last = 0
        self.scripts: dict[str, str] = {}
        """URLs by script, as far as the process told of them."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def send(self, method: str, **parameters: object) -> int:
        """The number of the request."""
        self._last += 1
        self._messages.send({"id": self._last, "method": method, "params": parameters})
        return self._last

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Wait for the answer."""
        number = self.send(method, **parameters)
        while (message := self._receive()).get("id") != number:
            pass
        return message

    def event(self, method: str, within: float) -> dict[str, Any] | None:
        """The parameters of the next event of this kind; None when there is none in this time."""
        before = self._stream.deadline
        self._stream.deadline = min(before, time.monotonic() + within)
        try:
            while (message := self._receive()).get("method") != method:
                pass
        except web_sockets.Broken:
            if time.monotonic() < self._stream.deadline:
                raise
            return None
        finally:
            self._stream.deadline = before
        found = message.get("params")
        return found if isinstance(found, dict) else {}

    def _receive(self) -> dict[str, Any]:
        message = self._messages.receive()
        told = message.get("params")
        if message.get("method") == "Debugger.scriptParsed" and isinstance(told, dict):
            self.scripts[str(told.get("scriptId"))] = str(told.get("url"))
        return message


def _path(status: str, body: bytes) -> str:
    try:
        (first, *_) = json.loads(body)
        return "/" + str(first["webSocketDebuggerUrl"]).rpartition("/")[2]
    except (ValueError, KeyError, TypeError) as problem:
        raise web_sockets.Broken(f"its debug port answers {status[:80]!r}") from problem


def _paused(request: Request) -> dict[str, Any]:
    """Where the loop stands, or that it rests. It goes on at once: also by the end of the connection."""
    deadline = time.monotonic() + request.seconds
    with _Session(request.port, deadline) as session:
        session.call("Debugger.enable")
        began = time.perf_counter()
        session.send("Debugger.pause")
        stop = session.event("Debugger.paused", request.most_stopped_seconds)
        # Without a stop this takes the wish for one back.
        session.send("Debugger.resume" if stop is not None else "Debugger.disable")
        stopped_ms = round((time.perf_counter() - began) * 1000, 2)
        if stop is None:
            return {"frames": None, "stoppedMs": None}
        return {"frames": _frames(stop, session.scripts), "stoppedMs": stopped_ms}


def _frames(stop: dict[str, Any], scripts: dict[str, str]) -> list[dict[str, Any]]:
    """Innermost first."""
    try:
        return [
            {
                "function": str(frame["functionName"]),
                "url": str(frame["url"] or scripts.get(str(frame["location"]["scriptId"]), "")),
                "line": int(frame["location"]["lineNumber"]) + 1,
            }
            for frame in stop["callFrames"][:_MOST_FRAMES]
        ]
    except (KeyError, TypeError, ValueError) as problem:
        raise web_sockets.Broken("it stopped in a way that is not known") from problem


def _is_closed(request: Request) -> bool:
    """Close the debug port, and look until nobody listens there any more; a port that never opened is closed."""
    deadline = time.monotonic() + _CLOSE_WITHIN_SECONDS
    while (inode := _listener(request.pid, request.port)) is not None and time.monotonic() < deadline:
        if not _is_its_own(request.pid, inode):
            return True
        # Once it closes, it does not answer any more.
        with contextlib.suppress(web_sockets.Broken), _Session(request.port, deadline) as session:
            session.call("Runtime.evaluate", expression=_END, includeCommandLineAPI=True, timeout=1000)
        time.sleep(_LOOK_EVERY_SECONDS)
    return inode is None


def _fail(code: str, words: str) -> NoReturn:
    os.write(2, f"{code} {words}\n".encode(errors="replace"))
    sys.exit(1)
