"""How many CLOSE_WAIT sockets each local port has, by class: the quiet look, flat in memory.

Called by sock_diag for every tick of every member; therefore it makes no object per row. A class needs two
words of a row: `inode` 0 means that no process has accepted the socket, `rqueue` 0 that nothing is unread.
"""

import collections
import dataclasses
import sys
from collections.abc import Iterable

from lastack.kernel import inet_diag, netlink

_QUEUED, _UNREAD, _HELD = range(3)
_CLOSE_WAIT = frozenset({inet_diag.State.CLOSE_WAIT})
_ONE = bytes([0]) + bytes([1]) * 255
# Class of a row from (owned: 1) + (bytes in the receive queue: 2).
_CLASS = bytes([_QUEUED, _HELD, _QUEUED, _UNREAD]) + bytes(252)
_LOW, _HIGH, _KIND_AT = (0, 1, 2) if sys.byteorder == "little" else (3, 2, 1)


@dataclasses.dataclass(frozen=True, slots=True)
class PortCounts:
    """CLOSE_WAIT sockets of one local port. An outbound port is one that nobody listens on: see listeners."""

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


def count(blocks: Iterable[netlink.Block]) -> dict[int, PortCounts]:
    """Local port -> counts, for the rows of a CLOSE_WAIT dump. Raises KernelReplyError on other rows."""
    keys: collections.Counter[int] = collections.Counter()
    for block in blocks:
        inet_diag.check_rows(block, _CLOSE_WAIT)
        _add(block, keys)
    found: dict[int, list[int]] = {}
    for key, amount in keys.items():
        found.setdefault(key & 0xFFFF, [0, 0, 0])[key >> 16] += amount
    return {port: PortCounts(*amounts) for port, amounts in found.items()}


def _add(block: netlink.Block, keys: "collections.Counter[int]") -> None:
    """Count the rows by port | class << 16."""
    rows = block.count
    kinds = _kinds(block)
    high, low = block.plane(inet_diag.LOCAL_PORT), block.plane(inet_diag.LOCAL_PORT + 1)
    if low.count(low[0]) == rows and high.count(high[0]) == rows:
        port = high[0] << 8 | low[0]
        for kind in (_QUEUED, _UNREAD, _HELD):
            keys[port | kind << 16] += kinds.count(kind)
        return
    joined = bytearray(4 * rows)
    joined[_LOW::4], joined[_HIGH::4], joined[_KIND_AT::4] = low, high, kinds
    keys.update(memoryview(joined).cast("I").tolist())


def _kinds(block: netlink.Block) -> bytes:
    """The class of each row, a byte per row."""
    owned = _any_byte(block, inet_diag.INODE).translate(_ONE)
    waiting = _any_byte(block, inet_diag.RQUEUE).translate(_ONE)
    both = int.from_bytes(owned, "little") | int.from_bytes(waiting, "little") << 1
    return both.to_bytes(block.count, "little").translate(_CLASS)


def _any_byte(block: netlink.Block, offset: int) -> bytes:
    """The four bytes of a word, or-ed: 0 exactly where the word is 0."""
    joined = 0
    for at in range(offset, offset + 4):
        joined |= int.from_bytes(block.plane(at), "little")
    return joined.to_bytes(block.count, "little")
