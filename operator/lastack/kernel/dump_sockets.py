"""The netlink socket of one network namespace: a request goes out, its datagrams come back into one reused buffer.

Called by sock_diag, listening and rechecks. What arrives is cut and verified by netlink.
"""

import errno
import socket
import struct
from collections.abc import Iterator
from typing import Self

from lastack import errors
from lastack.kernel import linux, netlink

# The kernel fills at most 32 KiB per datagram whatever the buffer (netlink_dump); twice that never truncates.
_DATAGRAM_BYTES = 65536
# Sixteen full datagrams: the cost of a slice is its start, and the rows still fit into the second-level cache.
_GATHERED_BYTES = 15 * 32768
BUFFER_BYTES = _GATHERED_BYTES + 2 * _DATAGRAM_BYTES
_DRAIN_DATAGRAMS = 100_000
_WHOLE_LENGTH = int(socket.MSG_TRUNC)


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
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, netlink.NETLINK_SOCK_DIAG
            )
        except OSError as problem:
            raise netlink.refusal(
                problem.errno or errno.EPROTONOSUPPORT, "opening a sock_diag socket"
            ) from problem
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

    def dump(self, asked: netlink.Request) -> Iterator[netlink.Block]:
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
            found = netlink.row_stride(buffer, filled, size, expected)
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
                block = netlink.Block(buffer, stride, filled // stride)
                if block.has_one_header():
                    yield block
                else:
                    blocks, done = netlink.each_datagram(buffer, sizes, expected)
                    yield from blocks
                sizes.clear()
                filled = 0
            if waiting is not None and not done and not (done := netlink.is_end(waiting)):
                blocks, done = netlink.split(waiting, size, expected)
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
            raise netlink.refusal(problem.errno or errno.EIO, "sending a dump request") from problem

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
                    raise netlink.refusal(problem.errno or errno.EIO, "draining a socket dump") from problem
        raise errors.Transient(f"an abandoned dump did not end within {_DRAIN_DATAGRAMS} datagrams")


def _not_received(problem: OSError) -> errors.WorldError:
    """The error for a receive that failed."""
    if isinstance(problem, BlockingIOError):
        return errors.Transient("the kernel did not go on with the socket dump within the time-out")
    return netlink.refusal(problem.errno or errno.EIO, "receiving a socket dump")


def _not_cut(size: int) -> int:
    """The size of a datagram. Raises KernelReplyError when there was no room for it."""
    if size > _DATAGRAM_BYTES:
        raise errors.KernelReplyError(f"a datagram of {size} bytes was cut to {_DATAGRAM_BYTES}")
    return size
