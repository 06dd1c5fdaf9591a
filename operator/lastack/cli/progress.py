"""One line at the bottom of a terminal that says what is being waited for; nothing where there is no terminal.

For commands that take longer than a second. Other output goes through `clear` first.
"""

from __future__ import annotations

import os
import sys

import click

from lastack.cli import printing

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PLAIN_FRAMES = "|/-\\"
_BACK_AND_ERASE = "\r\x1b[K"


class Progress:
    """The line; drawn on stderr, only when that is a terminal that knows how to erase."""

    def __init__(self) -> None:
        self._wanted = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._drawn = False
        self._turn = 0
        self._frames = _FRAMES if (sys.stderr.encoding or "").lower().startswith("utf") else _PLAIN_FRAMES

    def show(self, words: str) -> None:
        """Draw the line anew; cut to the width of the terminal."""
        if not self._wanted:
            return
        self._turn += 1
        frame = self._frames[self._turn % len(self._frames)]
        room = printing.width() - 4
        words = printing.plain(words)
        shown = words if len(words) <= room else words[: room - 1] + "…"
        line = f"{frame} {shown}"
        if printing.coloured(sys.stderr):
            line = printing.tinted(line, printing.Tone.QUIET)
        click.echo(_BACK_AND_ERASE + line, nl=False, err=True, color=True)
        self._drawn = True

    def clear(self) -> None:
        """Take the line away, so that something else can be printed."""
        if self._drawn:
            click.echo(_BACK_AND_ERASE, nl=False, err=True, color=True)
            self._drawn = False
