"""Netlink messages of a dump: the request, and its answer cut into blocks of verified rows.

Called by dump_sockets, listening and rechecks; knows message framing (linux/netlink.h), nothing about sockets. A block
is a run of messages of one length, so that a field of all its rows is one strided slice. Whatever arrives is verified:
the result is blocks whose every header was checked, or an error of the `errors` tree, never a guess.
"""

import enum
import errno
import os
import struct
from typing import NamedTuple

from lastack import errors

NETLINK_SOCK_DIAG = 4
HEADER_BYTES = 16
_HEADER = struct.Struct("=IHHII")
_ERROR_CODE = struct.Struct("=i")
# MAX_ERRNO of include/linux/err.h: a status below -4095 is damage.
_LARGEST_ERRNO = 4095
_END = struct.Struct("=IHHIIi")

_NOOP, _ERROR, _DONE, _OVERRUN = 1, 2, 3, 4
_REQUEST, _DUMP, _DUMP_INTERRUPTED = 0x1, 0x300, 0x10
# Every request has this number: an unchanged answer is then the same bytes. What an abandoned dump left is drained
# before anything else is asked, so that a number of its own would tell nothing more.
SEQUENCE = 1


class Block:
    """`count` messages of `stride` bytes each, one after another in `records[0:end]`.

    `records` may be the receive buffer itself: it is valid only until the next block is asked for. A plain class,
    because a frozen dataclass takes longer to make than to read.
    """

    __slots__ = ("count", "end", "records", "stride")

    def __init__(self, records: bytearray, stride: int, count: int) -> None:
        """Take `records` as they are; nothing is copied."""
        self.records = records
        self.stride = stride
        self.count = count
        self.end = stride * count

    def plane(self, offset: int) -> bytearray:
        """Byte `offset` of every message: `count` bytes."""
        return self.records[offset : self.end : self.stride]

    def is_constant(self, offset: int, width: int) -> bool:
        """Every message has the same `width` bytes at `offset` as the first one."""
        records, end, stride, count = self.records, self.end, self.stride, self.count
        for at in range(offset, offset + width):  # noqa: SIM110 - a generator costs more than its work here
            # Compared, not counted: bytes.count stops at each match.
            if records[at:end:stride] != records[at : at + 1] * count:
                return False
        return True

    def has_one_header(self) -> bool:
        """Every message has the length and type of the first, and the last one its whole header.

        Of each message the bytes that can differ in a datagram below 64 KiB are looked at: a message that is longer,
        shorter, an error or the end sends the datagram to the walk. Four more bytes of each would cost as much as
        all the counting.
        """
        records, end, stride, count = self.records, self.end, self.stride, self.count
        head, last = records[:12], end - stride
        return (
            records[last : last + 12] == head
            and records[4:end:stride] == head[4:5] * count
            and records[0:end:stride] == head[0:1] * count
            and records[1:end:stride] == head[1:2] * count
        )


class Expected(NamedTuple):
    """What a message of an answer must look like."""

    message_type: int
    least_bytes: int


class Request(NamedTuple):
    """One dump request, ready to be sent, and what its answer must look like."""

    message: bytes
    expected: Expected


def request(message_type: int, payload: bytes, *, least_bytes: int) -> Request:
    """A request for a dump of rows that have `least_bytes` or more."""
    header = _HEADER.pack(HEADER_BYTES + len(payload), message_type, _REQUEST | _DUMP, SEQUENCE, 0)
    return Request(header + payload, Expected(message_type, least_bytes))


