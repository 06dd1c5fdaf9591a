"""Ask one HotSpot JVM for its threads, for a bounded time and only where that cannot harm it. Used by `series`.

Attaching makes the JVM dump its threads at a safepoint (10 to 30 ms for 500 threads). What is dangerous is the
SIGQUIT that wakes the attach listener: a process that does not catch it ends, and a JVM that may not be attached to
prints the dump on its own standard output, inside the safepoint. So everything is looked at before.
"""

import datetime as dt
import pathlib
import re

from lastack import errors
from lastack.engine import samples
from lastack.executors.thread_dump import forks, hotspot_child, workers
from lastack.kernel import procfs

WITHIN = dt.timedelta(seconds=10)
"""A JVM that reaches no safepoint, or is stopped, would never answer."""
MOST_BYTES = 64 * 1024 * 1024
"""5,000 threads of 100 frames are about 40 MB."""
YOUNG = dt.timedelta(seconds=2)
"""A JVM catches SIGQUIT some time after it began; younger ones ended by it when it was tried."""

_GRACE = dt.timedelta(seconds=2)
"""Beyond the time that the child gives itself, for a machine that is busy."""
_SIGQUIT_BIT = 1 << 2
_DISABLED = re.compile(r"-XX:\+DisableAttachMechanism\b")
_BARE_FLAG = re.compile(r"(?:-XX:)?([+-]DisableAttachMechanism\b)")
_NAMES_FILE = re.compile(r"(?:@|-XX:Flags=|-XX:VMOptionsFile=)(.+)")
_ENABLED = re.compile(r"-XX:-DisableAttachMechanism\b")


class Asking:
    """One dump that is being taken; close() ends it early. The same shape as py_spy.Dumping."""

    def __init__(self, pid: int, now: dt.timedelta, within: dt.timedelta = WITHIN) -> None:
        """Begin; `now` is the steady clock. Raises WorldError, and nothing was sent, where it would be dangerous."""
        target = _checked(pid, now)
        self._pid = pid
        self._left = within + _GRACE
        request = hotspot_child.Request(target, within.total_seconds(), MOST_BYTES)
        # Where it is our own user's, a thread will do: to fork takes longer than a dump of fifty threads.
        self._work: forks.Child | workers.Worker = (
            workers.Worker(lambda means: hotspot_child.ask_as_ourselves(request, means))
            if hotspot_child.is_ours(target)
            else forks.Child(lambda: hotspot_child.ask_as_user(request))
        )

    def wait(self, within: dt.timedelta) -> bytes | None:
        """What the JVM said, or None when it is not there `within` this time: call again.

        Raises NotPermitted, NotReachable or Unsupported with the reason.
        """
        status = self._work.wait(min(within, self._left))
        if status == 0:
            return self._work.output()
        if status is not None:
            raise _failure(self._pid, self._work.said())
        self._left -= within
        if self._left > dt.timedelta(0):
            return None
        self.close()
        raise _silent(self._pid, "it did not answer in time")

    def close(self) -> None:
        """End it and forget what was said. Only a child that had to be killed leaves a file `.attach_pid` behind."""
        self._work.close()


def _checked(pid: int, now: dt.timedelta) -> hotspot_child.Target:
    """Everything that must hold before anything is sent. Raises WorldError with the reason."""
    content = procfs.read(f"/proc/{pid}/stat")
    facts, status = procfs.process(pid), procfs.status(pid)
    for found in (content, facts, status):
        if isinstance(found, samples.Missing):
            raise errors.NotReachable(f"process {pid} has ended")
    assert isinstance(content, bytes)  # noqa: S101 - told apart above
    assert isinstance(facts, procfs.ProcessFacts)  # noqa: S101 - the same
    assert isinstance(status, dict)  # noqa: S101 - the same
    _must_run(pid, facts)
    if not int(status.get("SigCgt", "0"), 16) & _SIGQUIT_BIT:
        raise errors.Unsupported(
            f"process {pid} does not catch SIGQUIT (it was started with -Xrs, or is starting): asking would end it",
            fix=f"by hand, where it was started with jcmd's help: jcmd {pid} Thread.print, as its user",
        )
    if now - facts.started < YOUNG:
        raise errors.NotReachable(
            f"process {pid} is younger than {YOUNG.total_seconds():g} s and may not catch SIGQUIT yet",
            fix="ask again in a moment",
        )
    _must_allow_attaching(pid)
    return hotspot_child.Target(
        pid=pid,
        inner_pid=int(status.get("NSpid", str(pid)).split()[-1]),
        started_ticks=content.rpartition(b")")[2].split()[19].decode(),
        user=int(status["Uid"].split()[1]),
        group=int(status["Gid"].split()[1]),
    )


