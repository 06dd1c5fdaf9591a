"""The words of inet_diag: requests, the fixed part of a row, its attributes, tcp_info (linux/inet_diag.h).

Called by sock_diag, close_waits and socket_tables. All offsets count from the start of the netlink message.
"""

import dataclasses
import enum
import functools
import struct
from collections.abc import Set as AbstractSet

from lastack import errors
from lastack.kernel import netlink

# One walk over the hash for both address families; SOCK_DIAG_BY_FAMILY needs two.
GETSOCK_BOTH_FAMILIES = 18
GETSOCK_BY_FAMILY = 20

INET, INET6 = 2, 10
_TCP = 6

# struct inet_diag_msg after the 16 bytes of the netlink header.
FAMILY, STATE, TIMER = 16, 17, 18
LOCAL_PORT, PEER_PORT, LOCAL_ADDRESS, PEER_ADDRESS = 20, 22, 24, 40
INTERFACE, COOKIE, EXPIRES, RQUEUE, WQUEUE, UID, INODE = 56, 60, 68, 72, 76, 80, 84
ATTRIBUTES = 88

# tcp_info, counted from its own start; last_ack_sent (48) is never filled by the kernel.
TCP_INFO_LAST_DATA_SENT, TCP_INFO_LAST_DATA_RECV, TCP_INFO_LAST_ACK_RECV = 44, 52, 56
SKMEMINFO_DROPS = 8 * 4

_REQUEST_BOTH = struct.Struct("=BBBB48xII")
_REQUEST_FAMILY = struct.Struct("=BBBxI48x")
_LENGTH = struct.Struct("=I")
_ATTRIBUTE = struct.Struct("=HH")
_REQUEST_BYTECODE = 1


