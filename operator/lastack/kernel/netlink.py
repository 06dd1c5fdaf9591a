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
_END = struct.Struct("=IHHIIi")

_NOOP, _ERROR, _DONE, _OVERRUN = 1, 2, 3, 4
_REQUEST, _DUMP, _DUMP_INTERRUPTED = 0x1, 0x300, 0x10
# The kernel fills at most 32 KiB per datagram whatever the buffer (netlink_dump); twice that never truncates.
_DATAGRAM_BYTES = 65536
# Eight full datagrams: the cost of a slice is its start, and the rows still fit into the second-level cache.
_GATHERED_BYTES = 7 * 32768
BUFFER_BYTES = _GATHERED_BYTES + 2 * _DATAGRAM_BYTES
# The number of a dump that is asked again and again: an unchanged answer is then the same bytes. Others count up
# to half of the numbers, and what an abandoned dump left is drained before any other is asked.
REPEATED = 0x80000000
_DRAIN_DATAGRAMS = 100_000


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


class Expected(NamedTuple):
    """What a message of the answer must look like."""

    message_type: int
    sequence: int
    least_bytes: int


def split(datagram: bytearray, size: int, expected: Expected) -> tuple[list[Block], bool]:
    """Cut `datagram[0:size]` into verified blocks; the second value says that the dump is complete.

    Raises KernelReplyError for anything cut or unknown, and the error that the kernel reports in a message.
    """
    if size < HEADER_BYTES:
        raise errors.KernelReplyError(f"a netlink datagram of {size} bytes, expected {HEADER_BYTES} or more")
    stride = _row_stride(datagram, 0, size, expected)
    if stride:
        block = Block(datagram, stride, size // stride)
        if _is_uniform(block):
            return [block], False
    return _walk(datagram, size, expected)


def _row_stride(buffer: bytearray, at: int, size: int, expected: Expected) -> int:
    """Bytes per row when a datagram begins with a row and could consist of such rows only, else 0."""
    if size < HEADER_BYTES or size > 0xFFFF:
        return 0
    length, message_type, flags, sequence, _ = _HEADER.unpack_from(buffer, at)
    # An error message echoes the request and has the size of a row: its type is looked at before anything.
    if message_type != expected.message_type or sequence != expected.sequence or flags & _DUMP_INTERRUPTED:
        return 0
    stride: int = (length + 3) & ~3
    return stride if length >= expected.least_bytes and size % stride == 0 else 0


def _is_end(datagram: bytearray, expected: Expected) -> bool:
    """Whether a datagram is nothing but the end of a dump that went well: what the last one of every dump is."""
    if len(datagram) != _END.size:
        return False
    length, message_type, _, sequence, _, status = _END.unpack_from(datagram)
    return bool((length, message_type, sequence, status) == (_END.size, _DONE, expected.sequence, 0))


def _gathered(
    buffer: bytearray, sizes: list[int], stride: int, expected: Expected
) -> tuple[list[Block], bool]:
    """The blocks of datagrams that stand one after another in the buffer (usually a single one), and the end."""
    if not sizes:
        return [], False
    block = Block(buffer, stride, sum(sizes) // stride)
    if _is_uniform(block):
        return [block], False
    # Walked one by one, so that no message reaches into the next datagram.
    blocks: list[Block] = []
    at, done = 0, False
    for size in sizes:
        found, done = _walk(buffer[at : at + size], size, expected)
        blocks += found
        at += size
    return blocks, done


def _is_uniform(block: Block) -> bool:
    """Every message has the length and type of the first, and the last one its whole header.

    Of each message the bytes that can differ in a datagram below 64 KiB are looked at: a message that is longer,
    shorter, an error or the end sends the datagram to the walk. Four more bytes of each would cost as much as
    all the counting.
    """
    last = block.end - block.stride
    return (
        block.is_constant(0, 2)
        and block.is_constant(4, 1)
        and block.records[:12] == block.records[last : last + 12]
    )


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
    if sequence != expected.sequence:
        raise errors.KernelReplyError(
            f"a netlink message has sequence {sequence}, expected {expected.sequence}"
        )
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
    if status < 0:
        raise refusal(-status, "the socket dump")
    if message_type == _ERROR:
        raise errors.KernelReplyError(f"an error message with status {status} in place of rows")


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
        self._sequence = 0
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

    def dump(
        self, message_type: int, payload: bytes, *, least_bytes: int, repeated: bool = False
    ) -> Iterator[Block]:
        """Send one dump request; its blocks, each of which is valid until the next one is asked for.

        With `repeated` rows that have not changed since the dump before are the same bytes.
        Raises KernelReplyError, Transient (time-out, lost messages), NotPermitted or Unsupported.
        """
        if repeated:
            sequence = REPEATED
        else:
            sequence = self._sequence = self._sequence % (REPEATED - 1) + 1
        self.ask(message_type, payload, sequence)
        return self._blocks(Expected(message_type, sequence, least_bytes))

    def ask(self, message_type: int, payload: bytes, sequence: int) -> None:
        """Send one dump request; what is left of an earlier dump is thrown away before."""
        header = _HEADER.pack(HEADER_BYTES + len(payload), message_type, _REQUEST | _DUMP, sequence, 0)
        self.ask_for(header + payload)

    def ask_for(self, messages: bytes) -> None:
        """Send requests as they are, one after another; each has a reply of its own."""
        if self._unfinished:
            self._drain()
        try:
            self._socket.send(messages)
        except OSError as problem:
            raise refusal(problem.errno or errno.EIO, "sending a dump request") from problem
        self._unfinished = True

    def reply(self) -> bytes:
        """The next datagram of what was asked, as it came: who asks verifies it."""
        return bytes(self._view[: self._receive(0)])

    def finish(self) -> None:
        """Say that the last reply held the end of the dump."""
        self._unfinished = False

    def _blocks(self, expected: Expected) -> Iterator[Block]:
        """Receive until the end. Datagrams of equal rows gather in the buffer and make one block together."""
        sizes: list[int] = []
        filled = stride = 0
        done = False
        while not done:
            size = self._receive(filled)
            found = _row_stride(self._buffer, filled, size, expected)
            fits = found and (found == stride or not sizes)
            # What does not fit, usually the end, waits outside the buffer while the blocks before it are read.
            waiting = None if fits else self._buffer[filled : filled + size]
            if fits:
                stride = found
                sizes.append(size)
                filled += size
                if filled <= _GATHERED_BYTES:
                    continue
            blocks, done = _gathered(self._buffer, sizes, stride, expected)
            yield from blocks
            sizes, filled = [], 0
            if waiting is not None and not done and not (done := _is_end(waiting, expected)):
                blocks, done = split(waiting, size, expected)
                self._unfinished = not done
                yield from blocks
        self._unfinished = False

    def _receive(self, at: int) -> int:
        """The size of the next datagram, which stands in the buffer from `at` on."""
        try:
            # With MSG_TRUNC a netlink socket returns the whole length, also of what did not fit.
            size = self._socket.recv_into(self._view[at : at + _DATAGRAM_BYTES], 0, socket.MSG_TRUNC)
        except BlockingIOError:
            raise errors.Transient(
                "the kernel did not go on with the socket dump within the time-out"
            ) from None
        except OSError as problem:
            raise refusal(problem.errno or errno.EIO, "receiving a socket dump") from problem
        if size > _DATAGRAM_BYTES:
            raise errors.KernelReplyError(f"a datagram of {size} bytes was cut to {_DATAGRAM_BYTES}")
        return size

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
