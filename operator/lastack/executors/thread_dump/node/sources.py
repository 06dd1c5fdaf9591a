"""The source of a script as it was read, and in which line a position stands. Pure; used by `walks`.

To count the lines of a bundle takes long, so that it is done when the thread runs again.
"""

import array
import bisect
import sys

_LINE_ENDS = ("\n", "\r", "\u2028", "\u2029")


class Source:
    """Its characters, `width` bytes each."""

    def __init__(self, content: bytes, width: int) -> None:
        """Nothing is looked at yet."""
        self._content = content
        self._width = width
        self._text: str | None = None
        self._known: list[tuple[int, int]] = [(0, 1)]

    def line(self, position: int) -> int:
        """The line, from 1, in which the character at this position stands; 0 for one beyond the end."""
        if self._text is None:
            self._text = _units(self._content, self._width)
        if not 0 <= position <= len(self._text):
            return 0
        at, line = self._known[bisect.bisect_right(self._known, (position, len(self._text) + 1)) - 1]
        ends = sum(self._text.count(end, at, position) for end in _LINE_ENDS)
        found = line + ends - self._text.count("\r\n", at, position)
        bisect.insort(self._known, (position, found))
        return found


def _units(content: bytes, width: int) -> str:
    """One character of ours for each one of JavaScript's: those beyond 16 bits are two of them there."""
    if width == 1:
        return content.decode("latin-1")
    units = array.array("H", content[: len(content) // 2 * 2])
    if sys.byteorder != "little":
        units.byteswap()
    # As 32 bits each a half of a pair is a character of its own.
    return array.array("I", units).tobytes().decode("utf-32", errors="surrogatepass")
