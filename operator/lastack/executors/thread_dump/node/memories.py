"""The memory of a process as something that may be torn, hostile or gone: every read is bounded. Used all over here."""

import struct
from collections.abc import Callable

Source = Callable[[int, int], bytes]
"""`size` bytes at an address; fewer or none where they cannot be read."""

_PAGE = 4096
_MOST_BYTES = 96 << 20
_WORD = struct.Struct("<Q")
WORD = _WORD.size


class Torn(Exception):
    """What stands there is not what it should be; the message says what was expected."""


class Memory:
    """Reads by pages, which are kept: many small reads stand beside each other.

    In all it reads no more than 96 MiB, and then nothing.
    """

    def __init__(self, source: Source) -> None:
        """`source` is asked for whole pages and for long runs."""
        self._source = source
        self._pages: dict[int, bytes] = {}
        self._left = _MOST_BYTES

    def read(self, address: int, size: int) -> bytes:
        """Exactly `size` bytes. Raises Torn where there are fewer."""
        if not 0 < address < 1 << 56 or size < 0:
            raise Torn("an address")
        if size > _PAGE:
            content = self._fetched(address, size)
        else:
            number, at = divmod(address, _PAGE)
            content = self._page(number)[at : at + size]
            if at + size > _PAGE:
                content += self._page(number + 1)[: at + size - _PAGE]
        if len(content) != size:
            raise Torn("readable memory")
        return content

    def word(self, address: int) -> int:
        """Eight bytes as a number."""
        return int(_WORD.unpack(self.read(address, WORD))[0])

    def half(self, address: int) -> int:
        """Two bytes."""
        return int.from_bytes(self.read(address, 2), "little")

    def number(self, address: int) -> int:
        """Four bytes with a sign."""
        return int.from_bytes(self.read(address, 4), "little", signed=True)

    def _page(self, number: int) -> bytes:
        if number not in self._pages:
            self._pages[number] = self._fetched(number * _PAGE, _PAGE)
        return self._pages[number]

    def _fetched(self, address: int, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise Torn("an end of what is to be read")
        return self._source(address, size)
