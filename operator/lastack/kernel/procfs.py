"""Processes as /proc tells them. A read that fails is a `Missing` with its reason, never an exception or a 0.

Called by sensors, executors and hosts; `read` and `missing` serve the other /proc readers of kernel.
"""

import dataclasses
import datetime as dt
import errno
import os

from lastack.engine import samples

_SECOND = dt.timedelta(seconds=1)


@dataclasses.dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What /proc/PID/stat says."""

    pid: int
    parent: int
    name: str
    """comm: at most 15 bytes."""
    state: str
    """R, S, D, T (stopped), Z (zombie) ... as in ps."""
    threads: int
    started: dt.timedelta
    """Since boot, by CLOCK_BOOTTIME; with the pid it says which process it is."""
    cpu: dt.timedelta
    """Processor time of all its threads since it began, user and system."""


def missing(problem: OSError, what: str) -> samples.Missing:
    """The reason why `what` could not be read, and what would help."""
    if problem.errno in {errno.ENOENT, errno.ESRCH}:
        return samples.Missing(f"vanished: {what} is not there (any more)")
    if problem.errno in {errno.EACCES, errno.EPERM}:
        return samples.Missing(
            "not permitted: needs CAP_SYS_PTRACE", fix="run as root, or grant CAP_SYS_PTRACE"
        )
    return samples.Missing(f"{what}: {problem.strerror or problem}")


def read(path: str) -> bytes | samples.Missing:
    """A whole /proc file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as problem:
        return missing(problem, path)
    try:
        parts = []
        while part := os.read(descriptor, 65536):
            parts.append(part)
    except OSError as problem:
        return missing(problem, path)
    finally:
        os.close(descriptor)
    return b"".join(parts)


def process(pid: int) -> ProcessFacts | samples.Missing:
    """Parent, name, state, threads, start and processor time of a process."""
    content = read(f"/proc/{pid}/stat")
    if isinstance(content, samples.Missing):
        return content
    # The name may hold spaces and parentheses: the last one closes it.
    opening, closing = content.find(b"("), content.rfind(b")")
    fields = content[closing + 1 :].split()
    if opening < 0 or len(fields) < 20:
        return samples.Missing(f"/proc/{pid}/stat has a shape that is not known")
    per_second = os.sysconf("SC_CLK_TCK")
    return ProcessFacts(
        pid=pid,
        parent=int(fields[1]),
        name=content[opening + 1 : closing].decode(errors="replace"),
        state=fields[0].decode(),
        threads=int(fields[17]),
        started=int(fields[19]) * _SECOND / per_second,
        cpu=(int(fields[11]) + int(fields[12])) * _SECOND / per_second,
    )


def is_gone(pid: int) -> bool:
    """Whether the process has ended: it is not there, or only its parent has not noticed yet (a zombie)."""
    facts = process(pid)
    return isinstance(facts, samples.Missing) or facts.state == "Z"


def is_same(pid: int, started: dt.timedelta) -> bool:
    """Whether the process with this pid is the one that started then (ProcessFacts.started), and it has not ended."""
    facts = process(pid)
    return not isinstance(facts, samples.Missing) and facts.started == started and facts.state != "Z"


def command_line(pid: int) -> tuple[str, ...] | samples.Missing:
    """The arguments of a process; empty for a kernel thread and a zombie."""
    content = read(f"/proc/{pid}/cmdline")
    if isinstance(content, samples.Missing):
        return content
    return tuple(
        part.decode(errors="replace") for part in content.removesuffix(b"\0").split(b"\0") if content
    )


def status(pid: int) -> dict[str, str] | samples.Missing:
    """/proc/PID/status as name -> text (NSpid, SigCgt, Uid, ...)."""
    content = read(f"/proc/{pid}/status")
    if isinstance(content, samples.Missing):
        return content
    pairs = (line.partition(":") for line in content.decode(errors="replace").splitlines())
    return {name: value.strip() for name, _, value in pairs}


def pids() -> tuple[int, ...]:
    """Every process that this one can see, ascending."""
    return tuple(sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()))


def newest_pid() -> int | samples.Missing:
    """The pid, of a process or thread, that was given last: while it is the same, nothing was started anywhere.

    It is told of the reader's own pid namespace; Missing where /proc shows another one.
    """
    content = read("/proc/loadavg")
    if isinstance(content, samples.Missing):
        return content
    if os.readlink("/proc/self") != str(os.getpid()):
        return samples.Missing("/proc belongs to another pid namespace")
    return int(content.split()[4])


def threads(pid: int) -> tuple[int, ...] | samples.Missing:
    """The thread ids of a process, ascending."""
    try:
        return tuple(sorted(int(name) for name in os.listdir(f"/proc/{pid}/task")))
    except OSError as problem:
        return missing(problem, f"/proc/{pid}/task")


def boot_id() -> str | samples.Missing:
    """A random name of this boot."""
    content = read("/proc/sys/kernel/random/boot_id")
    return content if isinstance(content, samples.Missing) else content.decode().strip()
