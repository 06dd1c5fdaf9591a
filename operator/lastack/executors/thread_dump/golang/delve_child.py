"""Ask delve for the goroutines of one Go program, in a child process. Called by `delve`.

delve stops the whole program from its attaching to its detaching. It is spoken to by its own protocol (JSON-RPC on a
socket that only this user can reach), since its terminal asks whether to kill the program when it ends. What it found
goes to 1 in the words of the runtime (`goroutine?debug=2`).
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from typing import Any

from lastack.engine import samples
from lastack.executors.thread_dump import children
from lastack.kernel import procfs

_MOST_GOROUTINES = 5000
_MOST_FRAMES = 64
_DETACHING_SECONDS = 0.1
"""Kept of the time that the program may stand, to let it go in order."""
_LONGEST_ANSWER = 64 * 1024 * 1024
_STATUS = {1: "runnable", 2: "running", 3: "syscall"}
_STATES = (
    ("sync.(*Mutex).", "sync.Mutex.Lock"),
    ("sync.(*RWMutex).RLock", "sync.RWMutex.RLock"),
    ("sync.(*RWMutex).Lock", "sync.RWMutex.Lock"),
    ("internal/sync.(*Mutex).", "sync.Mutex.Lock"),
    ("sync.(*WaitGroup).Wait", "sync.WaitGroup.Wait"),
    ("sync.(*Cond).Wait", "sync.Cond.Wait"),
    ("internal/poll.runtime_pollWait", "IO wait"),
    ("time.Sleep", "sleep"),
    ("runtime.chanrecv", "chan receive"),
    ("runtime.chansend", "chan send"),
    ("runtime.selectgo", "select"),
)
"""Innermost functions that say what the runtime says in words: delve tells its numbers, which each version changes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """Which program by which delve; how long it may stand, and how long all may take."""

    program: str
    pid: int
    most_stopped_seconds: float
    seconds: float


class _Broken(Exception):
    """delve ended, or did not answer in time."""


def ask(request: Request) -> int:
    """The whole life of the child."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = tempfile.mkdtemp(prefix="lastack-")
    path = f"{folder}/socket"
    argv = [
        request.program,
        "attach",
        str(request.pid),
        "--headless",
        "--api-version=2",
        f"--listen=unix:{path}",
    ]
    with pathlib.Path(f"{folder}/said").open("w+b") as said:
        debugger = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            cwd=folder,
            env={"HOME": folder, "PATH": os.environ.get("PATH", "/usr/bin:/bin")},
        )
        try:
            deadline = _attached(debugger, request)
            text = "".join(_goroutines(path, deadline))
        except _Broken as broken:
            said.seek(0)
            words = " ".join(said.read(4096).decode(errors="replace").split())
            late = debugger.poll() is None
            children.fail(children.LATE if late else children.BROKEN, f"{broken}; it said: {words[:300]}")
        finally:
            debugger.kill()
            debugger.wait()
            shutil.rmtree(folder, ignore_errors=True)
    os.write(1, text.encode(errors="replace"))
    return 0


def _attached(debugger: subprocess.Popen[bytes], request: Request) -> float:
    """Wait until the program stands; when (monotonic) it has to be let go."""
    give_up = time.monotonic() + request.seconds
    while time.monotonic() < give_up and debugger.poll() is None:
        status = procfs.status(request.pid)
        if isinstance(status, samples.Missing):
            break
        if status.get("TracerPid") == str(debugger.pid):
            return time.monotonic() + request.most_stopped_seconds - _DETACHING_SECONDS
        time.sleep(0.001)
    raise _Broken("it did not attach")


class _Connection:
    """RPCs of delve, in order."""

    def __init__(self, path: str, deadline: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._deadline = deadline
        self._buffer = b""
        self._last = 0
        while True:
            try:
                self._socket.connect(path)
                return
            except OSError:
                self._left()
                time.sleep(0.002)

    def call(self, method: str, **parameters: object) -> Any:  # noqa: ANN401 - what another program answered
        """The result. Raises _Broken."""
        self._last += 1
        request = {"method": f"RPCServer.{method}", "params": [parameters], "id": self._last}
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(json.dumps(request).encode())
            answer = json.loads(self._line())
        except (OSError, ValueError) as problem:
            raise _Broken(f"no answer to {method}: {problem}") from problem
        if not isinstance(answer, dict) or answer.get("error"):
            raise _Broken(f"{method} was refused: {str(answer)[:200]}")
        return answer.get("result")

    def extend(self, seconds: float) -> None:
        """For the last call."""
        self._deadline += seconds

    def _line(self) -> bytes:
        while b"\n" not in self._buffer:
            self._socket.settimeout(self._left())
            part = self._socket.recv(1 << 20)
            self._buffer += part
            if not part or len(self._buffer) > _LONGEST_ANSWER:
                raise _Broken("its answer did not end")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise _Broken("the program stood as long as it may")
        return left


def _goroutines(path: str, deadline: float) -> list[str]:
    """Each as a block of text; those for which there was no time are counted."""
    connection = _Connection(path, deadline)
    try:
        listed = connection.call("ListGoroutines", Start=0, Count=_MOST_GOROUTINES)["Goroutines"] or []
        blocks: list[str] = []
        with contextlib.suppress(_Broken):
            for each in listed:
                frames = connection.call("Stacktrace", Id=each["id"], Depth=_MOST_FRAMES, Full=False)[
                    "Locations"
                ]
                blocks.append("".join(_block(each, frames or [])))
    except (KeyError, TypeError, AttributeError) as problem:
        raise _Broken(f"an answer of a shape that is not known: {problem!r}") from problem
    finally:
        connection.extend(_DETACHING_SECONDS)
        with contextlib.suppress(_Broken):
            connection.call("Detach", Kill=False)
    if not blocks:
        raise _Broken("there was no time for a stack")
    left = len(listed) - len(blocks)
    return [*blocks, f"# {left} more goroutines were not read within maxPause\n"] if left else blocks


def _block(goroutine: dict[str, Any], frames: Iterable[dict[str, Any]]) -> Iterator[str]:
    """One goroutine as the runtime writes it."""
    places = [(_function(frame), str(frame["file"]), int(frame["line"])) for frame in frames]
    yield f"goroutine {goroutine['id']} [{_state(goroutine, [place[0] for place in places])}]:\n"
    for function, file, line in places:
        yield f"{function}(...)\n\t{file}:{line}\n"
    created = _function(goroutine.get("goStatementLoc") or {})
    if created:
        yield f"created by {created}\n\t?:0\n"
    yield "\n"


def _function(location: dict[str, Any]) -> str:
    return str((location.get("function") or {}).get("name", ""))


def _state(goroutine: dict[str, Any], functions: list[str]) -> str:
    known = _STATUS.get(int(goroutine.get("status", 4)))
    if known is not None:
        return known
    for function in functions:
        for beginning, state in _STATES:
            if function.startswith(beginning):
                return state
    return "waiting"
