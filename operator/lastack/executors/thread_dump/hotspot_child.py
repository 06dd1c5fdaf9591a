"""Ask one HotSpot JVM for its threads, in a child process that becomes the user of the JVM. Called by `hotspot_attach`.

HotSpot answers nobody else. The parent checks the process before, and ends this child when it takes too long. The
answer goes to 1 as it came; on failure the exit status is 1 and 2 holds one line, `CODE WORDS`.

The protocol (JDK 8 to 25): in the JVM's own /tmp, `.java_pidNSPID` is the socket that it answers at. While it is
not there yet, `.attach_pidNSPID`, owned by the JVM's user, and a SIGQUIT make the JVM open it. A request is
`1 NUL threaddump NUL -l NUL NUL NUL`, the answer a line with a status and then the dump until the end of the stream.
Needs CAP_SYS_PTRACE for another user's or namespace's /proc/PID/root, and CAP_SETUID and CAP_SETGID to become its
user; nothing else.
"""

import contextlib
import dataclasses
import os
import pathlib
import select
import signal
import socket
import stat
import struct
import sys
import time
from typing import NoReturn

from lastack.executors.thread_dump import hotspot_loops

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
_NO_ATTACHING = b"+DisableAttachMechanism"


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """What has to be known of a JVM: `inner_pid` is its pid for itself, `started_ticks` as in /proc/PID/stat.

    `catches`: a SIGQUIT does not end it. `uncut`: it was told to leave loops without a safepoint.
    """

    pid: int
    inner_pid: int
    started_ticks: str
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


def ask(request: Request) -> int:
    """The whole life of the child."""
    target = request.target
    deadline = time.monotonic() + request.seconds
    # Who runs this may end it early.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    handle = _pin(target.pid, target.started_ticks)
    try:
        folder = os.open(f"/proc/{target.pid}/root/tmp", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        os.fchdir(folder)
    except OSError as problem:
        absent = isinstance(problem, FileNotFoundError | NotADirectoryError)
        _fail(NO_ROOM if absent else CLOSED, f"its /tmp cannot be entered: {problem.strerror}")
    _become(target.user, target.group)
    _check_environment(target.pid)
    _check_loops(target.pid, uncut=target.uncut)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        _connect(connection, handle, target, deadline)
        _check_peer(connection, target.pid)
        _ask(connection, deadline, request.most_bytes)
    return 0


def _pin(pid: int, started: str) -> int:
    """A pidfd of this life of the process: what follows cannot reach another one with the same pid."""
    try:
        handle = os.pidfd_open(pid)
        content = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        fields = os.read(content, 4096).rpartition(b")")[2].split()
    except OSError as problem:
        _fail(GONE, str(problem.strerror))
    if fields[19].decode() != started:
        _fail(GONE, "the pid was used again")
    return handle


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
        content = os.open(f"/proc/{pid}/environ", os.O_RDONLY | os.O_CLOEXEC)
        environment = b""
        while part := os.read(content, 65536):
            environment += part
    except (ProcessLookupError, FileNotFoundError):
        _fail(GONE, "it has ended")
    except OSError as problem:
        _fail(CLOSED, f"its environment cannot be read: {problem.strerror}")
    if _NO_ATTACHING in environment:
        _fail(DISABLED, "by a variable of its environment")


def _check_loops(pid: int, *, uncut: bool) -> None:
    """All of its threads would stand still until the loop ends, and nobody could let them go."""
    thread = hotspot_loops.running_without_pause(pid, uncut=uncut)
    if thread is not None:
        _fail(LOOPS, f"its thread {thread}")


def _connect(connection: socket.socket, handle: int, target: Target, deadline: float) -> None:
    """Connect to the socket of the JVM, after asking for it when it is not there.

    With -Xrs a JVM does not catch the signal, and opens its socket when it starts.
    """
    path, trigger = f".java_pid{target.inner_pid}", f".attach_pid{target.inner_pid}"
    if not _is_socket(path):
        if not target.catches:
            _fail(UNCAUGHT, "it has no socket")
        _make_it_listen(handle, trigger, path, deadline)
    _remove(trigger)  # of this time, or of one when it did not answer
    connection.settimeout(max(0.01, deadline - time.monotonic()))
    try:
        connection.connect(path)
    except TimeoutError:
        _fail(SILENT, "it does not accept at its attach socket")
    except OSError as problem:
        _fail(SILENT, f"its attach socket does not answer: {problem.strerror}")


def _make_it_listen(handle: int, trigger: str, path: str, deadline: float) -> None:
    """The trigger file and a SIGQUIT.

    From the signal until the socket is there the file has to stay, also when that takes too long: a JVM that comes to
    read the signal later (after a long collection, say) and finds no file prints its threads on its own output.
    """
    try:
        # One that a debugger left behind would be ours to remove too: it has no other meaning.
        os.close(os.open(trigger, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as problem:
        _fail(NO_ROOM, f"cannot make {trigger} in its /tmp: {problem.strerror}")
    try:
        signal.pidfd_send_signal(handle, signal.SIGQUIT)
    except OSError as problem:
        _remove(trigger)
        gone = isinstance(problem, ProcessLookupError)
        _fail(
            GONE if gone else CLOSED,
            "it has ended" if gone else f"it cannot be signalled: {problem.strerror}",
        )
    pause = 0.001
    while not _is_socket(path):
        if _has_ended(handle):
            _remove(trigger)
            _fail(GONE, "it has ended")
        if time.monotonic() > deadline:
            _fail(SILENT, f"it did not open its attach socket in time ({trigger} in its /tmp waits for it)")
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


def _remove(name: str) -> None:
    with contextlib.suppress(OSError):
        pathlib.Path(name).unlink()


def _has_ended(handle: int) -> bool:
    """A pidfd becomes readable with the end of its process."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(0))


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False


def _check_peer(connection: socket.socket, pid: int) -> None:
    """Whoever listens there must be the JVM itself: anybody can make a socket of that name in /tmp."""
    content = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
    listener, _, _ = struct.unpack("iII", content)
    if listener != pid:
        _fail(STRANGER, f"process {listener} listens at its attach socket, not process {pid}")


def _ask(connection: socket.socket, deadline: float, limit: int) -> None:
    """Send the request, pass the answer on; at most `limit` bytes."""
    copied = 0
    try:
        connection.sendall(_REQUEST)
        part = _after_status(connection, deadline)
        while part:
            os.write(1, part[: limit - copied])
            copied += len(part)
            if copied > limit:
                _fail(REFUSED, f"its answer is longer than {limit} bytes")
            part = _receive(connection, deadline)
    except TimeoutError:
        _fail(SILENT, "its answer did not end" if copied else "it reached no point at which it could answer")
    except OSError as problem:
        _fail(SILENT, f"the connection broke: {problem.strerror}")


def _after_status(connection: socket.socket, deadline: float) -> bytes:
    """Read the status line, which must be 0; what came after it."""
    head = b""
    while b"\n" not in head and len(head) <= _LONGEST_STATUS and (part := _receive(connection, deadline)):
        head += part
    status, _, rest = head.partition(b"\n")
    if status != b"0":
        _fail(REFUSED, f"it answered {head[:_LONGEST_STATUS]!r} to the request for its threads")
    return rest or _receive(connection, deadline)


def _receive(connection: socket.socket, deadline: float) -> bytes:
    """The next part, empty at the end. Raises TimeoutError: a peer may send a byte a second for ever."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)
    return connection.recv(65536)


def _fail(code: str, words: str) -> NoReturn:
    os.write(2, f"{code} {words}\n".encode(errors="replace"))
    sys.exit(1)
