"""Ask one HotSpot JVM for its threads, as the user of the JVM. Called by `attach`.

HotSpot answers nobody else: `ask_as_user` runs in a child process that becomes that user, `ask_as_ourselves` in a
thread where that is who we are. Whoever calls checks the process before, and ends this when it takes too long. The
answer is written as it came; on failure the status is 1 and what was said is one line, `CODE WORDS`.

The protocol (JDK 8 to 25): in the JVM's own /tmp, `.java_pidNSPID` is the socket that it answers at. While it is
not there yet, `.attach_pidNSPID`, owned by the JVM's user, and a SIGQUIT make the JVM open it. A request is
`1 NUL threaddump NUL -l NUL NUL NUL`, the answer a line with a status and then the dump until the end of the stream.
Needs CAP_SYS_PTRACE for another user's or namespace's /proc/PID/root, and CAP_SETUID and CAP_SETGID to become its
user; nothing else.
"""

import contextlib
import dataclasses
import datetime as dt
import os
import select
import signal
import socket
import stat
import struct
import sys
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

from lastack.executors.thread_dump.hotspot import loops
from lastack.kernel import procfs

GONE, CLOSED, NO_ROOM, SILENT, STRANGER, REFUSED = (
    "gone",
    "closed",
    "no-room",
    "silent",
    "stranger",
    "refused",
)

DISABLED, LOOPS, UNCAUGHT = "disabled", "loops", "uncaught"

_REQUEST = b"1\0threaddump\0-l\0\0\0"
_LONGEST_STATUS = 64
_PART_BYTES = 256 * 1024
_ATTENTIVE_SECONDS = 0.1
"""Whoever asks in a thread finds within this time that it shall stop."""
_NO_ATTACHING = b"+DisableAttachMechanism"


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """What has to be known of a JVM: `inner_pid` is its pid for itself, `started` as procfs.ProcessFacts has it.

    `catches`: a SIGQUIT does not end it. `uncut`: it was told to leave loops without a safepoint.
    """

    pid: int
    inner_pid: int
    started: dt.timedelta
    user: int
    group: int
    catches: bool
    uncut: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """Whom to ask, for how long at most, for how many bytes at most."""

    target: Target
    seconds: float
    most_bytes: int


class Stopped(Exception):
    """Whoever wanted the answer does not want it any more."""


class _Failed(Exception):
    """There will be no answer: code and words."""


@dataclasses.dataclass(frozen=True, slots=True)
class Means:
    """Where the answer and the reason of a failure go; `heed` raises Stopped when nobody waits for them any more."""

    write: Callable[[bytes], object]
    say: Callable[[bytes], object]
    heed: Callable[[], None]


def is_ours(target: Target) -> bool:
    """Whether we are the user of the JVM already."""
    return (os.geteuid(), os.getegid()) == (target.user, target.group)


def ask_as_user(request: Request) -> int:
    """The whole life of a child of its own, which stays the user of the JVM."""
    # Who runs this may end it early.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    means = Means(lambda part: os.write(1, part), lambda words: os.write(2, words), lambda: None)
    return _reported(request, means, _with_its_rights)


def ask_as_ourselves(request: Request, means: Means) -> int:
    """The same where nobody has to be become; nothing of the process is changed, neither user nor folder."""
    return _reported(request, means, lambda target, _folder: f"/proc/{target.pid}/root/tmp/")


def _reported(request: Request, means: Means, prepare: Callable[[Target, int], str]) -> int:
    try:
        _ask_by(request, means, prepare)
    except _Failed as failure:
        code, words = failure.args
        means.say(f"{code} {words}\n".encode(errors="replace"))
        return 1
    return 0


def _with_its_rights(target: Target, folder: int) -> str:
    """Become its user, standing in its /tmp: as that user our own /proc/self/fd is closed to us."""
    os.fchdir(folder)
    _become(target.user, target.group)
    return ""


def _ask_by(request: Request, means: Means, prepare: Callable[[Target, int], str]) -> None:
    """`prepare` says how names in the folder begin, for connect(2), which takes no descriptor of a folder."""
    target = request.target
    deadline = time.monotonic() + request.seconds
    with _pinned(target.pid, target.started) as handle, _its_tmp(target.pid) as folder:
        prefix = prepare(target, folder)
        _check_environment(target.pid)
        _check_loops(target.pid, uncut=target.uncut)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            name, trigger = f".java_pid{target.inner_pid}", f".attach_pid{target.inner_pid}"
            if not _is_socket(name, folder):
                # With -Xrs a JVM does not catch the signal, and opens its socket when it starts.
                if not target.catches:
                    _fail(UNCAUGHT, "it has no socket")
                _make_it_listen(handle, (trigger, name), folder, deadline, means)
            _remove(trigger, folder)  # of this time, or of one when it did not answer
            _connect(connection, prefix + name, deadline)
            _check_peer(connection, target.pid)
            _ask(connection, deadline, request.most_bytes, means)


