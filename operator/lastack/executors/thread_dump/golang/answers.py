"""Go: the goroutines that a program with net/http/pprof serves, as stacks. Used by `reader`; fetched by `fetching`.

Goroutines are no threads of the kernel, and a Go program ends by a SIGQUIT: where it serves no profile, its threads are
told as the kernel sees them. The tables are the place to teach another server.
"""

import collections
import dataclasses
import datetime as dt
import re
from collections.abc import Sequence

from lastack.executors.thread_dump import stacks

# Labels of the goroutine may follow its state.
_HEAD = re.compile(
    r"^goroutine (?P<number>\d+)(?: gp=\S+ m=\S+(?: mp=\S+)?)? \[(?P<state>[^],]*)[^]]*\](?: ?\{.*\})?:$"
)
_CALL = re.compile(r"^(?P<function>\S.*?)\((?:[^()]|\([^()]*\))*\)$")
_PLACE = re.compile(r"^\t(?P<file>\S.*):(?P<line>\d+)(?: \+0x[0-9a-f]+)?$")
_CREATED = re.compile(r"^created by (?P<function>\S+)")
_ELIDED = re.compile(r"^\.\.\.")  # "...additional frames elided..." below the hundredth
# Beside GOROOT's own folder: with -trimpath, files of the standard library have no folder above it.
_STANDARD = re.compile(r"/go[^/]*/src/|^(?!/)")
_MODULE = re.compile(r"@v\d|/vendor/|/pkg/mod/")

_ASKED = "runtime/pprof.writeGoroutineStacks"
"""In the goroutine that writes the profile, which is there for us only."""

_WAITS_FOR_WORK = (
    "net.(*TCPListener).Accept",
    "net.(*netFD).accept",
    "net/http.(*connReader).backgroundRead",
    "net/http.(*conn).readRequest",
    "net/http.(*persistConn).readLoop",
    "net/http.(*persistConn).writeLoop",
    "database/sql.(*DB).connectionOpener",
    "os/signal.signal_recv",
    "os/signal.loop",
    "runtime.gcBgMarkWorker",
    "runtime.bgsweep",
    "runtime.bgscavenge",
    "runtime.forcegchelper",
    "runtime.runfinq",
    "google.golang.org/grpc/internal/transport.",
    "google.golang.org/grpc.(*Server).Serve",
)
"""Innermost functions beyond the runtime's and net's own that wait for the next piece of work."""
_BELOW = (
    "runtime.",
    "internal/poll.",
    "net.",
    "syscall.",
    "bufio.",
    "sync.",
    "internal/sync.",
    "time.",
    "io.",
)
_DOWNSTREAM = (
    "net/http.(*persistConn).roundTrip",
    "net/http.(*Transport).getConn",
    "net/http.(*Transport).dialConn",
    "net.(*Dialer).DialContext",
    "database/sql.(*DB).queryDC",
    "google.golang.org/grpc.(*csAttempt).recvMsg",
)
_LOCKS = frozenset({"sync.Mutex.Lock", "sync.RWMutex.Lock", "sync.RWMutex.RLock", "semacquire"})


