"""Threads as the kernel sees them, for programs that cannot be asked; nothing is stopped. Used by `readers`.

Per thread: its name, whether it runs, the system call in which it sleeps, where in the kernel (wchan, and the kernel's
own stack where that is permitted). No function of the program is named; on whose socket a thread waits is (`waits`).
"""

import datetime as dt
import json
import re
from typing import Any

from lastack import errors
from lastack.engine import samples
from lastack.executors.thread_dump import runtimes, stacks
from lastack.kernel import blocked_calls, procfs
from lastack.policy import valid

_NUMBER = re.compile(r"\d+")
_KERNEL_FRAME = re.compile(r"^\[<[^>]*>\] (\S+?)(?:\+0x\S+)?$")
_MOST_KERNEL_FRAMES = 16
# A pool that has nothing to do, an event loop that waits for its next event, a listener.
_WAITS_FOR_WORK = frozenset(
    {
        *(
            "epoll_wait",
            "epoll_pwait",
            "epoll_pwait2",
            "futex",
            "accept",
            "accept4",
            "pause",
            "wait4",
            "waitid",
        ),
        *("rt_sigtimedwait", "rt_sigsuspend", "io_uring_enter", "nanosleep", "clock_nanosleep"),
    }
)
_ONE_LOOP = frozenset({"Node.js"})
"""Runtimes whose first thread waits for work in its loop only (epoll): in a futex it waits for another thread."""
RUNNING = "code of its own"
"""The place of a thread that is in no system call."""


class Reading:
    """A dump that is there as soon as it is asked for."""

    def __init__(self, pid: int, runtime: str) -> None:
        """Read it. Raises NotReachable when the process is gone, NotPermitted where it may not be looked into."""
        self._raw = json.dumps(document(pid, runtime), indent=1).encode()

    def wait(self, within: dt.timedelta) -> bytes | None:
        """The JSON."""
        del within
        return self._raw

    def close(self) -> None:
        """Nothing goes on."""


class Reader:
    """What the kernel tells of any program's threads: no functions, but calls and sockets."""

    passive = True

    def __init__(self, kind: runtimes.Kind) -> None:
        """`kind` is what the dump says that the program is."""
        self._kind = kind

    def begin(self, pid: int, settings: valid.ThreadDump, now: dt.timedelta) -> Reading:
        """Read /proc."""
        del settings, now  # nothing is stopped, and nothing is sent
        return Reading(pid, self._kind.value)

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """Its JSON."""
        return read(raw, pid=pid, parent=parent, command=command, at=at)


def document(pid: int, runtime: str) -> dict[str, object]:
    """What becomes the JSON. Raises NotReachable when the process is gone, NotPermitted where nobody may look."""
    threads = procfs.threads(pid)
    if isinstance(threads, samples.Missing):
        raise _failure(pid, threads)
    found = [entry for each in threads if (entry := _entry(pid, each)) is not None]
    if not found:
        raise errors.NotReachable(f"process {pid} has ended")
    return {"runtime": runtime, "threads": found}


def read(raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
    """The threads in the JSON of a Reading. Raises Unsupported for anything else."""
    try:
        content = json.loads(raw)
        runtime = str(content["runtime"])
        threads = tuple(_thread(pid, entry, runtime) for entry in content["threads"])
    except (ValueError, TypeError, KeyError, AttributeError) as problem:
        raise errors.Unsupported(
            f"this is no record of threads as the kernel sees them: {problem!r}"
        ) from problem
    return stacks.ProcessDump(pid, parent, command, at, threads, raw, runtime)


def _entry(pid: int, thread: int) -> dict[str, Any] | None:
    """One thread; None when it ended."""
    call = blocked_calls.of_thread(pid, thread)
    if isinstance(call, samples.Missing):
        if call.fix is not None:
            raise _failure(pid, call)
        return None
    facts = procfs.process(thread)
    if isinstance(facts, samples.Missing):
        return None
    return {
        "thread": thread,
        "name": stacks.plain(facts.name),
        "state": facts.state,
        "running": call is None,
        "call": None if call is None else call.name,
        "number": None if call is None else call.number,
        "wchan": _text(f"/proc/{pid}/task/{thread}/wchan"),
        "kernelStack": _kernel_stack(pid, thread),
    }


def _text(path: str) -> str | None:
    content = procfs.read(path)
    return None if isinstance(content, samples.Missing) else content.decode(errors="replace").strip() or None


def _kernel_stack(pid: int, thread: int) -> list[str]:
    """Innermost first; empty without CAP_SYS_ADMIN."""
    text = _text(f"/proc/{pid}/task/{thread}/stack") or ""
    found = (_KERNEL_FRAME.match(line.strip()) for line in text.splitlines()[:_MOST_KERNEL_FRAMES])
    return [frame[1] for frame in found if frame is not None]


def _thread(pid: int, entry: dict[str, Any], runtime: str) -> stacks.ThreadStack:
    call, running = entry["call"], bool(entry["running"])
    number = entry["number"]
    place = RUNNING if running else call or (f"system call {number}" if (number or -1) >= 0 else "the kernel")
    frames = (
        stacks.Frame(place, "", 0, application=False),
        *(stacks.Frame(stacks.plain(each), "kernel", 0, application=False) for each in entry["kernelStack"]),
    )
    idle = not running and (call in _WAITS_FOR_WORK or call is None)
    if runtime in _ONE_LOOP and entry["thread"] == pid and call == "futex":
        idle = False
    return stacks.ThreadStack(
        pid=pid,
        thread=entry["thread"],
        name=entry["name"],
        role="main" if entry["thread"] == pid else _NUMBER.sub("#", entry["name"]),
        active=running,
        waits_for_work=idle,
        # What the kernel goes through below a call may differ from look to look; the call is what stands still.
        frames=frames[:1] if running else frames,
        # What the kernel calls it is no word for a lock, as runtimes have.
        wait=stacks.Wait(None, running=True) if running else None,
    )


def _failure(pid: int, missing: samples.Missing) -> errors.WorldError:
    kind = errors.NotReachable if missing.fix is None else errors.NotPermitted
    return kind(f"process {pid}: {missing.why}", fix=missing.fix)
