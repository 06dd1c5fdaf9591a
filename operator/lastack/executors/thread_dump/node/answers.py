"""The JavaScript stack of one Node.js process as `child` wrote it, as stacks. Used by `reader`; pure."""

import dataclasses
import datetime as dt
import json
import re
from typing import Any

from lastack import errors
from lastack.executors.thread_dump import kernel_view, stacks

WAY = "JavaScript"
"""How a dump of this kind was read."""

_PACKAGES = re.compile(r"^(?:node|wasm):|^internal/|^$|(?:^|/)node_modules/|^(?:file://)?/usr/share/nodejs/")
"""Scripts that are not the application's: Node's own, what V8 has inside, installed packages."""
_INSTALLED = re.compile(r".*(?:^|/)(?:node_modules|usr/share/nodejs)/")
_UNTELLING = re.compile(r"^(?:index|main)\.[cm]?[jt]s$")
"""Names of files that say nothing without their folder."""
_LOOPS = frozenset({"epoll_wait", "epoll_pwait", "epoll_pwait2", "io_uring_enter"})


def read(raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
    """The threads in its JSON: the main one with its JavaScript. Raises Unsupported for anything else."""
    seen = kernel_view.read(raw, pid=pid, parent=parent, command=command, at=at)
    try:
        content = json.loads(raw)
        told = content["javascript"]
        calls = {entry["thread"]: entry["call"] for entry in content["threads"]}
        threads = tuple(
            _main(each, told, calls.get(pid)) if each.thread == pid and told is not None else each
            for each in seen.threads
        )
        partial = _partial(told)
    except (ValueError, TypeError, KeyError) as problem:
        raise errors.Unsupported(f"this is no record of JavaScript: {problem!r}") from problem
    return dataclasses.replace(seen, threads=threads, partial=partial, way=WAY)


def _partial(told: dict[str, Any] | None) -> str | None:
    if told is None:
        return "its main thread did not stand still while it was looked at"
    return None if told["partial"] is None else str(told["partial"])


def _main(thread: stacks.ThreadStack, told: dict[str, Any], call: str | None) -> stacks.ThreadStack:
    """The main thread: with its JavaScript, or at rest, or in code that is none."""
    frames = tuple(_frame(entry) for entry in told["frames"])
    running = bool(told["running"])
    if not frames:
        rests = not running and call in _LOOPS
        return dataclasses.replace(thread, rests=rests, waits_for_work=rests or thread.waits_for_work)
    return dataclasses.replace(
        thread,
        active=running,
        waits_for_work=False,
        frames=frames,
        # What was seen with the stack says more than what is seen after it.
        wait=stacks.Wait(None, running=True) if running else None,
    )


def _frame(entry: dict[str, Any]) -> stacks.Frame:
    script = str(entry["script"])
    return stacks.Frame(
        function=stacks.plain(str(entry["function"])),
        file=stacks.plain(_file(script)),
        line=int(entry["line"]),
        application=_PACKAGES.search(script) is None,
    )


def _file(script: str) -> str:
    """As short as it still says which: Node's own as they are, of a package its path in there, else the file."""
    if script.startswith(("node:", "wasm:")):
        return script
    installed = _INSTALLED.match(script)
    if installed is not None:
        return script[installed.end() :]
    *folders, name = script.removeprefix("file://").split("/")
    return f"{folders[-1]}/{name}" if _UNTELLING.match(name) and folders and folders[-1] else name
