"""Netlink dumps: send one request, receive its datagrams into one reused buffer, cut them into blocks.

Called by sock_diag; knows message framing (linux/netlink.h), nothing about sockets. A block is a run of
messages of one length, so that a field of all its rows is one strided slice. Whatever arrives is verified:
the result is blocks whose every header was checked, or an error of the `errors` tree, never a guess.
"""

import enum
import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple, Self

from lastack import errors
from lastack.kernel import linux

NETLINK_SOCK_DIAG = 4
HEADER_BYTES = 16
_HEADER = struct.Struct("=IHHII")
_ERROR_CODE = struct.Struct("=i")
# MAX_ERRNO of include/linux/err.h: a status below -4095 is damage.
_LARGEST_ERRNO = 4095
_END = struct.Struct("=IHHIIi")

_NOOP, _ERROR, _DONE, _OVERRUN = 1, 2, 3, 4
_REQUEST, _DUMP, _DUMP_INTERRUPTED = 0x1, 0x300, 0x10
# The kernel fills at most 32 KiB per datagram whatever the buffer (netlink_dump); twice that never truncates.
_DATAGRAM_BYTES = 65536
# Sixteen full datagrams: the cost of a slice is its start, and the rows still fit into the second-level cache.
_GATHERED_BYTES = 15 * 32768
BUFFER_BYTES = _GATHERED_BYTES + 2 * _DATAGRAM_BYTES
# Every request has this number: an unchanged answer is then the same bytes. What an abandoned dump left is drained
# before anything else is asked, so that a number of its own would tell nothing more.
SEQUENCE = 1
_DRAIN_DATAGRAMS = 100_000
_WHOLE_LENGTH = int(socket.MSG_TRUNC)


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
    stride = _row_stride(datagram, 0, size, expected)
    if stride:
        block = Block(datagram, stride, size // stride)
        if block.has_one_header():
            return [block], False
    return _walk(datagram, size, expected)


def _row_stride(buffer: bytearray, at: int, size: int, expected: Expected) -> int:
    """Bytes per row when a datagram begins with a row and could consist of such rows only, else 0."""
    if size < HEADER_BYTES or size > 0xFFFF:
        return 0
    length, message_type, flags, sequence, _ = _HEADER.unpack_from(buffer, at)
    # An error message echoes the request and has the size of a row: its type is looked at before anything.
    if message_type != expected.message_type or sequence != SEQUENCE or flags & _DUMP_INTERRUPTED:
        return 0
    stride: int = (length + 3) & ~3
    return stride if length >= expected.least_bytes and size % stride == 0 else 0


def _is_end(datagram: bytearray) -> bool:
    """Whether a datagram is nothing but the end of a dump that went well: what the last one of every dump is."""
    if len(datagram) != _END.size:
        return False
    length, message_type, _, sequence, _, status = _END.unpack_from(datagram)
    return bool((length, message_type, sequence, status) == (_END.size, _DONE, SEQUENCE, 0))


def _each_datagram(buffer: bytearray, sizes: list[int], expected: Expected) -> tuple[list[Block], bool]:
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


def _not_received(problem: OSError) -> errors.WorldError:
    """The error for a receive that failed."""
    if isinstance(problem, BlockingIOError):
        return errors.Transient("the kernel did not go on with the socket dump within the time-out")
    return refusal(problem.errno or errno.EIO, "receiving a socket dump")


def _not_cut(size: int) -> int:
    """The size of a datagram. Raises KernelReplyError when there was no room for it."""
    if size > _DATAGRAM_BYTES:
        raise errors.KernelReplyError(f"a datagram of {size} bytes was cut to {_DATAGRAM_BYTES}")
    return size


class DumpSocket:
    """A netlink socket of one network namespace: that of the thread that opened it.

    It pins its namespace for as long as it is open: whoever opens it closes it (or uses `with`).
    One dump at a time; a dump that was left or failed is drained before the next one.
    """

    def __init__(
        self, endpoint: socket.socket, *, timeout_seconds: float = 5.0, buffer: bytearray | None = None
    ) -> None:
        """Own `endpoint`; a receive that takes longer than the time-out is an error.

        `buffer` of BUFFER_BYTES may be shared by sockets that one thread uses one after another.
        """
        self._socket = endpoint
        self._buffer = bytearray(BUFFER_BYTES) if buffer is None else buffer
        self._view = memoryview(self._buffer)
        self._unfinished = False
        whole = int(timeout_seconds)
        span = struct.pack("@ll", whole, int((timeout_seconds - whole) * 1_000_000))
        # A receive time-out in the kernel: settimeout() would cost a poll(2) per datagram.
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, span)

    @classmethod
    def open(cls, *, timeout_seconds: float = 5.0, buffer: bytearray | None = None) -> Self:
        """Open a NETLINK_SOCK_DIAG socket in the namespace of the calling thread."""
        linux.require_linux()
        try:
            endpoint = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG
            )
        except OSError as problem:
            raise refusal(problem.errno or errno.EPROTONOSUPPORT, "opening a sock_diag socket") from problem
        # Connected to port 0, the kernel refuses messages to us from any other process.
        endpoint.connect((0, 0))
        return cls(endpoint, timeout_seconds=timeout_seconds, buffer=buffer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor, and with it the namespace, back. May be called twice."""
        self._socket.close()

    def fileno(self) -> int:
        """The descriptor, -1 when closed."""
        return self._socket.fileno()

    def dump(self, asked: Request) -> Iterator[Block]:
        """Send one dump request; its blocks, each of which is valid until the next one is asked for.

        Datagrams of equal rows gather in the buffer and make one block together. It is flat, because most looks find
        little: after the kernel's walk over every socket each further call of ours waits for memory.
        Raises KernelReplyError, Transient (time-out, lost messages), NotPermitted or Unsupported.
        """
        self.ask(asked.message)
        expected, buffer, view, receive = asked.expected, self._buffer, self._view, self._socket.recv_into
        sizes: list[int] = []
        filled = stride = 0
        done = False
        while not done:
            try:
                # With MSG_TRUNC a netlink socket returns the whole length, also of what did not fit.
                size = receive(view[filled : filled + _DATAGRAM_BYTES], 0, _WHOLE_LENGTH)
            except OSError as problem:
                raise _not_received(problem) from problem
            found = _row_stride(buffer, filled, size, expected)
            waiting = None
            if found and (found == stride or not filled):
                stride = found
                sizes.append(size)
                filled += size
                if filled <= _GATHERED_BYTES:
                    continue
            else:
                # What does not fit, usually the end, waits outside while the blocks before it are read.
                waiting = buffer[filled : filled + _not_cut(size)]
            if filled:
                block = Block(buffer, stride, filled // stride)
                if block.has_one_header():
                    yield block
                else:
                    blocks, done = _each_datagram(buffer, sizes, expected)
                    yield from blocks
                sizes.clear()
                filled = 0
            if waiting is not None and not done and not (done := _is_end(waiting)):
                blocks, done = split(waiting, size, expected)
                self._unfinished = not done
                yield from blocks
        self._unfinished = False

    def ask(self, messages: bytes) -> None:
        """Send requests as they are, one after another; each has a reply of its own.

        What is left of an earlier dump is thrown away before.
        """
        if self._unfinished:
            self._drain()
        # Before it is sent: whatever interrupts us then, the answer is not taken for that of the next request.
        self._unfinished = True
        try:
            self._socket.send(messages)
        except OSError as problem:
            raise refusal(problem.errno or errno.EIO, "sending a dump request") from problem

    def reply(self) -> bytes:
        """The next datagram of what was asked, as it came: who asks verifies it."""
        try:
            size = self._socket.recv_into(self._view[:_DATAGRAM_BYTES], 0, _WHOLE_LENGTH)
        except OSError as problem:
            raise _not_received(problem) from problem
        return bytes(self._view[: _not_cut(size)])

    def finish(self) -> None:
        """Say that the last reply held the end of the dump."""
        self._unfinished = False

    def _drain(self) -> None:
        """Read what an abandoned dump left, so that its rows are not taken for those of the next one."""
        for _ in range(_DRAIN_DATAGRAMS):
            try:
                self._socket.recv_into(self._buffer, 0, socket.MSG_TRUNC | socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._unfinished = False
                return
            except OSError as problem:
                if problem.errno != errno.ENOBUFS:
                    raise refusal(problem.errno or errno.EIO, "draining a socket dump") from problem
        raise errors.Transient(f"an abandoned dump did not end within {_DRAIN_DATAGRAMS} datagrams")