class State(enum.IntEnum):
    """TCP states as the kernel numbers them (net/tcp_states.h)."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECV = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11


_EVERY_STATE = frozenset(State)


class Extension(enum.IntEnum):
    """Attributes that a dump carries only when they are asked for, by their number."""

    TCP_INFO = 2
    SKMEMINFO = 7


class Attribute(enum.IntEnum):
    """Attributes that we read."""

    TCP_INFO = 2
    SKMEMINFO = 7
    SKV6ONLY = 11
    CGROUP_ID = 21


class Timer(enum.IntEnum):
    """Which timer of a socket is running (`idiag_timer`)."""

    NONE = 0
    RETRANSMIT = 1
    KEEPALIVE = 2
    TIME_WAIT = 3
    ZERO_WINDOW_PROBE = 4


@functools.lru_cache(maxsize=64)
def request(
    states: frozenset[State],
    *,
    family: int | None = None,
    extensions: frozenset[Extension] = frozenset(),
    program: bytes = b"",
) -> netlink.Request:
    """A dump of the rows in `states`; `family` None asks for both families in one walk."""
    mask = 0
    for state in states:
        mask |= 1 << state
    extra = 0
    for extension in extensions:
        extra |= 1 << (extension - 1)
    filtered = _ATTRIBUTE.pack(4 + len(program), _REQUEST_BYTECODE) + program if program else b""
    if family is None:
        payload = _REQUEST_BOTH.pack(0, 0, 0, extra, mask, 0) + filtered
        return netlink.request(GETSOCK_BOTH_FAMILIES, payload, least_bytes=ATTRIBUTES)
    payload = _REQUEST_FAMILY.pack(family, _TCP, extra, mask) + filtered
    return netlink.request(GETSOCK_BY_FAMILY, payload, least_bytes=ATTRIBUTES)


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """Where the attributes stand in a row: number of the attribute -> (offset of its payload, bytes)."""

    places: dict[int, tuple[int, int]]

    def word(self, attribute: Attribute, offset: int, width: int = 4) -> int | None:
        """The offset in the message of `width` bytes of an attribute; None when it is absent or shorter."""
        place = self.places.get(attribute)
        if place is None or place[1] < offset + width:
            return None
        return place[0] + offset


def layout(block: netlink.Block, index: int = 0) -> Layout:
    """Read the attribute headers of one row. Raises KernelReplyError when they do not fill it exactly."""
    return layout_of(block.records, index * block.stride)


def layout_of(records: bytes | bytearray, start: int) -> Layout:
    """The same for the row that begins at byte `start`."""
    places: dict[int, tuple[int, int]] = {}
    (length,) = _LENGTH.unpack_from(records, start)
    at = ATTRIBUTES
    while at + 4 <= length:
        size, kind = _ATTRIBUTE.unpack_from(records, start + at)
        if size < 4 or at + size > length:
            raise errors.KernelReplyError(
                f"attribute {kind} at byte {at} of a socket row claims {size} bytes, "
                f"the row has {length - at} left"
            )
        places[kind] = (at + 4, size - 4)
        at += (size + 3) & ~3
    if at < length:
        raise errors.KernelReplyError(f"{length - at} stray bytes at the end of a socket row of {length}")
    return Layout(places)


def same_layout(block: netlink.Block, found: Layout) -> bool:
    """Every row of the block has its attribute headers at the places of `found`."""
    return all(block.is_constant(place - 4, 4) for place, _ in found.places.values())


def by_layout(block: netlink.Block) -> list[tuple[netlink.Block, Layout]]:
    """Cut a block into blocks whose rows all have one attribute layout; usually it is one already."""
    first = layout(block)
    if same_layout(block, first):
        return [(block, first)]
    groups: dict[tuple[tuple[int, tuple[int, int]], ...], list[bytearray]] = {}
    for index in range(block.count):
        found = layout(block, index)
        record = block.records[index * block.stride : (index + 1) * block.stride]
        groups.setdefault(tuple(found.places.items()), []).append(record)
    return [
        (netlink.Block(bytearray().join(records), block.stride, len(records)), Layout(dict(places)))
        for places, records in groups.items()
    ]


def any_byte(block: netlink.Block, offset: int) -> bytes:
    """The four bytes of a word of every row, or-ed: 0 exactly where the word is 0."""
    joined = 0
    for at in range(offset, offset + 4):
        joined |= int.from_bytes(block.plane(at), "little")
    return joined.to_bytes(block.count, "little")


def waiting(block: netlink.Block) -> netlink.Block | None:
    """Only the rows that no process has accepted (inode 0) or whose data it has not read, copied; None: no such row."""
    owned, unread, stride = any_byte(block, INODE), any_byte(block, RQUEUE), block.stride
    if 0 not in owned and not any(unread):
        return None
    kept = [index for index, some in enumerate(owned) if not some or unread[index]]
    records = bytearray().join(block.records[index * stride : (index + 1) * stride] for index in kept)
    return netlink.Block(records, stride, len(kept))


def inodes(block: netlink.Block) -> list[int]:
    """The inode of every row, 0 where no process has it."""
    words = bytearray(4 * block.count)
    for at in range(4):
        words[at::4] = block.plane(INODE + at)
    return memoryview(words).cast("I").tolist()


def with_inodes(block: netlink.Block, wanted: AbstractSet[int]) -> netlink.Block | None:
    """Only the rows of the sockets with these inodes, copied; None when there are none."""
    stride, column = block.stride, inodes(block)
    if wanted.isdisjoint(column):
        return None
    kept = [index for index, inode in enumerate(column) if inode in wanted]
    records = bytearray().join(block.records[index * stride : (index + 1) * stride] for index in kept)
    return netlink.Block(records, stride, len(kept))


def rows_in(block: netlink.Block, states: frozenset[State]) -> netlink.Block | None:
    """The block with the rows that are in one of `states`, None when there is none.

    A socket may change between the kernel's filter and the writing of its row (a reset turns CLOSE_WAIT into
    CLOSE), so that a row in another state is no defect: it left. A state that does not exist is one.
    """
    found = block.plane(STATE)
    if found[0] in states and found == found[:1] * block.count:
        return block
    among = sum(map(found.count, states))
    if among == block.count:
        return block
    if not _EVERY_STATE.issuperset(found):
        raise errors.KernelReplyError(f"socket rows in states {sorted(set(found))}, expected 1 to 11")
    if not among:
        return None
    stride = block.stride
    kept = [
        block.records[index * stride : (index + 1) * stride]
        for index, state in enumerate(found)
        if state in states
    ]
    return netlink.Block(bytearray().join(kept), stride, len(kept))
