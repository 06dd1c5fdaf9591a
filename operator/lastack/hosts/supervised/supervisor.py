"""The supervisor, a program: `python -m lastack.hosts.supervised.supervisor --socket PATH --config FILE`.

Starts the members, restarts them on request, and stops them all when it ends: by SIGTERM, SIGINT or SIGHUP (a
second one kills at once), or because the process that started it (`--parent`) is gone. Leaves no orphan, also
when it is killed with SIGKILL itself (`janitors`). Started by people and by `launches`.
"""

import argparse
import contextlib
import ctypes
import os
import pathlib
import selectors
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

from lastack import errors
from lastack.hosts.supervised import janitors, lives, messages, specs
from lastack.kernel import unix_sockets

_PR_SET_CHILD_SUBREAPER = 36
_ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_MOST_CONNECTIONS = 16
_LONGEST_END_SECONDS = 10.0


class Supervisor:
    """The loop: requests, deaths, deadlines, in one thread."""

    def __init__(
        self, members: Sequence[specs.MemberSpec], listener: socket.socket, logs: pathlib.Path
    ) -> None:
        """Nothing runs yet: call run()."""
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._partial: dict[socket.socket, bytes] = {}
        janitor = janitors.Janitor()
        self._janitor = janitor
        self._members = {
            spec.name: lives.Supervised(spec, logs / f"{spec.name}.log", janitor) for spec in members
        }
        self._ends_by: float | None = None

    def run(self, parent: int | None) -> None:
        """Start everything, serve until told to end, stop everything."""
        wakeup_reader, wakeup_writer = socket.socketpair()
        for end in (wakeup_reader, wakeup_writer):
            end.settimeout(0)
        signal.set_wakeup_fd(wakeup_writer.fileno(), warn_on_full_buffer=False)
        for number in (*_ENDS, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        self._selector.register(wakeup_reader, selectors.EVENT_READ, self._signalled)
        self._selector.register(self._listener, selectors.EVENT_READ, self._connected)
        if parent is not None:
            self._watch(parent)
        for member in self._members.values():
            member.start(time.monotonic())
        while not self._over():
            for key, _ in self._selector.select(self._timeout()):
                key.data(key.fileobj)
            self._reap()
            for member in self._members.values():
                member.tick(time.monotonic())
        self._janitor.dismiss()

    def _watch(self, parent: int) -> None:
        # A pidfd follows the process; PR_SET_PDEATHSIG would follow the thread that started this one.
        try:
            descriptor = os.pidfd_open(parent)
        except ProcessLookupError:
            descriptor = -1
        if descriptor < 0 or os.getppid() != parent:
            self._end()
        else:
            self._selector.register(descriptor, selectors.EVENT_READ, self._orphaned)

    def _timeout(self) -> float | None:
        deadlines = [member.deadline for member in self._members.values() if member.deadline is not None]
        if self._ends_by is not None:
            deadlines.append(self._ends_by)
        return max(min(deadlines) - time.monotonic(), 0) if deadlines else None

    def _over(self) -> bool:
        if self._ends_by is None:
            return False
        return all(member.down for member in self._members.values()) or time.monotonic() >= self._ends_by

    def _end(self) -> None:
        now = time.monotonic()
        again = self._ends_by is not None
        if not again:
            graces = [member.spec.grace_ms / 1000 for member in self._members.values()]
            self._ends_by = now + max(graces) + _LONGEST_END_SECONDS
        for member in self._members.values():
            if again:
                member.kill(now)
            else:
                member.stop(now)

    def _orphaned(self, descriptor: int) -> None:
        self._selector.unregister(descriptor)
        os.close(descriptor)
        self._end()

    def _signalled(self, wakeup: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            if set(wakeup.recv(4096)) & set(_ENDS):
                self._end()

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                for member in self._members.values():
                    member.reaped(pid, status, time.monotonic())

    def _connected(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        if len(self._partial) >= _MOST_CONNECTIONS:
            connection.close()
            return
        connection.settimeout(0.5)
        self._partial[connection] = b""
        self._selector.register(connection, selectors.EVENT_READ, self._readable)

    def _readable(self, connection: socket.socket) -> None:
        try:
            part = connection.recv(messages.LONGEST_LINE)
            *lines, rest = (self._partial[connection] + part).split(b"\n")
            for line in lines:
                connection.sendall(self._answer(line))
        except OSError:
            part, rest = b"", b""
        self._partial[connection] = rest
        if not part or len(rest) > messages.LONGEST_LINE:
            self._selector.unregister(connection)
            del self._partial[connection]
            connection.close()

    def _answer(self, line: bytes) -> bytes:
        try:
            request = messages.read_request(line)
        except errors.UsageError as problem:
            return messages.answer(None, problem.message)
        return messages.answer(request.number, self._content(request))

    def _content(self, request: messages.Request) -> dict[str, Any]:
        now = time.monotonic()
        if request.word == "members":
            return {"pid": os.getpid(), "members": [member.state(now) for member in self._members.values()]}
        member = self._members.get(request.fields["member"])
        if member is None:
            return {"result": "unknown", "text": f"there is no member {request.fields['member']!r}"}
        if request.word == "progress":
            return member.progress(request.fields["expected"])
        if self._ends_by is not None:
            return {"result": "refused", "text": "the supervisor is ending"}
        return member.replace(request.fields["expected"], request.fields["step"], now)


def bind(path: pathlib.Path) -> socket.socket:
    """Listen at `path`, for this user only. Raises errors.UsageError, NotReachable."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        with contextlib.suppress(FileNotFoundError):
            if path.is_socket():
                path.unlink()
        with unix_sockets.short_name(path) as name:
            listener.bind(name)
    except OSError as problem:
        listener.close()
        raise errors.NotReachable(
            f"cannot listen at {path}: {problem}",
            fix="choose a path in a folder of your own",
        ) from problem
    finally:
        os.umask(mask)
    listener.listen(_MOST_CONNECTIONS)
    return listener


def main() -> int:
    """Process entry."""
    parser = argparse.ArgumentParser(prog="lastack-supervisor", description=__doc__.splitlines()[0])
    parser.add_argument("--socket", type=pathlib.Path, required=True, help="where to listen for requests")
    parser.add_argument("--config", type=pathlib.Path, required=True, help='JSON: {"members": [...]}')
    parser.add_argument(
        "--logs", type=pathlib.Path, help="folder of NAME.log per member; default: beside the socket"
    )
    parser.add_argument("--parent", type=int, help="end when this process, which must be the parent, is gone")
    arguments = parser.parse_args()
    try:
        members = specs.from_json(arguments.config.read_text(encoding="utf-8"))
        listener = bind(arguments.socket)
    except (errors.LastackError, OSError) as problem:
        sys.stderr.write(f"lastack-supervisor: {problem}\n")
        return problem.exit_code if isinstance(problem, errors.LastackError) else 3
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    logs = arguments.logs or arguments.socket.parent
    Supervisor(members, listener, logs).run(arguments.parent)
    arguments.socket.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
