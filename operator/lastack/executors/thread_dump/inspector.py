"""Ask one Node.js process where its loop stands, only where the policy allows its inspector. Used by `readers`.

A Node.js program shows its stack to nobody from outside. SIGUSR1 opens its debug port on loopback, at which whoever is
on the host may run code in it; so it is open for a fraction of a second, and shown closed afterwards. To the wrong
process, or at the wrong time, this signal ends it or means something else: everything is looked at before.
"""

import datetime as dt
import os
import pathlib
import re
import select
import signal
import stat
from collections.abc import Iterator

from lastack import errors
from lastack.engine import samples
from lastack.executors.thread_dump import forks, gates, inspector_child
from lastack.kernel import blocked_calls, netns, procfs

WITHIN = dt.timedelta(seconds=5)
PORT = 9229

_GRACE = dt.timedelta(seconds=8)
"""Beyond it, to close the port and to see it closed."""
_PORT_OPTION = re.compile(
    r"--(?:inspect-port|debug-port|inspect|inspect-brk|inspect-wait)(?:=(?P<value>.*))?"
)
_TAKES_VALUE = re.compile(r"--(?:inspect-port|debug-port)")
_REFUSING = re.compile(r"--disable-sigusr1|--disable-signal-handlers")
_RESTS_IN = frozenset({"epoll_wait", "epoll_pwait", "epoll_pwait2"})
_OUTPUT = 2


class Asking:
    """One dump that is being taken; close() ends it early, and the port is closed all the same."""

    def __init__(self, pid: int, max_pause: dt.timedelta, now: dt.timedelta) -> None:
        """Begin; `now` is the steady clock. Raises WorldError, and nothing was sent, where it would be dangerous."""
        self._pid = pid
        request = _checked(pid, max_pause, now)
        self._port = request.port
        self._left = WITHIN + _GRACE
        self._child = forks.Child(lambda: inspector_child.ask(request))

    def wait(self, within: dt.timedelta) -> bytes | None:
        """What was seen, as JSON, or None when it is not there `within` this time: call again.

        Raises NotPermitted, NotReachable or Unsupported with the reason.
        """
        status = self._child.wait(min(within, self._left))
        if status == 0:
            return self._child.output()
        if status is not None:
            raise self._failure(self._child.said())
        self._left -= within
        if self._left > dt.timedelta(0):
            return None
        self.close()
        raise self._failure(f"{inspector_child.OPEN} it was not closed in time")

    def close(self) -> None:
        """End it; the child closes the port before it ends."""
        self._child.close(grace=_GRACE)

    def _failure(self, said: str) -> errors.WorldError:
        code, _, words = said.strip().partition(" ")
        if code == inspector_child.GONE or procfs.is_gone(self._pid):
            return errors.NotReachable(f"process {self._pid} has ended")
        match code:
            case inspector_child.CLOSED:
                return errors.NotPermitted(
                    f"not permitted to open the inspector of process {self._pid}: {words}",
                    fix="run as root, or with CAP_KILL, and CAP_SYS_ADMIN for another network namespace",
                )
            case inspector_child.TAKEN:
                return errors.Unsupported(
                    f"the inspector of process {self._pid} was not opened: {words}",
                    fix=f"end who listens there: ss -ltnp 'sport = :{self._port}' shows it, also a debugger",
                )
            case inspector_child.UNOPENED:
                return errors.NotReachable(
                    f"process {self._pid} did not open its inspector in time ({words}); it may do so when the code "
                    "that it is in comes back, and then listens on loopback",
                    fix=f"look whether it does: ss -ltnp 'sport = :{self._port}'; a restart closes it",
                )
            case inspector_child.OPEN:
                return errors.NotReachable(
                    f"process {self._pid} was asked by its inspector, and {words or 'it is still open'}",
                    fix=f"who is on the host may run code in it: ss -ltnp 'sport = :{self._port}'; a restart closes it",
                )
            case _:
                return errors.NotReachable(f"process {self._pid} was not understood: {(words or said)[:200]}")


