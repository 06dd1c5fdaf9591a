"""Read the JavaScript stack of a Node.js, in a child that can be ended at any time. Called by `reader`.

Its main thread is stopped only while it runs: of one that sleeps in a system call the stack stands still by itself,
and whether it did is seen afterwards. What was found goes to 1 as JSON. The kernel ends this child by SIGALRM when the
thread stands longer than it may.
"""

import contextlib
import dataclasses
import datetime as dt
import gc
import json
import os
import platform
import signal
import time
from collections.abc import Callable, Iterator

from lastack import errors
from lastack.engine import samples
from lastack.executors.thread_dump import children, kernel_view, seizures
from lastack.executors.thread_dump.node import memories, metadata, walks
from lastack.kernel import procfs

_CPU_SECONDS = 10
_ATTEMPTS = 4
_BETWEEN_SECONDS = 0.002
_FIRST = -20
_MACHINE = "x86_64"


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """Whose stack: `started` as procfs.ProcessFacts has it; how long its main thread may stand, 0 for not at all."""

    pid: int
    runtime: str
    started: dt.timedelta
    most_stopped_seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class _Look:
    """One attempt: the stack, whether the thread ran, and how long it stood for it; None: it moved meanwhile."""

    stack: walks.Stack
    running: bool
    stopped_seconds: float


class _MayNotStop(Exception):
    """It runs, and no stop is allowed."""


def read(request: Request) -> int:
    """The whole life of the child."""
    children.settle(_CPU_SECONDS)
    with contextlib.suppress(OSError):
        # Where processors are scarce, a thread that stands would wait for the threads that compete with this child.
        os.setpriority(os.PRIO_PROCESS, 0, _FIRST)
    try:
        document = _document(request)
    except OSError as problem:
        children.fail(children.code_of(problem), str(problem))
    except seizures.Ended:
        children.fail(children.GONE, "its main thread ended")
    except seizures.Late:
        children.fail(children.BROKEN, "its main thread got no processor in time")
    except _MayNotStop:
        children.fail(
            children.UNSUPPORTED,
            f"the JavaScript of process {request.pid} needs a stop while it runs, and maxPause is 0",
        )
    except errors.NotPermitted as problem:
        children.fail(children.CLOSED, problem.message)
    except errors.NotReachable as problem:
        children.fail(children.GONE, problem.message)
    except errors.Unsupported as problem:
        children.fail(children.UNSUPPORTED, problem.message)
    os.write(1, json.dumps(document, indent=1).encode())
    return 0


def _document(request: Request) -> dict[str, object]:
    if platform.machine() != _MACHINE:
        raise errors.Unsupported(
            f"the JavaScript of process {request.pid} can be read on {_MACHINE} only, and this is {platform.machine()}"
        )
    layout = metadata.of_process(request.pid)
    memory = os.open(f"/proc/{request.pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    if not procfs.is_same(request.pid, request.started):
        raise errors.NotReachable("it has ended")
    gc.disable()  # a collection here would make the stop longer
    look = None
    for attempt in range(_ATTEMPTS):
        time.sleep(attempt * _BETWEEN_SECONDS)
        look = _look(request, memory, layout) or look
        if look is not None and look.stack.frames:
            break
        # It moved meanwhile, or is in code of C that leaves no trace of who called it: a moment later it is not.
    others = kernel_view.document(request.pid, request.runtime)
    return {**others, "javascript": None if look is None else _told(look)}


def _told(look: _Look) -> dict[str, object]:
    return {
        "running": look.running,
        "stoppedMs": round(look.stopped_seconds * 1000, 2),
        "partial": look.stack.partial,
        "frames": [
            {
                "function": frame.function,
                "script": frame.script,
                "line": frame.line,
                "exact": frame.exact,
                "kind": frame.kind,
            }
            for frame in look.stack.frames
        ],
    }


def _look(request: Request, memory: int, layout: metadata.Layout) -> _Look | None:
    before = _standing(request.pid)
    if before is None:
        return _look_stopped(request, memory, layout)
    pointer, _ = before
    ground = _ground(request.pid, pointer)
    stack = walks.walk(_memory(memory), layout, ground, None)
    return _Look(stack, running=False, stopped_seconds=0) if _standing(request.pid) == before else None


def _look_stopped(request: Request, memory: int, layout: metadata.Layout) -> _Look | None:
    if request.most_stopped_seconds <= 0:
        raise _MayNotStop
    facts = procfs.process(request.pid)
    if isinstance(facts, samples.Missing) or facts.state in {"Z", "X"}:
        raise errors.NotReachable("its main thread does not run any more")
    if facts.state in {"D", "T", "t"}:
        return None  # in unkillable sleep it would stop some time later, when nobody waits for it
    ground = _ground(request.pid, 0)
    with _armed(request.most_stopped_seconds) as arm, seizures.stopped(request.pid, arm) as registers:
        began = time.perf_counter()
        here = dataclasses.replace(ground, low=registers.rsp)
        stack = walks.walk(
            _memory(memory),
            layout,
            here,
            walks.Registers(registers.rip, registers.rbp, registers.r12, registers.r9),
        )
        took = time.perf_counter() - began
    return _Look(stack, running=True, stopped_seconds=took)


@contextlib.contextmanager
def _armed(seconds: float) -> Iterator[Callable[[], None]]:
    """What is given (re)starts the time after which the kernel ends this process."""

    def arm() -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)

    try:
        yield arm
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _memory(descriptor: int) -> memories.Memory:
    """A new one each time: what was read before is no longer true."""

    def read(address: int, size: int) -> bytes:
        try:
            return os.pread(descriptor, size, address)
        except (OSError, OverflowError):
            return b""

    return memories.Memory(read)


def _standing(pid: int) -> tuple[int, tuple[str, ...]] | None:
    """Its stack pointer, and what is another as soon as it has moved; None while it runs."""
    line = procfs.read(f"/proc/{pid}/task/{pid}/syscall")
    if isinstance(line, samples.Missing):
        kind = errors.NotReachable if line.fix is None else errors.NotPermitted
        raise kind(line.why)
    words = line.decode().split()
    status = procfs.status(pid)
    if len(words) < 3 or isinstance(status, samples.Missing):
        return None
    switches = [value for name, value in status.items() if name.endswith("ctxt_switches")]
    return int(words[-2], 16), (*words, *switches)


def _ground(pid: int, pointer: int) -> walks.Ground:
    maps = procfs.read(f"/proc/{pid}/maps")
    if isinstance(maps, samples.Missing):
        raise errors.NotReachable(maps.why)
    spans = []
    for line in maps.splitlines():
        span, rights, _, _, _, *name = line.split(maxsplit=5)
        start, _, end = span.partition(b"-")
        spans.append(((int(start, 16), int(end, 16)), rights, b"".join(name)))
    stack = next((span for span, _, name in spans if name == b"[stack]"), None)
    if stack is None:
        raise errors.NotReachable("its main stack is not mapped")
    return walks.Ground(
        low=pointer,
        high=stack[1],
        writable=[span for span, rights, _ in spans if rights.startswith(b"rw")],
        executable=[span for span, rights, _ in spans if rights[2:3] == b"x"],
        generated=[span for span, rights, name in spans if rights[2:3] == b"x" and not name.startswith(b"/")],
    )
