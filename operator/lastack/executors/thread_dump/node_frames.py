"""Node.js: what its inspector said, as stacks. Used by `readers`; asked by `inspector`. Pure."""

import datetime as dt
import json
import re
from typing import Any

from lastack import errors
from lastack.executors.thread_dump import stacks

_LIBRARY = re.compile(r"^node:|^internal/|/node_modules/|^wasm:")
"""Scripts that are not the application's: those of Node.js, and installed packages."""
_RESTING = stacks.Frame("the event loop", "", 0, application=False)


def read(raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
    """The stack of the loop; threads of the pool, which run no JavaScript, are not told."""
    try:
        content = json.loads(raw)
        frames = None if content["frames"] is None else tuple(map(_frame, content["frames"]))
    except (ValueError, TypeError, KeyError) as problem:
        raise errors.Unsupported(
            f"an inspector's answer of a shape that is not known: {problem!r}"
        ) from problem
    loop = stacks.ThreadStack(
        pid=pid,
        thread=pid,
        name="the event loop",
        role="main",
        active=bool(frames),
        waits_for_work=not frames,
        frames=frames or (_RESTING,),
        rests=not frames,
    )
    return stacks.ProcessDump(pid, parent, command, at, (loop,), raw, "Node.js")


def _frame(entry: dict[str, Any]) -> stacks.Frame:
    url = str(entry["url"])
    path = url.partition("?")[0]
    return stacks.Frame(
        function=stacks.plain(str(entry["function"]) or "(anonymous)"),
        file=stacks.plain(path.rpartition("/")[2] if "://" in url or url.startswith("/") else path),
        line=int(entry["line"]),
        application=_LIBRARY.search(url) is None,
    )