def _checked(pid: int, max_pause: dt.timedelta, now: dt.timedelta) -> inspector_child.Request:
    """Everything that must hold before anything is sent. Raises WorldError with the reason."""
    seen = gates.look(pid)
    gates.must_run(seen)
    gates.must_not_be_traced(seen)
    if not gates.catches(seen, signal.SIGUSR1):
        raise errors.Unsupported(
            f"process {pid} does not catch SIGUSR1 (it is starting, or was told not to): the signal would end it",
            fix="start it without --disable-sigusr1, and never send it a SIGUSR1 by hand",
        )
    gates.must_be_grown(seen, now, "SIGUSR1")
    port = _port(pid, list(_options(pid)))
    _must_come_back(pid)
    _must_have_room_to_speak(pid)
    own = netns.identify(netns.path_of(pid)) == netns.own()
    return inspector_child.Request(
        pid, seen.started_ticks, port, own, max_pause.total_seconds(), WITHIN.total_seconds()
    )


def _options(pid: int) -> Iterator[str]:
    """The words on its command line and in NODE_OPTIONS."""
    arguments, environment = procfs.command_line(pid), procfs.read(f"/proc/{pid}/environ")
    if isinstance(arguments, samples.Missing) or isinstance(environment, samples.Missing):
        raise errors.NotPermitted(
            f"not permitted to read how process {pid} was started", fix="run as root or as its user"
        )
    yield from arguments[1:]
    for variable in environment.split(b"\0"):
        name, _, value = variable.partition(b"=")
        if name == b"NODE_OPTIONS":
            yield from value.decode(errors="replace").split()


def _port(pid: int, options: list[str]) -> int:
    """Where its inspector would open. Raises Unsupported where SIGUSR1 means something else, or others could come."""
    port = PORT
    for place, option in enumerate(options):
        if _REFUSING.fullmatch(option):
            raise errors.Unsupported(
                f"process {pid} was started with {option}: a SIGUSR1 is not for its inspector",
                fix="start it without this option to allow the inspector",
            )
        found = _PORT_OPTION.fullmatch(option)
        if found is None:
            continue
        value = found["value"]
        if value is None and _TAKES_VALUE.fullmatch(option) and place + 1 < len(options):
            value = options[place + 1]
        if value:
            port = _of_value(pid, option, value, port)
    return port


def _of_value(pid: int, option: str, value: str, before: int) -> int:
    """The port of `PORT`, `HOST` or `HOST:PORT`."""
    host, _, number = value.rpartition(":") if not value.isdecimal() else ("", "", value)
    if not number.isdecimal():
        host, number = value, str(before)
    if host not in {"", "127.0.0.1", "localhost"} or number == "0":
        raise errors.Unsupported(
            f"process {pid} was started with {option}: its inspector would not open on loopback at a known port",
            fix="start it with --inspect-port=PORT and no address",
        )
    return int(number)


def _must_come_back(pid: int) -> None:
    """A loop that is blocked in a call would open its port only afterwards, when nobody is there to close it."""
    call = blocked_calls.of_thread(pid, pid)
    if isinstance(call, samples.Missing):
        raise errors.NotPermitted(f"process {pid}: {call.why}", fix=call.fix)
    if call is not None and call.name not in _RESTS_IN:
        raise errors.Unsupported(
            f"the loop of process {pid} stands in the system call {call.name or call.number}: "
            "its inspector would open only afterwards",
            fix="what it waits for is in the kernel's view",
        )


def _must_have_room_to_speak(pid: int) -> None:
    """Node.js writes some lines when its inspector opens: into a full pipe that nobody reads, it would never end."""
    path = pathlib.Path(f"/proc/{pid}/fd/{_OUTPUT}")
    try:
        if not stat.S_ISFIFO(path.stat().st_mode):
            return
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return  # closed, or without a reader: writing fails at once there
    try:
        poll = select.poll()
        poll.register(pipe, select.POLLOUT)
        if not poll.poll(0):
            raise errors.Unsupported(
                f"the error output of process {pid} is a pipe that is full: with its inspector it would write there",
                fix="read what is in that pipe",
            )
    finally:
        os.close(pipe)