def split(datagram: bytearray, size: int, expected: Expected) -> tuple[list[Block], bool]:
    """Cut `datagram[0:size]` into verified blocks; the second value says that the dump is complete.

    Raises KernelReplyError for anything cut or unknown, and the error that the kernel reports in a message.
    """
    if size < HEADER_BYTES:
        raise errors.KernelReplyError(f"a netlink datagram of {size} bytes, expected {HEADER_BYTES} or more")
    stride = row_stride(datagram, 0, size, expected)
    if stride:
        block = Block(datagram, stride, size // stride)
        if block.has_one_header():
            return [block], False
    return _walk(datagram, size, expected)


def row_stride(buffer: bytearray, at: int, size: int, expected: Expected) -> int:
    """Bytes per row when a datagram begins with a row and could consist of such rows only, else 0."""
    if size < HEADER_BYTES or size > 0xFFFF:
        return 0
    length, message_type, flags, sequence, _ = _HEADER.unpack_from(buffer, at)
    # An error message echoes the request and has the size of a row: its type is looked at before anything.
    if message_type != expected.message_type or sequence != SEQUENCE or flags & _DUMP_INTERRUPTED:
        return 0
    stride: int = (length + 3) & ~3
    return stride if length >= expected.least_bytes and size % stride == 0 else 0


def is_end(datagram: bytearray) -> bool:
    """Whether a datagram is nothing but the end of a dump that went well: what the last one of every dump is."""
    if len(datagram) != _END.size:
        return False
    length, message_type, _, sequence, _, status = _END.unpack_from(datagram)
    return bool((length, message_type, sequence, status) == (_END.size, _DONE, SEQUENCE, 0))


def each_datagram(buffer: bytearray, sizes: list[int], expected: Expected) -> tuple[list[Block], bool]:
    """The blocks of datagrams that stand one after another in the buffer; no message reaches into the next one."""
    blocks: list[Block] = []
    at, done = 0, False
    for size in sizes:
        found, done = _walk(buffer[at : at + size], size, expected)
        blocks += found
        at += size
    return blocks, done


class Kind(enum.Enum):
    """What a message of an answer is."""

    ROW = enum.auto()
    END = enum.auto()
    FILLER = enum.auto()


def message_at(datagram: bytes | bytearray, at: int, size: int, expected: Expected) -> tuple[int, Kind]:
    """Length and kind of the message at `at` of `datagram[0:size]`, verified. Raises as `split` does."""
    if size - at < HEADER_BYTES:
        raise errors.KernelReplyError(
            f"{size - at} bytes at offset {at} of a datagram, expected a header of 16"
        )
    length, message_type, flags, sequence, _ = _HEADER.unpack_from(datagram, at)
    if length < HEADER_BYTES or length > size - at:
        raise errors.KernelReplyError(
            f"a netlink message claims {length} bytes at offset {at}, the datagram has {size - at} left"
        )
    if sequence != SEQUENCE:
        raise errors.KernelReplyError(f"a netlink message has sequence {sequence}, expected {SEQUENCE}")
    if message_type in {_ERROR, _DONE}:
        _raise_reported(datagram, at, length, message_type)
        return length, Kind.END if message_type == _DONE else Kind.FILLER
    if message_type == _NOOP:
        return length, Kind.FILLER
    if message_type != expected.message_type:
        reason = "the kernel lost messages (NLMSG_OVERRUN)" if message_type == _OVERRUN else "unknown"
        raise errors.KernelReplyError(
            f"a netlink message of type {message_type} ({reason}), expected type {expected.message_type}"
        )
    if flags & _DUMP_INTERRUPTED:
        raise errors.Transient("the kernel's table changed during the dump (NLM_F_DUMP_INTR)")
    if length < expected.least_bytes:
        raise errors.KernelReplyError(
            f"a row of {length} bytes at offset {at}, expected {expected.least_bytes} or more"
        )
    return length, Kind.ROW


def _walk(datagram: bytearray, size: int, expected: Expected) -> tuple[list[Block], bool]:
    """Go from message to message by its length; group those of one length."""
    groups: dict[int, list[bytearray]] = {}
    at, done = 0, False
    while at < size and not done:
        length, kind = message_at(datagram, at, size, expected)
        if kind is Kind.ROW:
            record = datagram[at : at + length]
            record.extend(bytes(-length % 4))
            groups.setdefault(length, []).append(record)
        done = kind is Kind.END
        at += (length + 3) & ~3
    blocks = [
        Block(bytearray().join(records), (length + 3) & ~3, len(records))
        for length, records in groups.items()
    ]
    return blocks, done


def _raise_reported(datagram: bytes | bytearray, at: int, length: int, message_type: int) -> None:
    """Raise what an NLMSG_ERROR or NLMSG_DONE reports; return when it reports success."""
    if length < HEADER_BYTES + _ERROR_CODE.size:
        # The dumps of old kernels may end without a status.
        if message_type == _DONE:
            return
        raise errors.KernelReplyError(f"an error message of {length} bytes, expected 20 or more")
    (status,) = _ERROR_CODE.unpack_from(datagram, at + HEADER_BYTES)
    if -_LARGEST_ERRNO <= status < 0:
        raise refusal(-status, "the socket dump")
    if status < 0 or message_type == _ERROR:
        raise errors.KernelReplyError(f"a message with status {status} in place of rows")


def refusal(code: int, what: str) -> errors.WorldError:
    """The error of the tree for an errno that the kernel gave for `what`."""
    text = f"{what} failed: {os.strerror(code)} ({errno.errorcode.get(code, str(code))})"
    if code in {errno.EPERM, errno.EACCES}:
        return errors.NotPermitted(text, fix="run as root, or allow AF_NETLINK in the seccomp filter")
    if code in {errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT}:
        return errors.Unsupported(text, fix="load the module: modprobe tcp_diag")
    if code in {errno.EAGAIN, errno.ENOBUFS, errno.EBUSY, errno.ENOMEM, errno.EINTR}:
        return errors.Transient(text)
    return errors.KernelReplyError(text)
