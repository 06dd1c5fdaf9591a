"""CPython: what py-spy said, as stacks. Used by `reader`; the program itself is run by `py_spy`.

The tables below are the place to teach another server's loops or another layout of packages.
"""

import datetime as dt
import json
import re
from collections.abc import Sequence
from typing import Any

from lastack import errors
from lastack.executors.thread_dump import stacks

# Not the application's: the standard library, installed packages, frozen modules, starter scripts.
_LIBRARY = re.compile(
    r"/lib(?:64)?/python3(?:\.\d+t?)?/|/(?:site|dist)-packages/|/lib/python3\d\.zip/|^<frozen |/bin/[^/]+$"
)
# Frames between a waiting loop and the system call in which it waits.
_WAITING = {
    ("selectors.py", "select"),
    ("threading.py", "wait"),
    ("queue.py", "get"),
    ("asyncio/base_events.py", "_run_once"),
    ("gunicorn/workers/sync.py", "wait"),
    ("gunicorn/workers/gthread.py", "wait_for_and_dispatch_events"),
}
# Loops that wait for the next piece of work when nothing but waiting frames is inside of them.
_LOOPS = {
    ("socketserver.py", "serve_forever"),
    ("socket.py", "accept"),
    ("asyncio/base_events.py", "run_forever"),
    ("asyncio/runners.py", "run"),
    ("concurrent/futures/thread.py", "_worker"),
    ("anyio/_backends/_asyncio.py", "run"),
    ("gunicorn/arbiter.py", "sleep"),
    ("gunicorn/arbiter.py", "run"),
    ("gunicorn/arbiter.py", "wait_for_signals"),
    ("gunicorn/workers/sync.py", "run_for_one"),
    ("gunicorn/workers/sync.py", "run_for_multiple"),
    ("gunicorn/workers/gthread.py", "run"),
    ("uvicorn/supervisors/multiprocess.py", "run"),
    ("waitress/task.py", "handler_thread"),
    ("cheroot/workers/threadpool.py", "run"),
}
# Event loops: tasks that wait in one have no stack anywhere.
_EVENT_LOOPS = {
    ("asyncio/base_events.py", "run_forever"),
    ("asyncio/runners.py", "run"),
    ("anyio/_backends/_asyncio.py", "run"),
}
# What a main thread does while others work.
_MAIN_LOOPS = {
    ("threading.py", "join"),
    ("threading.py", "_shutdown"),
    ("threading.py", "_wait_for_tstate_lock"),
    ("signal.py", "pause"),
}


def read(raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
    """The stacks in py-spy's JSON. Raises Unsupported when it has another shape than this program knows."""
    try:
        threads = tuple(_thread(pid, entry) for entry in json.loads(raw))
    except (ValueError, TypeError, KeyError, AttributeError) as problem:
        raise errors.Unsupported(
            f"the answer of py-spy is not understood: {problem!r}",
            fix="install the py-spy that lastack was made for",
        ) from problem
    return stacks.ProcessDump(pid, parent, command, at, threads, raw)


def _thread(pid: int, entry: dict[str, Any]) -> stacks.ThreadStack:
    files = [str(frame["filename"]) for frame in entry["frames"]]
    frames = tuple(
        stacks.Frame(
            function=stacks.plain(str(frame["name"])),
            file=stacks.plain(str(frame["short_filename"] or frame["filename"])),
            line=int(frame["line"]),
            application=not _LIBRARY.search(file),
        )
        for frame, file in zip(entry["frames"], files, strict=True)
    )
    thread = int(entry["os_thread_id"] or entry["thread_id"])
    name = stacks.plain(str(entry["thread_name"] or f"thread {thread}"))
    main = name == "MainThread" or thread == pid
    waits = _waits_for_work(frames, files, main=main)
    return stacks.ThreadStack(
        pid=pid,
        thread=thread,
        name=name,
        role="main" if main else _started_with(frames),
        active=bool(entry["active"]),
        waits_for_work=waits,
        frames=frames,
        rests=waits and any(map(_is_event_loop, frames, files)),
    )


def _started_with(frames: Sequence[stacks.Frame]) -> str:
    """The function that the thread was started with: what stands right inside of the threading module."""
    outer = next((frame for frame in reversed(frames) if frame.file != "threading.py"), None)
    return f"{outer.function} ({outer.file})" if outer else "nothing yet"


def _waits_for_work(frames: Sequence[stacks.Frame], files: Sequence[str], *, main: bool) -> bool:
    loops = _LOOPS | _MAIN_LOOPS if main else _LOOPS
    for frame, file in zip(frames, files, strict=True):
        if _is_one_of(loops, frame, file):
            return True
        if not _is_one_of(_WAITING, frame, file):
            return False
    return False


def _is_event_loop(frame: stacks.Frame, file: str) -> bool:
    return _is_one_of(_EVENT_LOOPS, frame, file)


def _is_one_of(table: set[tuple[str, str]], frame: stacks.Frame, file: str) -> bool:
    # Python 3.11 and newer give "Thread.run", older ones "run".
    function = frame.function.rpartition(".")[2]
    return any(function == name and (file == end or file.endswith(f"/{end}")) for end, name in table)