@contextlib.contextmanager
def _its_tmp(pid: int) -> Iterator[int]:
    """The /tmp that the process sees."""
    try:
        folder = os.open(f"/proc/{pid}/root/tmp", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as problem:
        absent = isinstance(problem, FileNotFoundError | NotADirectoryError)
        _fail(NO_ROOM if absent else CLOSED, f"its /tmp cannot be entered: {problem.strerror}")
    try:
        yield folder
    finally:
        os.close(folder)


@contextlib.contextmanager
def _pinned(pid: int, started: dt.timedelta) -> Iterator[int]:
    """A pidfd of this life of the process: what follows cannot reach another one with the same pid."""
    try:
        handle = os.pidfd_open(pid)
    except OSError as problem:
        _fail(GONE, str(problem.strerror))
    try:
        if not procfs.is_same(pid, started):
            _fail(GONE, "it has ended")
        yield handle
    finally:
        os.close(handle)


def _content(path: str) -> bytes:
    """A whole file of a process. Raises OSError where it may not be read, fails where the process is gone."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - unbuffered, in a fork
            return file.readall()
    except (ProcessLookupError, FileNotFoundError):
        _fail(GONE, "it has ended")


def _become(user: int, group: int) -> None:
    """The user of the JVM, for good; nothing to do where that is who we are."""
    if (os.geteuid(), os.getegid()) == (user, group):
        return
    try:
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
    except OSError as problem:
        _fail(CLOSED, f"cannot become user {user}, group {group}, whose JVM it is: {problem.strerror}")


def _check_environment(pid: int) -> None:
    """JAVA_TOOL_OPTIONS and its like may forbid attaching. Read as the JVM's user, whose file it is."""
    try:
        environment = _content(f"/proc/{pid}/environ")
    except OSError as problem:
        _fail(CLOSED, f"its environment cannot be read: {problem.strerror}")
    if _NO_ATTACHING in environment:
        _fail(DISABLED, "by a variable of its environment")


def _check_loops(pid: int, *, uncut: bool) -> None:
    """All of its threads would stand still until the loop ends, and nobody could let them go."""
    thread = loops.running_without_pause(pid, uncut=uncut)
    if thread is not None:
        _fail(LOOPS, f"its thread {thread}")


def _connect(connection: socket.socket, path: str, deadline: float) -> None:
    """Connect to the socket of the JVM."""
    connection.settimeout(max(0.01, deadline - time.monotonic()))
    try:
        connection.connect(path)
    except TimeoutError:
        _fail(SILENT, "it does not accept at its attach socket")
    except OSError as problem:
        _fail(SILENT, f"its attach socket does not answer: {problem.strerror}")


def _make_it_listen(handle: int, names: tuple[str, str], folder: int, deadline: float, means: Means) -> None:
    """The trigger file and a SIGQUIT; `names` of the trigger, and of the socket that the JVM opens then.

    From the signal until the socket is there the file has to stay, also when that takes too long: a JVM that comes to
    read the signal later (after a long collection, say) and finds no file prints its threads on its own output.
    """
    trigger, name = names
    try:
        # One that a debugger left behind would be ours to remove too: it has no other meaning.
        flags = os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(trigger, flags, 0o600, dir_fd=folder))
    except OSError as problem:
        _fail(NO_ROOM, f"cannot make {trigger} in its /tmp: {problem.strerror}")
    try:
        signal.pidfd_send_signal(handle, signal.SIGQUIT)
    except ProcessLookupError:
        _remove(trigger, folder)
        _fail(GONE, "it has ended")
    except OSError as problem:
        _remove(trigger, folder)
        _fail(CLOSED, f"it cannot be signalled: {problem.strerror}")
    pause = 0.001
    while not _is_socket(name, folder):
        means.heed()
        if _has_ended(handle):
            _remove(trigger, folder)
            _fail(GONE, "it has ended")
        if time.monotonic() > deadline:
            _fail(SILENT, f"it did not open its attach socket in time ({trigger} in its /tmp waits for it)")
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


def _remove(name: str, folder: int) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=folder)


def _has_ended(handle: int) -> bool:
    """A pidfd becomes readable with the end of its process."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(0))


def _is_socket(name: str, folder: int) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _check_peer(connection: socket.socket, pid: int) -> None:
    """Whoever listens there must be the JVM itself: anybody can make a socket of that name in /tmp."""
    content = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
    listener, _, _ = struct.unpack("iII", content)
    if listener != pid:
        _fail(STRANGER, f"process {listener} listens at its attach socket, not process {pid}")


def _ask(connection: socket.socket, deadline: float, limit: int, means: Means) -> None:
    """Send the request, pass the answer on; at most `limit` bytes."""
    copied = 0
    try:
        connection.sendall(_REQUEST)
        part = _after_status(connection, deadline, means)
        while part:
            means.write(part[: limit - copied])
            copied += len(part)
            if copied > limit:
                _fail(REFUSED, f"its answer is longer than {limit} bytes")
            part = _receive(connection, deadline, means)
    except TimeoutError:
        _fail(SILENT, "its answer did not end" if copied else "it reached no point at which it could answer")
    except OSError as problem:
        _fail(SILENT, f"the connection broke: {problem.strerror}")


def _after_status(connection: socket.socket, deadline: float, means: Means) -> bytes:
    """Read the status line, which must be 0; what came after it."""
    head = b""
    while b"\n" not in head and len(head) <= _LONGEST_STATUS:
        part = _receive(connection, deadline, means)
        if not part:
            break
        head += part
    status, _, rest = head.partition(b"\n")
    if status != b"0":
        _fail(REFUSED, f"it answered {head[:_LONGEST_STATUS]!r} to the request for its threads")
    return rest or _receive(connection, deadline, means)


def _receive(connection: socket.socket, deadline: float, means: Means) -> bytes:
    """The next part, empty at the end. Raises TimeoutError: a peer may send a byte a second for ever."""
    while True:
        means.heed()
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(min(left, _ATTENTIVE_SECONDS))
        with contextlib.suppress(TimeoutError):
            return connection.recv(_PART_BYTES)


def _fail(code: str, words: str) -> NoReturn:
    raise _Failed(code, words)
