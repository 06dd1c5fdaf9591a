"""The netlink socket: datagrams gather into blocks, and whatever goes wrong between two of them is told."""

import errno
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from lastack import errors
from lastack.kernel import dump_sockets, linux, netlink
from tests.kernel import messages

_CGROUP = messages.attribute(21, struct.pack("=Q", 77))


@pytest.fixture
def ends() -> Iterator[tuple[dump_sockets.DumpSocket, socket.socket]]:
    """A DumpSocket whose other end is ours to write."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with dump_sockets.DumpSocket(ours, timeout_seconds=0.2) as reader, theirs:
        yield reader, theirs


def dump(reader: dump_sockets.DumpSocket) -> list[int]:
    """The sizes of the blocks of a dump."""
    return [block.count for block in reader.dump(netlink.request(messages.ROW_TYPE, b"", least_bytes=88))]


def test_reads_datagram_after_datagram_until_the_end(
    ends: tuple[dump_sockets.DumpSocket, socket.socket],
) -> None:
    """A dump is many datagrams and ends with NLMSG_DONE."""
    reader, kernel = ends
    short, long = messages.row(), messages.row(attributes=_CGROUP)
    for datagram in (short * 3, short, long * 2, short + long, short, messages.done()):
        kernel.send(datagram)
    assert [4, 2, 1, 1, 1] == dump(reader)
    assert struct.unpack("=IHHII", kernel.recv(100)) == (16, messages.ROW_TYPE, 0x301, 1, 0)


@pytest.mark.parametrize(
    ("end", "problem"),
    [
        (messages.done(-errno.ENOMEM), errors.Transient),
        (messages.done(sequence=2), errors.KernelReplyError),
        (messages.error(errno.EPERM, b""), errors.NotPermitted),
    ],
    ids=["a status", "another dump's", "an error of its size"],
)
def test_an_end_that_went_wrong_is_an_error(
    ends: tuple[dump_sockets.DumpSocket, socket.socket], end: bytes, problem: type[errors.WorldError]
) -> None:
    """A dump whose last datagram does not say that it went well is not taken for whole."""
    reader, kernel = ends
    for datagram in (messages.row(), end):
        kernel.send(datagram)
    with pytest.raises(problem):
        dump(reader)


def test_gives_up_on_a_silent_kernel_within_the_time_out(
    ends: tuple[dump_sockets.DumpSocket, socket.socket],
) -> None:
    """A receive has a time-out, and the error is one that may be tried again."""
    reader, _ = ends
    began = time.monotonic()
    with pytest.raises(errors.Transient, match="time-out"):
        dump(reader)
    assert time.monotonic() - began < 5


def test_notices_a_datagram_that_does_not_fit(ends: tuple[dump_sockets.DumpSocket, socket.socket]) -> None:
    """A truncated datagram is an error, not fewer rows."""
    reader, kernel = ends
    kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    kernel.send(messages.row() * 1000)
    with pytest.raises(errors.KernelReplyError, match="88000 bytes was cut to 65536"):
        dump(reader)


def test_an_empty_datagram_is_no_end(ends: tuple[dump_sockets.DumpSocket, socket.socket]) -> None:
    """Nothing where something has to be is an error, not a dump that goes on for ever."""
    reader, kernel = ends
    kernel.send(messages.row())
    kernel.shutdown(socket.SHUT_WR)
    with pytest.raises(errors.KernelReplyError, match="datagram of 0 bytes"):
        dump(reader)


def test_rows_of_an_abandoned_dump_are_not_taken_for_the_next(
    ends: tuple[dump_sockets.DumpSocket, socket.socket],
) -> None:
    """What a failed dump left in the socket is drained before the next one is asked for."""
    reader, kernel = ends
    kernel.send(messages.row() * 2 + messages.error(errno.EIO, b""))
    with pytest.raises(errors.KernelReplyError, match="EIO"):
        dump(reader)
    kernel.send(messages.row())
    kernel.recv(100)

    def answer() -> None:
        kernel.recv(100)
        kernel.send(messages.row() * 5 + messages.done())

    thread = threading.Thread(target=answer)
    thread.start()
    assert [5] == dump(reader)
    thread.join()


def test_other_processes_cannot_write_to_the_reader() -> None:
    """The socket is connected to the kernel, so that a message from another netlink socket is refused."""
    with dump_sockets.DumpSocket.open() as reader:
        address = socket.socket(fileno=socket.dup(reader.fileno()))
        other = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netlink.NETLINK_SOCK_DIAG)
        with address, other, pytest.raises(ConnectionRefusedError):
            other.sendto(messages.row(), address.getsockname())


def test_elsewhere_than_on_linux_it_refuses_with_the_next_step() -> None:
    """Not Linux is an answer, not an ImportError."""
    with pytest.raises(errors.Unsupported, match="'darwin'") as refused:
        linux.require_linux("darwin")
    assert refused.value.fix is not None