def read(raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
    """The goroutines of `goroutine?debug=2`; what is cut gives those that it still has, and says so."""
    blocks = raw.decode("utf-8", errors="replace").split("\n\n")
    found = [_block(block) for block in blocks]
    others = [each for each in found if each is not None and not each.asked]
    threads = tuple(goroutine for each in others if (goroutine := _goroutine(pid, each)).frames)
    return stacks.ProcessDump(
        *(pid, parent, command, at, threads, raw, "a Go program", "txt"),
        of_kernel=False,
        partial=_lacks(raw, found),
    )


def _lacks(raw: bytes, found: Sequence["_Block | None"]) -> str | None:
    """Why it may not be the whole profile, or None. There is no list of goroutines in it to count them by."""
    heads = collections.Counter(each.head["number"] for each in found if each is not None)
    strange = sum(each is None or each.cut for each in found)
    asked = sum(each is not None and each.asked for each in found)
    problems = (
        (strange > 0, f"{strange} of its goroutines are cut or not understood"),
        (not raw.endswith(b"\n"), "its end is missing"),
        (asked == 0, "the goroutine that wrote it is missing"),
        (any(many > 1 for many in heads.values()), "a goroutine stands in it twice"),
    )
    return next((words for holds, words in problems if holds), None)


@dataclasses.dataclass(frozen=True, slots=True)
class _Block:
    """One goroutine as it is written; `asked`: it is the one that answers."""

    head: re.Match[str]
    lines: list[str]
    asked: bool

    @property
    def cut(self) -> bool:
        """Whether a line is of a kind that is not known, or the place of a function is missing."""
        expects_place = False
        for line in self.lines:
            if line.startswith("\t"):
                if not expects_place or not _PLACE.match(line):
                    return True
                expects_place = False
            elif expects_place:
                return True
            elif _CREATED.match(line) or _CALL.match(line):
                expects_place = True
            elif not _ELIDED.match(line):
                return True
        return expects_place or not self.lines


def _block(text: str) -> _Block | None:
    """None for what does not begin as a goroutine does."""
    head, *lines = text.strip("\n").split("\n")
    found = _HEAD.match(head)
    return None if found is None else _Block(found, lines, _ASKED in text)


def _goroutine(pid: int, block: _Block) -> stacks.ThreadStack:
    head = block.head
    frames, created = _frames(block.lines)
    state = stacks.plain(head["state"])
    number = int(head["number"])
    working = state in {"running", "runnable"}
    return stacks.ThreadStack(
        pid=pid,
        thread=number,
        name=f"goroutine {number}",
        role="main" if number == 1 else stacks.plain(created or "the runtime"),
        active=working,
        waits_for_work=not working and _waits_for_work(frames),
        frames=frames,
        state=state,
        waits_for=stacks.Lock(f"?{number}", state) if state in _LOCKS else None,
        wait=_wait(state, frames),
    )


def _frames(lines: Sequence[str]) -> tuple[tuple[stacks.Frame, ...], str | None]:
    """Frames innermost first, and the function that started the goroutine."""
    frames: list[stacks.Frame] = []
    created: str | None = None
    function: str | None = None
    for line in lines:
        if made := _CREATED.match(line):
            created, function = made["function"], None
        elif call := _CALL.match(line):
            function = call["function"]
        elif function is not None and (place := _PLACE.match(line)):
            frames.append(_frame(function, place["file"], int(place["line"])))
            function = None
    return tuple(frames), created


def _frame(function: str, file: str, line: int) -> stacks.Frame:
    folder, slash, name = function.rpartition("/")
    package = folder + slash + name.partition(".")[0]
    # Packages of others begin with a domain.
    standard = (
        package != "main" and "." not in package.partition("/")[0] and _STANDARD.search(file) is not None
    )
    return stacks.Frame(
        function=stacks.plain(function),
        file=stacks.plain(file.rpartition("/")[2]),
        line=line,
        application=not standard and _MODULE.search(file) is None,
    )


def _waits_for_work(frames: Sequence[stacks.Frame]) -> bool:
    for frame in frames:
        if frame.function.startswith(_WAITS_FOR_WORK):
            return True
        if not frame.function.startswith(_BELOW):
            return False
    return True  # only the runtime


def _wait(state: str, frames: Sequence[stacks.Frame]) -> stacks.Wait | None:
    """What the runtime's words mean in the kernel's; no peer: on which socket a goroutine waits is not told."""
    if state in {"running", "runnable"}:
        return stacks.Wait(None, running=True)
    for frame in frames:
        if frame.application:
            break
        if frame.function.startswith(_DOWNSTREAM):
            return stacks.Wait("read", running=False, side="outbound")
    if state == "IO wait":
        return stacks.Wait("read", running=False, side="outbound")
    if state == "sleep":
        return stacks.Wait("nanosleep", running=False)
    return None
