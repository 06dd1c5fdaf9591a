"""Walk the native stacks of one process, in a child that can be ended at any time. Called by `reader`.

What it found goes to 1 as JSON. The kernel ends this child by SIGALRM when one thread stands longer than it may,
whatever libdw is doing then.
"""

import contextlib
import ctypes
import dataclasses
import datetime as dt
import json
import os
import signal
import time
from typing import Any

from lastack.engine import samples
from lastack.executors.thread_dump import children
from lastack.executors.thread_dump.native import libdw
from lastack.kernel import procfs

_CPU_SECONDS = 20
_MOST_THREADS = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """Whose stacks: `started` as procfs.ProcessFacts has it; how long one thread may stand; when to take no more."""

    pid: int
    runtime: str
    started: dt.timedelta
    most_stopped_seconds: float
    seconds: float


def walk(request: Request) -> int:
    """The whole life of the child."""
    children.settle(_CPU_SECONDS)
    os.environ.pop("DEBUGINFOD_URLS", None)  # libdw would ask the network
    deadline = time.monotonic() + request.seconds
    try:
        process = libdw.Process(request.pid)
        walks = _walks(process, request, deadline)
    except OSError as problem:
        children.fail(
            children.code_of(problem) if problem.errno is not None else children.ABSENT, str(problem)
        )
    if not walks:
        children.fail(children.CLOSED, "no thread of it could be stopped")
    os.write(1, json.dumps({"runtime": request.runtime, **_document(request.pid, walks, process)}).encode())
    return 0


def _walks(process: libdw.Process, request: Request, deadline: float) -> list[libdw.Walk]:
    left = _MOST_THREADS

    def may_stop(thread: int) -> bool:
        """One in unkillable sleep would not stop now, but some time later, when nobody waits for it."""
        nonlocal left
        left -= 1
        facts = procfs.process(thread)
        alive = not isinstance(facts, samples.Missing) and facts.state not in {"D", "Z", "X", "t"}
        return alive and left >= 0 and time.monotonic() < deadline

    if not procfs.is_same(request.pid, request.started):
        children.fail(children.GONE, "it has ended")
    return process.walks(
        may_stop,
        before=lambda: _arm(request.most_stopped_seconds),
        after=lambda: _arm(0),
    )


def _arm(seconds: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _document(pid: int, walks: list[libdw.Walk], process: libdw.Process) -> dict[str, object]:
    """Threads share most of their places: each is told once, and threads refer to it by its number."""
    names = _Demangling()
    numbers: dict[int, int] = {}
    for each in walks:
        for address in each.addresses:
            numbers.setdefault(address, len(numbers))
    places = map(process.place, numbers)
    return {
        "longestStopMs": round(max(each.stopped_seconds for each in walks) * 1000, 2),
        "places": [{**dataclasses.asdict(each), "function": names.of(each.function)} for each in places],
        "threads": [
            {
                "thread": each.thread,
                "name": _name(each.thread) or f"thread {each.thread}",
                "main": each.thread == pid,
                "frames": [numbers[address] for address in each.addresses],
            }
            for each in walks
        ],
    }


def _name(thread: int) -> str | None:
    facts = procfs.process(thread)
    return None if isinstance(facts, samples.Missing) else facts.name


class _Demangling:
    """Names of C++ and Rust as people write them, by the C++ library where it is there; each asked for once."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._function: Any = None
        with contextlib.suppress(OSError, AttributeError):
            self._function = ctypes.CDLL("libstdc++.so.6")["__cxa_demangle"]
            self._function.restype = ctypes.c_void_p
            self._function.argtypes = [ctypes.c_char_p, *[ctypes.c_void_p] * 3]
        self._free = ctypes.CDLL(None).free
        self._free.argtypes = [ctypes.c_void_p]

    def of(self, name: str | None) -> str | None:
        """The name; as it is where nothing is known of it."""
        if name is None or not name.startswith("_Z") or self._function is None:
            return name
        if name not in self._known:
            found = self._function(name.encode(), None, None, None)
            self._known[name] = ctypes.string_at(found).decode(errors="replace") if found else name
            self._free(found)
        return self._known[name]
