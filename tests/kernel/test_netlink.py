"""The framing of netlink dumps: what is a row, what is an error, and what is refused."""

import errno
import struct

import hypothesis
import pytest
from hypothesis import strategies as st

from lastack import errors
from lastack.kernel import close_waits, inet_diag, netlink, socket_tables
from tests.kernel import messages

EXPECTED = netlink.Expected(messages.ROW_TYPE, inet_diag.ATTRIBUTES)
CGROUP = messages.attribute(21, struct.pack("=Q", 77))
PLAIN = messages.row(inode=5)
LONGER = messages.row(inode=6, attributes=CGROUP)


def split(datagram: bytes) -> tuple[list[netlink.Block], bool]:
    """The blocks of one datagram in a buffer that is larger."""
    return netlink.split(bytearray(datagram) + bytearray(b"\xff" * 200), len(datagram), EXPECTED)


@pytest.mark.parametrize(
    ("datagram", "sizes", "done"),
    [
        (PLAIN, [1], False),
        (PLAIN * 261, [261], False),
        (PLAIN * 3 + messages.done(), [3], True),
        (messages.done(), [], True),
        (messages.message(3, b""), [], True),
        (PLAIN + LONGER + PLAIN, [2, 1], False),
        (messages.message(1, b"") + PLAIN, [1], False),
    ],
    ids=["one", "full", "rows-then-done", "done", "done-without-status", "mixed", "noop"],
)
def test_cuts_a_datagram_into_blocks_of_equal_rows(datagram: bytes, sizes: list[int], *, done: bool) -> None:
    """Rows of one length are one block, whatever stands between them."""
    blocks, complete = split(datagram)
    assert sizes == [block.count for block in blocks]
    assert done == complete


@pytest.mark.parametrize(
    ("datagram", "expected", "words"),
    [
        (b"", errors.KernelReplyError, "0 bytes"),
        (PLAIN[:15], errors.KernelReplyError, "15 bytes"),
        (PLAIN[:-1], errors.KernelReplyError, "claims 88"),
        (PLAIN * 2 + PLAIN[:40], errors.KernelReplyError, "claims 88"),
        (PLAIN + PLAIN[:8], errors.KernelReplyError, "expected a header"),
        (messages.message(messages.ROW_TYPE, bytes(8)), errors.KernelReplyError, "expected 88 or more"),
        (messages.row(sequence=6), errors.KernelReplyError, "sequence 6, expected 1"),
        (PLAIN + messages.row(sequence=6), errors.KernelReplyError, "sequence 6, expected 1"),
        (messages.message(4, b""), errors.KernelReplyError, "NLMSG_OVERRUN"),
        (messages.message(99, bytes(72)), errors.KernelReplyError, "type 99"),
        (PLAIN + messages.message(99, bytes(72)) + PLAIN, errors.KernelReplyError, "type 99"),
        (messages.error(errno.EPERM, bytes(68)), errors.NotPermitted, "EPERM"),
        (messages.error(errno.ENOENT, bytes(68)), errors.Unsupported, "ENOENT"),
        (PLAIN + messages.error(errno.EINVAL, bytes(68)), errors.KernelReplyError, "EINVAL"),
        (messages.error(0, bytes(68)), errors.KernelReplyError, "in place of rows"),
        (messages.error(1 << 31, bytes(68)), errors.KernelReplyError, "status -2147483648"),
        (messages.done(-4096), errors.KernelReplyError, "status -4096"),
        (messages.message(2, b"\0\0"), errors.KernelReplyError, "error message of 18"),
        (messages.done(-errno.ENOMEM), errors.Transient, "ENOMEM"),
        (messages.row(flags=0x12), errors.Transient, "DUMP_INTR"),
        (LONGER + messages.row(flags=0x12), errors.Transient, "DUMP_INTR"),
    ],
)
def test_refuses_what_is_no_row_with_the_reason(
    datagram: bytes, expected: type[errors.WorldError], words: str
) -> None:
    """An error echoes the request in the size of a row; it never becomes a row of zeros."""
    with pytest.raises(expected, match=words):
        split(datagram)


ROWS = [messages.row(inode=n % 3, rqueue=n % 2, attributes=CGROUP if n % 4 else b"") for n in range(1, 7)]


@hypothesis.given(data=st.data(), uniform=st.booleans())
@hypothesis.settings(max_examples=400)
def test_mutilated_datagrams_give_rows_or_a_typed_error(data: st.DataObject, *, uniform: bool) -> None:
    """Cut, doubled, swapped and flipped bytes end in no more rows than there is room for, or in a WorldError."""
    content = bytearray(PLAIN * 6 if uniform else b"".join(ROWS))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["cut", "flip", "double", "drop"])):
            case "cut":
                del content[at + 1 :]
            case "flip":
                content[at] ^= 1 << data.draw(st.integers(0, 7))
            case "double":
                content[at:at] = content[at : at + 88]
            case _:
                del content[at : at + 4]
                content = content or bytearray(1)
    try:
        blocks, _ = netlink.split(bytearray(content), len(content), EXPECTED)
        table = socket_tables.SocketTable()
        for block in blocks:
            found = inet_diag.rows_in(block, frozenset({inet_diag.State.CLOSE_WAIT}))
            if found is not None:
                table.append(found)
        counted = close_waits.Counter().count(blocks)
    except errors.WorldError:
        return
    assert len(table) <= len(content) // inet_diag.ATTRIBUTES
    assert len(table) == sum(port.total for port in counted.values())
    assert len(table) == len(table.cookies) == len(table.drops) == len(table.local_addresses) // 16
