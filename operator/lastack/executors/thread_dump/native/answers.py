"""Native stacks as `child` wrote them, as stacks: what is the application's, a lock, an idle pool. Pure.

Used by `readers`. The tables are the place to teach another library or another pool.
"""

import datetime as dt
import json
import re
from collections.abc import Sequence
from typing import Any

from lastack import errors
from lastack.executors.thread_dump import stacks

_LIBRARIES = re.compile(r"^/(?:usr/)?(?:local/)?lib(?:32|64|exec)?/|^\[|^$|\.so(?:\.[\d.]+)?$")
"""Modules that are not the application's: shared libraries, what the kernel maps, generated code."""
_LIBRARY = re.compile(
    r"^<?(?:impl )?(?:std|core|alloc|tokio\w*|mio|hyper\w*|axum\w*|actix\w*|tower\w*|futures\w*|rayon\w*|crossbeam\w*"
    r"|parking_lot\w*|reqwest|h2|rustls|tonic|warp|rocket|backtrace|__gnu_cxx|boost|folly|absl|grpc\w*|uv|asio)::"
    r"|^(?:_start|__libc_\w+|start_thread|__?clone3?|rust_\w+|__rust_\w+|lang_start\w*|execute_native_thread_routine)$"
)
"""Functions of runtimes and frameworks that are linked into the program."""
_LOCKS = re.compile(
    r"^(?:__)?(?:pthread_(?:mutex_(?:timed|clock)?lock|rwlock_\w*lock|spin_lock)\w*|lll_(?:mutex_)?lock_wait\w*)$"
    r"|^std::sys\S*::(?:futex_)?(?:mutex|rwlock)\S*::(?:lock|read|write)\w*"
    r"|^parking_lot::raw_(?:mutex|rwlock)\S*::lock\w*_slow|^std::(?:mutex|recursive_mutex|shared_mutex)::lock"
)
"""Where a thread waits for a lock that another one holds."""
_WAITS = re.compile(
    r"^(?:__)?(?:pthread_cond_\w*wait\w*|sem_\w*wait\w*|epoll_p?wait2?|accept4?|pause|sigwait\w*|sigtimedwait|sigsuspend"
    r"|wait4|waitpid|waitid|io_uring_\w+|pthread_(?:timed|clock)?join\w*|new_sem_wait\w*)$"
    r"|^std::sys\S*::condvar\S*::wait|^std::thread::(?:park|current::park)|^std::condition_variable\S*::wait"
    r"|^parking_lot::condvar"
)
"""Where it waits for the next piece of work: what else waits for a condition cannot be told from that."""
_SLEEPS = re.compile(r"^(?:__)?(?:nanosleep|clock_nanosleep|sleep|usleep)$")

_HASH = re.compile(r"::h[0-9a-f]{16}$")
_NUMBER = re.compile(r"\d+")
_ESCAPES = (
    *(("$LT$", "<"), ("$GT$", ">"), ("$RF$", "&"), ("$BP$", "*"), ("$LP$", "("), ("$RP$", ")"), ("$C$", ",")),
    *(
        ("$u20$", " "),
        ("$u7b$", "{"),
        ("$u7d$", "}"),
        ("$u27$", "'"),
        ("$u5b$", "["),
        ("$u5d$", "]"),
        ("..", "::"),
    ),
)
"""How Rust writes in symbols what is no letter."""


def read(
    raw: bytes, *, of_program: bool, pid: int, parent: int, command: str, at: dt.datetime
) -> stacks.ProcessDump:
    """The threads in the JSON; `of_program`: functions of the program file are the application's, not a runtime's."""
    try:
        content = json.loads(raw)
        frames = [_frame(place, of_program=of_program) for place in content["places"]]
        threads = tuple(_thread(pid, entry, frames) for entry in content["threads"])
        runtime = str(content["runtime"])
    except (ValueError, TypeError, KeyError, IndexError) as problem:
        raise errors.Unsupported(f"native stacks of a shape that is not known: {problem!r}") from problem
    return stacks.ProcessDump(pid, parent, command, at, threads, raw, runtime)


def _frame(place: dict[str, Any], *, of_program: bool) -> stacks.Frame:
    module, function = str(place["module"]), place["function"]
    name = "?" if function is None else _plain_name(str(function))
    own = of_program and function is not None and _LIBRARIES.search(module) is None
    if place["file"] is not None:
        file, line = str(place["file"]).rpartition("/")[2], int(place["line"])
    else:
        file, line = f"{module.rpartition('/')[2]}+{int(place['offset']):#x}", 0
    return stacks.Frame(
        stacks.plain(name), stacks.plain(file), line, application=own and _LIBRARY.search(name) is None
    )


def _plain_name(symbol: str) -> str:
    """Without versions, arguments and hashes."""
    name = _HASH.sub("", symbol.partition("@")[0].removeprefix("__GI_"))
    for written, meant in _ESCAPES if "$" in name or ".." in name else ():
        name = name.replace(written, meant)
    name = name.replace("(anonymous namespace)", "{anonymous}").removeprefix("_<")
    return name.partition("(")[0] or name


def _thread(pid: int, entry: dict[str, Any], known: Sequence[stacks.Frame]) -> stacks.ThreadStack:
    frames = tuple(known[number] for number in entry["frames"])
    name, main = stacks.plain(str(entry["name"])), bool(entry["main"])
    locked = _stands_at(_LOCKS, frames)
    return stacks.ThreadStack(
        pid=pid,
        thread=int(entry["thread"]),
        name=name,
        role="main" if main else _NUMBER.sub("#", name),
        active=bool(frames) and frames[0].application,
        waits_for_work=not locked
        and (_stands_at(_WAITS, frames) or (main and _stands_at(_SLEEPS, frames)) or not _has_own(frames)),
        frames=frames,
        # The word of other runtimes for a thread that waits for a lock.
        state="BLOCKED" if locked else None,
    )


def _stands_at(table: re.Pattern[str], frames: Sequence[stacks.Frame]) -> bool:
    """Whether such a function is inside of everything that is the application's."""
    for frame in frames:
        if frame.application:
            return False
        if table.search(frame.function):
            return True
    return False


def _has_own(frames: Sequence[stacks.Frame]) -> bool:
    return any(frame.application for frame in frames)
