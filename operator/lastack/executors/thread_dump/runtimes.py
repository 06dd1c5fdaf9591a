"""Which runtime a process is, by what it has mapped and what its program file is; never by its name.

Used by `series` to choose a reader, and to say what a person can do where there is none.
"""

import dataclasses
import enum
import pathlib
import re

from lastack.engine import samples
from lastack.kernel import procfs

_PYTHON_PROGRAM = re.compile(r"/python[23]?(?:\.\d+)?t?$")
_PYTHON_MAPPED = re.compile(r"/libpython[23]\.\d+\w*\.so|\.cpython-\d+\w*-[\w-]+\.so|/lib-dynload/")
_OPENJ9 = re.compile(r"/libj9vm\d*\.so")
# The ELF note of the Go linker, type 4 and name "Go", in either byte order; it stands before the code.
_GO_NOTE = re.compile(rb"(?:\x04\0\0\0|\0\0\0\x04)Go\0\0")
_HEADER_BYTES = 65536


class Kind(enum.Enum):
    """A runtime, as it is called in sentences."""

    CPYTHON = "CPython"
    JVM = "a Java virtual machine"
    OTHER_JVM = "a Java virtual machine that is not HotSpot"
    NODE = "Node.js"
    GO = "a Go program"
    NATIVE = "a native program"
    KERNEL = "a kernel thread"


NODE_BY_HAND = (
    "by hand: started with --report-on-signal, it tells where its loop stands on SIGUSR2 (else it ends)"
)

_BY_HAND = {
    Kind.JVM: "by hand: jcmd {pid} Thread.print -l, as the user of the process",
    Kind.OTHER_JVM: "by hand: jcmd {pid} Thread.print, of its own JDK and as the user of the process",
    Kind.NODE: NODE_BY_HAND,
    Kind.GO: "by hand: GET /debug/pprof/goroutine?debug=2, where it serves net/http/pprof (a SIGQUIT ends it)",
    Kind.NATIVE: "by hand: lastack dump {pid} --native-stacks shows them; it stops each thread for some milliseconds",
    Kind.KERNEL: "by hand: cat /proc/{pid}/stack, as root, shows where it is in the kernel",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen."""

    kind: Kind
    seen: str

    def sentence(self, pid: int) -> str:
        """Why its functions are not told, or why there is no dump at all."""
        if self.kind is Kind.KERNEL:
            return f"process {pid} is a kernel thread ({self.seen}): it runs no program whose threads could be dumped"
        what = "its threads are told as the kernel sees them, without functions"
        return f"process {pid} is {self.kind.value} ({self.seen}): {what}"

    def by_hand(self, pid: int) -> str | None:
        """What a person can do to see more."""
        command = _BY_HAND.get(self.kind)
        return command.format(pid=pid) if command else None


def recognize(pid: int) -> Evidence | samples.Missing:
    """Which runtime the process is. Missing when it is gone, a zombie, or may not be looked into."""
    facts = procfs.process(pid)
    if isinstance(facts, samples.Missing):
        return samples.Missing(f"process {pid} does not exist", fix="it has ended, or the pid is wrong")
    if facts.state in {"Z", "X"}:
        return samples.Missing(
            f"process {pid} ({facts.name}) has ended and only waits to be collected (a zombie)"
        )
    maps = procfs.read(f"/proc/{pid}/maps")
    if isinstance(maps, samples.Missing):
        return maps
    if not maps:
        return Evidence(Kind.KERNEL, f"{facts.name}, nothing is mapped")
    try:
        program = str(pathlib.Path(f"/proc/{pid}/exe").readlink()).removesuffix(" (deleted)")
    except OSError as problem:
        return procfs.missing(problem, f"/proc/{pid}/exe")
    mapped = sorted(
        {line.split(maxsplit=5)[5] for line in maps.decode(errors="replace").splitlines() if "/" in line}
    )
    return _judged(pid, program, mapped)


def _judged(pid: int, program: str, mapped: list[str]) -> Evidence:
    # OpenJ9 has a libjvm.so too; to a SIGQUIT it writes files, and its way of being asked is another one.
    libj9vm = next((path for path in mapped if _OPENJ9.search(path)), None)
    if libj9vm:
        return Evidence(Kind.OTHER_JVM, f"it has {libj9vm} mapped, which is OpenJ9's")
    libjvm = next((path for path in mapped if path.endswith("/libjvm.so")), None)
    if libjvm:
        return Evidence(Kind.JVM, f"it has {libjvm} mapped")
    if _PYTHON_PROGRAM.search(program):
        return Evidence(Kind.CPYTHON, f"its program is {program}")
    python = next((path for path in mapped if _PYTHON_MAPPED.search(path)), None)
    if python:
        return Evidence(Kind.CPYTHON, f"it has {python} mapped")
    libnode = next((path for path in mapped if "/libnode.so" in path), None)
    if libnode or program.endswith("/node"):
        return Evidence(Kind.NODE, f"its program is {program}")
    if _is_go(pid):
        return Evidence(Kind.GO, f"{program} carries the note of the Go linker")
    return Evidence(Kind.NATIVE, f"its program is {program}")


def _is_go(pid: int) -> bool:
    try:
        with pathlib.Path(f"/proc/{pid}/exe").open("rb") as program:
            return _GO_NOTE.search(program.read(_HEADER_BYTES)) is not None
    except OSError:
        return False
