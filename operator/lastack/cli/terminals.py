"""A terminal as a screen that is drawn again and again: alternate screen, keys, sizes, and all of it given back.

Called by cli.top. Escape sequences are written by hand: what every terminal of the last thirty years knows.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
import types
from collections.abc import Callable, Sequence
from typing import Self

from lastack import errors
from lastack.cli import top_keys

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
"""The alternate screen, without a cursor and without wrapping."""
_LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
_PLACE = "\x1b[{row};1H\x1b[0m\x1b[K{line}\x1b[0m"
"""A line, on an erased row: erasing after it would take the last letter of a full one."""
_REST_OF_SEQUENCE_SECONDS = 0.05
"""ESC alone is a key when nothing follows for so long."""


class Terminal:
    """The terminal of this process while something is drawn on it; a context manager, in the main thread."""

    def __init__(self) -> None:
        """Raises UsageError where there is none that can be drawn on."""
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise errors.UsageError(
                "top draws on a terminal and reads its keys, and here is none (stdin and stdout have to be one)",
                fix="lastack top --once prints one table, also into a pipe",
            )
        if os.environ.get("TERM", "dumb") == "dumb":
            raise errors.UsageError(
                f"this terminal cannot be drawn on (TERM={os.environ.get('TERM', '')})",
                fix="set TERM to what it is, or use lastack top --once",
            )
        self._keyboard, self._screen = sys.stdin.fileno(), sys.stdout.fileno()
        self._drawn: list[str] = []
        self._rest = b""
        self._wake_out, self._wake_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._modes = termios.tcgetattr(self._keyboard)
        self._before: dict[int, Callable[[int, types.FrameType | None], object] | int | None] = {}

    def __enter__(self) -> Self:
        self._before = {
            signal.SIGWINCH: signal.signal(signal.SIGWINCH, self._wake),
            signal.SIGTSTP: signal.signal(signal.SIGTSTP, self._suspend),
        }
        self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._give_back()
        os.close(self._wake_in)
        os.close(self._wake_out)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows, as they are now."""
        found = os.get_terminal_size(self._screen)
        return (found.columns, found.lines) if found.columns and found.lines else (80, 24)

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines from the top, nothing below them; only what changed is sent."""
        _, rows = self.size
        shown = list(lines[:rows])
        before = self._drawn + [""] * (rows - len(self._drawn))
        wanted = shown + [""] * (rows - len(shown))
        changes = "".join(
            _PLACE.format(row=number + 1, line=line)
            for number, (line, old) in enumerate(zip(wanted, before, strict=False))
            if line != old
        )
        self._drawn = wanted
        self._write(changes)

    def wait(self, seconds: float | None) -> list[top_keys.Pressed]:
        """The keys that were pressed, after at most so long; empty also when the size has changed."""
        ready, _, _ = select.select([self._keyboard, self._wake_out], [], [], seconds)
        if self._wake_out in ready:
            os.read(self._wake_out, 4096)
            self._forget()
        if self._keyboard not in ready:
            return []
        sent = self._rest + self._read()
        keys, self._rest = top_keys.decode(sent, final=False)
        if self._rest:
            more, _, _ = select.select([self._keyboard], [], [], _REST_OF_SEQUENCE_SECONDS)
            sent = self._rest + (self._read() if more else b"")
            others, self._rest = top_keys.decode(sent, final=not more)
            keys += others
        if top_keys.Key.REDRAW in keys:
            self._forget()
        return keys

    def _read(self) -> bytes:
        found = os.read(self._keyboard, 1024)
        if not found:
            # The other end of the terminal is gone.
            raise KeyboardInterrupt
        return found

    def _take(self) -> None:
        # Ctrl-C stays a signal: it ends whatever takes long.
        tty.setcbreak(self._keyboard, termios.TCSADRAIN)
        self._write(_ENTER)
        self._drawn = []

    def _give_back(self) -> None:
        self._write(_LEAVE)
        termios.tcsetattr(self._keyboard, termios.TCSADRAIN, self._modes)

    def _forget(self) -> None:
        """Everything has to be drawn anew."""
        self._drawn = []
        self._write("\x1b[0m\x1b[2J")

    def _wake(self, _number: int, _frame: types.FrameType | None) -> None:
        os.write(self._wake_in, b"w")

    def _suspend(self, _number: int, _frame: types.FrameType | None) -> None:
        """Ctrl-Z: the shell gets its terminal back, and after `fg` everything is drawn anew."""
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()
        os.write(self._wake_in, b"w")

    def _write(self, text: str) -> None:
        left = text.encode(errors="replace")
        while left:
            left = left[os.write(self._screen, left) :]
