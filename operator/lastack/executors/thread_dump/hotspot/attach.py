"""Ask one HotSpot JVM for its threads, for a bounded time and only where that cannot harm it. Used by `reader`.

Attaching makes the JVM dump its threads at a safepoint (10 to 30 ms for 500 threads). What is dangerous is the
SIGQUIT that wakes the attach listener: a process that does not catch it ends, and a JVM that may not be attached to
prints the dump on its own standard output, inside the safepoint. So everything is looked at before.
"""

import datetime as dt
import pathlib
import re
import signal

from lastack import errors
from lastack.engine import samples
from lastack.executors.thread_dump import forks, gates
from lastack.executors.thread_dump.hotspot import child, workers
from lastack.kernel import procfs

WITHIN = dt.timedelta(seconds=10)
"""A JVM that reaches no safepoint, or is stopped, would never answer."""
MOST_BYTES = 64 * 1024 * 1024
"""5,000 threads of 100 frames are about 40 MB."""
YOUNG = gates.YOUNG

_GRACE = dt.timedelta(seconds=2)
"""Beyond the time that the child gives itself, for a machine that is busy."""
_DISABLED = re.compile(r"-XX:\+DisableAttachMechanism\b")
_BARE_FLAG = re.compile(r"(?:-XX:)?([+-]DisableAttachMechanism\b)")
_NAMES_FILE = re.compile(r"(?:@|-XX:Flags=|-XX:VMOptionsFile=)(.+)")
_ENABLED = re.compile(r"-XX:-DisableAttachMechanism\b")
_UNCUT = re.compile(r"-XX:(?:-UseCountedLoopSafepoints|LoopStripMiningIter=0)\b")


class Asking:
    """One dump that is being taken; close() ends it early. The same shape as py_spy.Dumping."""

    def __init__(self, pid: int, now: dt.timedelta, within: dt.timedelta = WITHIN) -> None:
        """Begin; `now` is the steady clock. Raises WorldError, and nothing was sent, where it would be dangerous."""
        target = _checked(pid, now)
        self._pid = pid
        self._left = within + _GRACE
        request = child.Request(target, within.total_seconds(), MOST_BYTES)
        # Where it is our own user's, a thread will do: to fork takes longer than a dump of fifty threads.
        self._work: forks.Child | workers.Worker = (
            workers.Worker(lambda means: child.ask_as_ourselves(request, means))
            if child.is_ours(target)
            else forks.Child(lambda: child.ask_as_user(request))
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
        """End it and forget what was said. A JVM that did not answer keeps a file `.attach_pid`: see the child."""
        self._work.close()


def _checked(pid: int, now: dt.timedelta) -> child.Target:
    """Everything that must hold before anything is sent. Raises WorldError with the reason."""
    seen = gates.look(pid)
    gates.must_run(seen)
    gates.must_be_grown(seen, now, "may not catch SIGQUIT yet")
    options = _options(pid)
    if _last(_DISABLED, options) > _last(_ENABLED, options):  # the last word holds
        raise _disabled(pid, "on its command line")
    return child.Target(
        pid=pid,
        inner_pid=int(seen.status.get("NSpid", str(pid)).split()[-1]),
        started=seen.facts.started,
        user=int(seen.status["Uid"].split()[1]),
        group=int(seen.status["Gid"].split()[1]),
        catches=gates.catches(seen, signal.SIGQUIT),
        uncut=bool(_UNCUT.search(options)),
    )


def _options(pid: int) -> str:
    """How it was started: its command line and the files that it names.

    With attaching disabled a SIGQUIT would make the JVM print its threads on its own output instead. Its environment
    may forbid it too: `child` looks there, as the user of the JVM.
    """
    arguments = procfs.command_line(pid)
    if isinstance(arguments, samples.Missing):
        raise errors.NotPermitted(
            f"not permitted to read how process {pid} was started", fix="run as root or as its user"
        )
    return " ".join(_own_options(pid, arguments))


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
    if code == child.GONE or (code == child.CLOSED and procfs.is_gone(pid)):
        return errors.NotReachable(f"process {pid} has ended")
    match code:
        case child.CLOSED:
            return errors.NotPermitted(
                f"not permitted to ask process {pid} for its threads: {words}",
                fix="run as root, or with CAP_SYS_PTRACE, CAP_SETUID and CAP_SETGID",
            )
        case child.NO_ROOM:
            return errors.Unsupported(
                f"process {pid} cannot be asked for its threads: {words}",
                fix="give it a /tmp that it may write",
            )
        case child.STRANGER | child.REFUSED:
            return errors.NotReachable(f"process {pid} was not understood: {words}")
        case child.DISABLED:
            return _disabled(pid, words)
        case child.UNCAUGHT:
            return errors.Unsupported(
                f"process {pid} does not catch SIGQUIT (it is starting, or was started with -Xrs) and has no socket to "
                "be asked at: the signal that makes it open one would end it",
                fix=f"see whether it opens one by itself, as with -Xrs it does: ls /proc/{pid}/root/tmp/.java_pid*",
            )
        case child.LOOPS:
            return errors.NotReachable(
                f"process {pid} was not asked for its threads: {words} runs without a pause, in what may be a loop "
                "without a safepoint (serial or parallel collector, or loops left uncut): all threads would stop "
                "until it ends",
                fix=f"which code it is, where such a stop is acceptable: jcmd {pid} Thread.print, as its user",
            )
        case child.SILENT:
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