def _must_run(pid: int, facts: procfs.ProcessFacts) -> None:
    """A process that cannot answer is not asked: it would do so at a moment that nobody chose."""
    standing = {
        "T": "is stopped (SIGSTOP): kill -CONT lets it go on",
        "t": "is stopped by a debugger",
        "D": "is in unkillable sleep",
    }.get(facts.state)
    if standing is not None:
        raise errors.NotReachable(f"process {pid} {standing}; nothing was sent to it")
    if facts.state in {"Z", "X"}:
        raise errors.NotReachable(f"process {pid} has ended")


def _must_allow_attaching(pid: int) -> None:
    """With attaching disabled a SIGQUIT would make the JVM print its threads on its own output instead.

    Its environment may forbid it too: hotspot_child looks there, as the user of the JVM.
    """
    arguments = procfs.command_line(pid)
    if isinstance(arguments, samples.Missing):
        raise errors.NotPermitted(
            f"not permitted to read how process {pid} was started", fix="run as root or as its user"
        )
    options = " ".join(_own_options(pid, arguments))
    if _last(_DISABLED, options) > _last(_ENABLED, options):  # the last word holds
        raise _disabled(pid, "on its command line")


def _disabled(pid: int, where: str) -> errors.WorldError:
    return errors.Unsupported(
        f"process {pid} was started with -XX:+DisableAttachMechanism ({where}): it may not be asked for its threads",
        fix="start it without this option to allow thread dumps",
    )


def _own_options(pid: int, arguments: tuple[str, ...]) -> list[str]:
    """The options on the command line, and those in the files that it names."""
    found: list[str] = []
    for word in arguments[1:]:
        found.append(word)
        if named := _NAMES_FILE.match(word):
            found.append(_text_of(pid, named[1]))
    return found


def _text_of(pid: int, name: str) -> str:
    """A file as the process sees it; empty where it is gone. Relative names are to its working directory."""
    base = f"/proc/{pid}/root" if name.startswith("/") else f"/proc/{pid}/cwd/"
    try:
        with pathlib.Path(base + name).open(encoding="utf-8", errors="replace") as file:
            text = file.read(65536)
    except OSError:
        return ""
    # A flags file names its flags without -XX:.
    return _BARE_FLAG.sub(r"-XX:\1", text)


def _last(pattern: re.Pattern[str], text: str) -> int:
    return max((found.start() for found in pattern.finditer(text)), default=-1)


def _failure(pid: int, said: str) -> errors.WorldError:
    code, _, words = said.strip().partition(" ")
    if code == hotspot_child.GONE or (code == hotspot_child.CLOSED and procfs.is_gone(pid)):
        return errors.NotReachable(f"process {pid} has ended")
    match code:
        case hotspot_child.CLOSED:
            return errors.NotPermitted(
                f"not permitted to ask process {pid} for its threads: {words}",
                fix="run as root, or with CAP_SYS_PTRACE, CAP_SETUID and CAP_SETGID",
            )
        case hotspot_child.NO_ROOM:
            return errors.Unsupported(
                f"process {pid} cannot be asked for its threads: {words}",
                fix="give it a /tmp that it may write",
            )
        case hotspot_child.STRANGER | hotspot_child.REFUSED:
            return errors.NotReachable(f"process {pid} was not understood: {words}")
        case hotspot_child.DISABLED:
            return _disabled(pid, words)
        case hotspot_child.SILENT:
            return _silent(pid, words)
        case _:
            return errors.NotReachable(
                f"the request to process {pid} ended without an answer: {said[:200]!r}"
            )


def _silent(pid: int, words: str) -> errors.WorldError:
    return errors.NotReachable(
        f"process {pid} did not give its threads in time: {words}",
        fix=f"a thread may be in a loop without a safepoint; which one runs: top -H -p {pid}",
    )
