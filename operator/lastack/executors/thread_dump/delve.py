"""Goroutines of a Go program that does not serve them, by delve where it is installed. Used by `readers`.

Only where the policy allows a stop, and for at most `maxPause`: delve reads the debugging information of the program
while all of it stands, which takes a second or more. A SIGQUIT, which ends a Go program, is never sent.
"""

import datetime as dt
import io
import mmap
import pathlib
import shutil

from lastack import errors
from lastack.executors.thread_dump import delve_child, forks, gates, pauses
from lastack.kernel import procfs

_WITHIN = dt.timedelta(seconds=10)
_GRACE = dt.timedelta(seconds=5)
_MOST_PATCHES = 256
_INSTALL = (
    "go install github.com/go-delve/delve/cmd/dlv@latest, onto the PATH; or serve net/http/pprof on loopback"
)


class Debugging:
    """One dump that is being taken; close() ends it early."""

    def __init__(self, pid: int, max_pause: dt.timedelta) -> None:
        """Begin. Raises WorldError, and nothing was stopped, where delve is absent or it would do harm."""
        program = shutil.which("dlv")
        if program is None:
            raise errors.Unsupported(
                f"process {pid} does not serve its goroutines, and delve is not installed", fix=_INSTALL
            )
        seen = gates.look(pid)
        gates.must_run(seen)
        gates.must_not_be_traced(seen)
        self._pid = pid
        self._max_pause = max_pause
        self._footing = pauses.footing(pid)
        if not pauses.may_be_restored(self._footing):
            raise errors.NotPermitted(
                f"goroutines of process {pid} need a stop, and it might not be let go on again",
                fix="run as root, or with CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH and CAP_KILL",
            )
        self._left = _WITHIN + max_pause + _GRACE
        request = delve_child.Request(program, pid, max_pause.total_seconds(), _WITHIN.total_seconds())
        self._child = forks.Child(lambda: delve_child.ask(request))
        self._whole = False

    def wait(self, within: dt.timedelta) -> bytes | None:
        """The goroutines as text, or None when they are not there `within` this time: call again.

        Raises NotReachable or Unsupported with the reason.
        """
        status = self._child.wait(min(within, self._left))
        if status is None:
            self._left -= within
            if self._left > dt.timedelta(0):
                return None
        if status == 0:
            raw = self._child.output()
            self.close()
            return raw
        said = self._child.said()
        self.close()
        raise self._failure(said)

    def close(self) -> None:
        """End it; the process is as before. Raises NotReachable where it is not."""
        if not self._whole:
            self._whole = True
            self._child.close()
            take_back_breakpoints(self._pid)
            pauses.restore(self._footing)

    def _failure(self, said: str) -> errors.WorldError:
        code, _, words = said.strip().partition(" ")
        if procfs.is_gone(self._pid):
            return errors.NotReachable(f"process {self._pid} has ended")
        if code == delve_child.LATE:
            return errors.NotReachable(
                f"delve would have stopped process {self._pid} longer than "
                f"{self._max_pause.total_seconds() * 1000:g} ms (maxPause); the stop was ended, and it runs on",
                fix="raise maxPause, to some seconds for most programs; or serve net/http/pprof on loopback",
            )
        return errors.NotReachable(f"delve could not read process {self._pid}: {words or said[:200]}")


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
