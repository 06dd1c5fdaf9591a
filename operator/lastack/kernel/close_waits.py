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
_QUEUED, _UNREAD, _HELD = 0, 1, 2
_LOW_AT, _HIGH_AT = inet_diag.LOCAL_PORT + 1, inet_diag.LOCAL_PORT
_LOW, _HIGH, _CLASS = (0, 1, 2) if sys.byteorder == "little" else (3, 2, 1)
# Bit 0 of a lane: owned, bit 1: something waits.
_CLASS_OF_LANE = bytes((_QUEUED, _HELD, _QUEUED, _UNREAD)) + bytes(252)
_FEW = 64
# A port costs 5 ns per row, one by one they cost 100 ns all together.
_MOST_KNOWN_PORTS = 15


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

    A service has few ports and thousands of rows. A column of a block becomes one large number with a lane of eight
    bits for each row; the rows of a port and of a class are then the lanes that some `and` leaves, counted by
    `bit_count`: 45 ns per row where a dictionary of keys takes 100. (bytes.count takes as long as all the rest: its
    branch is mispredicted at each match.) Ports that share a low byte, and those of an outbound leak, which are all
    different, go through the dictionary.
    """

    def __init__(self) -> None:
        """Know no port."""
        self._amounts: dict[int, list[int]] = {}
        self._forget()

    def count(self, blocks: Iterable[netlink.Block]) -> dict[int, PortCounts]:
        """Local port -> counts, for the rows of a CLOSE_WAIT dump. Raises KernelReplyError on what is no row."""
        amounts = self._amounts = {}
        for each in blocks:
            if each.count <= _FEW and self._add_few(each):
                continue
            block = inet_diag.rows_in(each, _CLOSE_WAIT)
            if block is not None:
                self._add(block)
        return {port: PortCounts(*amounts[port]) for port in sorted(amounts)}

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
            port = high << 8 | low
            of_port = amounts.get(port)
            if of_port is None:
                of_port = amounts[port] = [0, 0, 0]
            of_port[(_UNREAD if waiting else _HELD) if inode else _QUEUED] += 1
        return True

    def _add(self, block: netlink.Block) -> None:
        """Count the rows of a block."""
        records, end, stride, count = block.records, block.end, block.stride, block.count
        low, high = records[_LOW_AT:end:stride], records[_HIGH_AT:end:stride]
        indexes = low.translate(self._index_of_low)
        owned = _nonzero(block, inet_diag.INODE)
        waiting = _nonzero(block, inet_diag.RQUEUE)
        # Index 0 means unknown. A known low byte must come with the high byte of its port.
        if 0 in indexes or low.translate(self._high_of_low) != high:
            lanes = (owned >> 7 | waiting >> 6).to_bytes(count, "little")
            self._add_one_by_one(low, high, lanes.translate(_CLASS_OF_LANE))
            return
        unread = owned & waiting
        index_lanes = int.from_bytes(indexes, "little")
        ones, below, highest = _lanes(count)
        left, left_owned, left_unread = count, owned.bit_count(), unread.bit_count()
        for index, port in enumerate(self._ports, start=1):
            if index not in indexes:
                continue
            # The carry sets the highest bit of the lanes that differ from the index.
            here = (((index_lanes ^ ones * index) + below) & highest) ^ highest
            all_here = here.bit_count()
            if all_here == left:
                self._add_amounts(port, left, left_owned, left_unread)
                return
            owned_here, unread_here = (owned & here).bit_count(), (unread & here).bit_count()
            self._add_amounts(port, all_here, owned_here, unread_here)
            left, left_owned, left_unread = (
                left - all_here,
                left_owned - owned_here,
                left_unread - unread_here,
            )

    def _add_amounts(self, port: int, everyone: int, owned: int, unread: int) -> None:
        of_port = self._amounts.setdefault(port, [0, 0, 0])
        of_port[_QUEUED] += everyone - owned
        of_port[_UNREAD] += unread
        of_port[_HELD] += owned - unread

    def _add_one_by_one(self, low: bytearray, high: bytearray, classes: bytes) -> None:
        joined = bytearray(4 * len(classes))
        joined[_LOW::4], joined[_HIGH::4], joined[_CLASS::4] = low, high, classes
        if len(self._ports) == _MOST_KNOWN_PORTS:
            self._forget()
        for key, amount in collections.Counter(memoryview(joined).cast("I").tolist()).items():
            port = key & 0xFFFF
            self._amounts.setdefault(port, [0, 0, 0])[key >> 16] += amount
            # A port with a single row in a block is not worth a lane of its own: it may be one of thousands.
            if amount > 1:
                self._remember(port)

    def _forget(self) -> None:
        """Make room for the ports of today."""
        self._ports: list[int] = []
        self._high_of_low = bytearray(256)
        self._index_of_low = bytearray(256)

    def _remember(self, port: int) -> None:
        """Give a port an index, as long as there is room and no other one has its low byte."""
        if len(self._ports) < _MOST_KNOWN_PORTS and not self._index_of_low[port & 0xFF]:
            self._ports.append(port)
            self._index_of_low[port & 0xFF] = len(self._ports)
            self._high_of_low[port & 0xFF] = port >> 8


@functools.lru_cache(maxsize=8)
def _row(stride: int) -> struct.Struct:
    """State, the two bytes of the local port, queue and inode of a row of so many bytes."""
    return struct.Struct(f"=17xB2xBB50xI8xI{stride - inet_diag.ATTRIBUTES}x")


@functools.lru_cache(maxsize=8)
def _lanes(count: int) -> tuple[int, int, int]:
    """Numbers of `count` bytes that are all 0x01, 0x7f and 0x80. Most blocks have one and the same length."""
    ones = int.from_bytes(b"\x01" * count, "little")
    return ones, ones * 0x7F, ones << 7


def _nonzero(block: netlink.Block, offset: int) -> int:
    """A lane per row: 0x80 where the word at `offset` is not 0, else 0.

    It reads no more columns than it needs, and puts them together as one large number, which is the cheapest or.
    """
    records, end, stride, count = block.records, block.end, block.stride, block.count
    _, below, highest = _lanes(count)
    plane = records[offset:end:stride]
    if 0 not in plane:
        return highest
    joined = int.from_bytes(plane, "little")
    zeros = bytes(count)
    for at in range(offset + 1, offset + 4):
        plane = records[at:end:stride]
        # A plane of zeros changes nothing, and it is the usual case: numbers are small.
        if plane != zeros:
            joined |= int.from_bytes(plane, "little")
    # The addition carries into the highest bit of a byte where one of the others is set, and never beyond.
    return ((joined & below) + below | joined) & highest
