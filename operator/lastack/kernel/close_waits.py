"""How many CLOSE_WAIT sockets each local port has, by class: the cheapest look that tells classes, flat in memory.

Called by sock_diag; it makes no object per row. Looks that diagnose need ages and owners besides, and read whole rows
(socket_tables). A class needs two words of a row: `inode` 0 means that no process has accepted the socket, `rqueue` 0
that nothing is unread.
"""

import collections
import functools
import struct
import sys
from collections.abc import Iterable
from typing import NamedTuple

from lastack.kernel import inet_diag, netlink

_STATE = inet_diag.State.CLOSE_WAIT.value
_CLOSE_WAIT = frozenset({inet_diag.State.CLOSE_WAIT})
_OWNED, _WAITING = 2, 1
_LOW_AT, _HIGH_AT = inet_diag.LOCAL_PORT + 1, inet_diag.LOCAL_PORT
_LOW, _HIGH, _FLAGS = (0, 1, 2) if sys.byteorder == "little" else (3, 2, 1)
_LIKELY_FIRST = (_OWNED, _OWNED | _WAITING, _WAITING, 0)
_FEW = 64
# The index of a port and two flags fit into one byte.
_MOST_KNOWN_PORTS = 63


class PortCounts(NamedTuple):
    """CLOSE_WAIT sockets of one local port. An outbound port is one that nobody listens on: see listeners.

    No frozen dataclass, which takes three times as long to make: a leak of a client has thousands of ports.
    """

    queued: int
    """No process has accepted it (inode 0)."""
    unread: int
    """Accepted, and data or the end of the stream stand unread in its receive queue."""
    held: int
    """Accepted and read to the end."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.queued + self.unread + self.held


class Counter:
    """Counts look after look. It remembers ports from one look to the next, and no rows.

    A service has few ports and thousands of rows. A port that is known by its low byte turns into an index, and
    index and flags of a row into one byte, so that a block is counted with a few bytes.count: 2 ns per row where
    a dictionary of keys takes 80. Ports that share a low byte, and those of an outbound leak, which are all
    different, go through the dictionary.
    """

    def __init__(self) -> None:
        """Know no port."""
        self._amounts: dict[int, int] = {}
        # An empty cell costs a pass over the block: those with the most rows are sought first in the next look.
        self._sought_in_vain = False
        self._forget()

    def count(self, blocks: Iterable[netlink.Block]) -> dict[int, PortCounts]:
        """Local port -> counts, for the rows of a CLOSE_WAIT dump. Raises KernelReplyError on what is no row."""
        self._amounts = {}
        for each in blocks:
            if each.count <= _FEW and self._add_few(each):
                continue
            block = inet_diag.rows_in(each, _CLOSE_WAIT)
            if block is not None:
                self._add(block)
        if self._sought_in_vain:
            self._cells.sort(key=lambda cell: -self._amounts.get(cell[1], 0))
            self._sought_in_vain = False
        ports = {key & 0xFFFF for key in self._amounts}
        return {port: self._port(port) for port in sorted(ports)}

    def _port(self, port: int) -> PortCounts:
        """What was counted for one port."""
        of = self._amounts.get
        return PortCounts(
            of(port, 0) + of(port | _WAITING << 16, 0),
            of(port | (_OWNED | _WAITING) << 16, 0),
            of(port | _OWNED << 16, 0),
        )

    def _add_few(self, block: netlink.Block) -> bool:
        """Count a few rows one by one; False, and nothing is counted, when one of them is in another state.

        After a walk over every socket nothing of ours is in the cache any more: what is done by few and simple steps
        takes half of the time.
        """
        amounts = self._amounts
        rows = list(_row(block.stride).iter_unpack(memoryview(block.records)[: block.end]))
        for row in rows:
            if row[0] != _STATE:
                return False
        for _, high, low, waiting, inode in rows:
            key = high << 8 | low | (_OWNED << 16 if inode else 0) | (_WAITING << 16 if waiting else 0)
            amounts[key] = amounts.get(key, 0) + 1
        return True

    def _add(self, block: netlink.Block) -> None:
        """Count the rows of a block."""
        records, end, stride, count = block.records, block.end, block.stride, block.count
        low, high = records[_LOW_AT:end:stride], records[_HIGH_AT:end:stride]
        # The bit OWNED of each byte, then WAITING.
        flags = _nonzero(block, inet_diag.INODE) >> 6 | _nonzero(block, inet_diag.RQUEUE) >> 7
        indexes = low.translate(self._cell_of_low)
        # Cell 0 means unknown. A known low byte must come with the high byte of its port.
        if 0 in indexes or low.translate(self._high_of_low) != high:
            self._add_one_by_one(low, high, flags.to_bytes(count, "little"))
            return
        cells = (flags | int.from_bytes(indexes, "little")).to_bytes(count, "little")
        left, amounts = count, self._amounts
        for cell, key in self._cells:
            amount = cells.count(cell)
            if amount:
                amounts[key] = amounts.get(key, 0) + amount
                left -= amount
                if not left:
                    return
            else:
                self._sought_in_vain = True

    def _add_one_by_one(self, low: bytearray, high: bytearray, flags: bytes) -> None:
        joined = bytearray(4 * len(flags))
        joined[_LOW::4], joined[_HIGH::4], joined[_FLAGS::4] = low, high, flags
        if len(self._ports) == _MOST_KNOWN_PORTS:
            self._forget()
        for key, amount in collections.Counter(memoryview(joined).cast("I").tolist()).items():
            self._amounts[key] = self._amounts.get(key, 0) + amount
            # A port with a single row in a block is not worth a cell: it may be one of thousands.
            if amount > 1:
                self._remember(key & 0xFFFF)

    def _forget(self) -> None:
        """Make room for the ports of today."""
        self._ports: list[int] = []
        self._cells: list[tuple[int, int]] = []
        self._high_of_low = bytearray(256)
        self._cell_of_low = bytearray(256)

    def _remember(self, port: int) -> None:
        """Give a port a cell, as long as there is room and no other one has its low byte."""
        if len(self._ports) < _MOST_KNOWN_PORTS and not self._cell_of_low[port & 0xFF]:
            self._ports.append(port)
            index = len(self._ports) << 2
            self._cells += [(index | flags, port | flags << 16) for flags in _LIKELY_FIRST]
            self._cell_of_low[port & 0xFF] = index
            self._high_of_low[port & 0xFF] = port >> 8


@functools.lru_cache(maxsize=8)
def _row(stride: int) -> struct.Struct:
    """State, the two bytes of the local port, queue and inode of a row of so many bytes."""
    return struct.Struct(f"=17xB2xBB50xI8xI{stride - inet_diag.ATTRIBUTES}x")


@functools.lru_cache(maxsize=8)
def _low_bits(count: int) -> tuple[int, int]:
    """A number of `count` bytes that are all 0x7f, and the same with 0x80. Most blocks have one and the same length."""
    return int.from_bytes(b"\x7f" * count, "little"), int.from_bytes(b"\x80" * count, "little")


def _nonzero(block: netlink.Block, offset: int) -> int:
    """A byte per row: 0x80 where the word at `offset` is not 0, else 0.

    It reads no more planes than it needs, and puts them together as one large number, which is the cheapest or.
    """
    records, end, stride, count = block.records, block.end, block.stride, block.count
    plane = records[offset:end:stride]
    joined = int.from_bytes(plane, "little")
    if 0 in plane:
        zeros = bytes(count)
        for at in range(offset + 1, offset + 4):
            plane = records[at:end:stride]
            # A plane of zeros changes nothing, and it is the usual case: numbers are small.
            if plane != zeros:
                joined |= int.from_bytes(plane, "little")
    ones, highest = _low_bits(count)
    # The addition carries into the highest bit of a byte where one of the others is set, and never beyond.
    return ((joined & ones) + ones | joined) & highest
