"""A program on a terminal of its own, and what stands on its screen; for the tests of top."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence

from tests import waiting

SOON = dt.timedelta(seconds=30)
_PIECE = re.compile(rb"\x1b\[([?0-9;]*)([A-Za-z])|([^\x1b]+)|(\x1b)")


class Screen:
    """The terminal's end of it: what was written, and what it looks like."""

    def __init__(self, pid: int, master: int) -> None:
        self.pid = pid
        self.written = b""
        self._master = master
        self._rows: dict[int, str] = {}
        self._row = 1
        self._status: int | None = None

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def resize(self, columns: int, rows: int) -> None:
        """Another size; the kernel tells the program."""
        _set_size(self._master, columns, rows)
        self._rows = {}

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self._master)
        self._master = -1

    @property
    def modes(self) -> list[object]:
        """How the terminal is set: echo, lines or keys, ..."""
        return list(termios.tcgetattr(self._master))

    @property
    def text(self) -> str:
        """What stands there, without colours."""
        self._read()
        return "\n".join(self._rows[row] for row in sorted(self._rows))

    def await_text(self, words: str) -> str:
        """The screen, once these words stand on it."""
        return self._await(lambda text: words in text, words)

    def await_no(self, words: str) -> str:
        """The screen, once these words do not stand on it any more."""
        return self._await(lambda text: words not in text, f"no {words}")

    def _await(self, claim: Callable[[str], bool], what: str) -> str:
        seen = [""]

        def holds() -> bool:
            seen[0] = self.text
            return claim(seen[0])

        try:
            waiting.wait_until(holds, within=SOON, what=what)
        except AssertionError as late:
            raise AssertionError(f"{late}; the screen:\n{seen[0]}") from None
        return seen[0]

    def ended(self) -> int:
        """The exit status, once it has one; everything that was written until then is read."""

        def done() -> bool:
            self._read()
            if self._status is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                self._status = os.waitstatus_to_exitcode(status) if pid else None
            return self._status is not None

        waiting.wait_until(done, within=SOON, what="the end of the program")
        self._read()
        assert self._status is not None
        return self._status

    def kill(self) -> None:
        """End it, if it has not ended."""
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if self._master >= 0:
            os.close(self._master)

    def _read(self) -> None:
        while self._master >= 0 and select.select([self._master], [], [], 0.02)[0]:
            try:
                piece = os.read(self._master, 65536)
            except OSError:  # the program has closed its end: that is how a terminal says so
                return
            if not piece:
                return
            self.written += piece
            self._show(piece)

    def _show(self, piece: bytes) -> None:
        for parameters, command, words, _ in _PIECE.findall(piece):
            if command == b"H":
                self._row = int(parameters.split(b";")[0] or 1)
            elif command == b"K":
                self._rows[self._row] = ""
            elif command == b"J":
                self._rows = {}
            elif words:
                self._rows[self._row] = self._rows.get(self._row, "") + words.decode(errors="replace")


@contextlib.contextmanager
def running(
    command: Sequence[str], *, columns: int = 80, rows: int = 24, environment: Mapping[str, str] | None = None
) -> Iterator[Screen]:
    """A program on a terminal of that size; killed at the end."""
    kept = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    master, slave = pty.openpty()
    _set_size(master, columns, rows)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for number in (0, 1, 2):
            os.dup2(slave, number)
        os.closerange(3, 256)
        variables = {**kept, "TERM": "xterm-256color", **(environment or {})}
        os.execve(command[0], list(command), variables)  # noqa: S606 - it becomes the program on that terminal
    os.close(slave)
    screen = Screen(pid, master)
    try:
        yield screen
    finally:
        screen.kill()


def _set_size(terminal: int, columns: int, rows: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
