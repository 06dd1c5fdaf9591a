"""Goroutines of a Go program that does not serve them, by delve where it is installed. Used by `reader`.

Only where the policy allows a stop, and for at most `maxPause`: delve reads the debugging information of the program
while all of it stands, which takes a second or more. A SIGQUIT, which ends a Go program, is never sent.
"""

import datetime as dt
import io
import mmap
import pathlib
import shutil

from lastack import errors
from lastack.executors.thread_dump import gates, pauses, stopping
from lastack.executors.thread_dump.golang import delve_child

_WITHIN = dt.timedelta(seconds=10)
_GRACE = dt.timedelta(seconds=5)
_MOST_PATCHES = 256
_INSTALL = (
    "go install github.com/go-delve/delve/cmd/dlv@latest, onto the PATH; or serve net/http/pprof on loopback"
)


def begin(pid: int, max_pause: dt.timedelta) -> stopping.Stopping:
    """Start one dump. Raises WorldError, and nothing was stopped, where delve is absent or it would do harm."""
    program = shutil.which("dlv")
    if program is None:
        raise errors.Unsupported(
            f"process {pid} does not serve its goroutines, and delve is not installed", fix=_INSTALL
        )
    seen = gates.look(pid)
    gates.must_run(seen)
    gates.must_not_be_traced(seen)
    footing = pauses.footing(pid)
    if not pauses.may_be_restored(footing):
        raise errors.NotPermitted(
            f"goroutines of process {pid} need a stop, and it might not be let go on again",
            fix="run as root, or with CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH and CAP_KILL",
        )
    request = delve_child.Request(program, pid, max_pause.total_seconds(), _WITHIN.total_seconds())

    def mend() -> None:
        take_back_breakpoints(pid)
        pauses.restore(footing)

    return stopping.Stopping(
        stopping.Plan(
            pid=pid,
            what="the goroutines",
            whose="all threads",
            work=lambda: delve_child.ask(request),
            within=_WITHIN + max_pause + _GRACE,
            max_pause=max_pause,
            mend=mend,
            # The child ends delve, which may leave its breakpoints.
            mends_always=True,
            longer="raise maxPause, to some seconds for most programs; or serve net/http/pprof on loopback",
        )
    )


def take_back_breakpoints(pid: int) -> int:
    """Write the program's own code over the few bytes that a killed delve left in it; how many there were.

    delve puts breakpoints where a Go program dies. Raises NotReachable where the code differs in more than that.
    """
    try:
        with (
            pathlib.Path(f"/proc/{pid}/exe").open("rb") as program,
            mmap.mmap(program.fileno(), 0, prot=mmap.PROT_READ) as content,
            pathlib.Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory,
        ):
            return sum(
                _written_back(pid, memory, start, content[offset : offset + size])
                for start, offset, size in _code(pid)
            )
    except (OSError, ValueError):
        return 0  # it has ended, or is not ours to write: then delve could not, either


def _code(pid: int) -> list[tuple[int, int, int]]:
    """Address, place in the file and size of what is mapped of the program and can be run."""
    program = str(pathlib.Path(f"/proc/{pid}/exe").readlink())
    found = []
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and "x" in fields[1] and fields[5] == program:
            start, end = (int(word, 16) for word in fields[0].split("-"))
            found.append((start, int(fields[2], 16), end - start))
    return found


def _written_back(pid: int, memory: io.RawIOBase, start: int, meant: bytes) -> int:
    memory.seek(start)
    there = memory.read(len(meant)) or b""
    if there == meant[: len(there)]:
        return 0
    differ = [place for place, (one, other) in enumerate(zip(there, meant, strict=False)) if one != other]
    if len(differ) > _MOST_PATCHES:
        raise errors.NotReachable(
            f"the code of process {pid} differs from its program in {len(differ)} places after a delve was ended",
            fix="restart it when that is convenient; it runs on meanwhile",
        )
    for place in differ:
        memory.seek(start + place)
        memory.write(meant[place : place + 1])
    return len(differ)
