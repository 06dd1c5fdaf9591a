"""Counting CLOSE_WAIT rows by port and class."""

import collections

import hypothesis
import pytest
from hypothesis import strategies as st

from lastack import errors
from lastack.kernel import close_waits, inet_diag, netlink
from tests.kernel import messages

WORDS = st.sampled_from([0, 1, 2, 0x80, 255, 256, 0x8000, 65536, 1 << 24, 1 << 31, 0xFFFFFFFF])
PORTS = st.one_of(st.sampled_from([8080, 8081, 8080 + 256, 80]), st.integers(0, 65535))


def block(rows: list[bytes]) -> netlink.Block:
    """Rows of equal length as one block."""
    return netlink.Block(bytearray(b"".join(rows)), len(rows[0]), len(rows))


def expected(rows: list[tuple[int, int, int]]) -> dict[int, close_waits.PortCounts]:
    """The counts by the definition, row by row."""
    kinds: collections.Counter[tuple[int, str]] = collections.Counter()
    for port, inode, rqueue in rows:
        kinds[port, "queued" if not inode else "unread" if rqueue else "held"] += 1
    return {
        port: close_waits.PortCounts(kinds[port, "queued"], kinds[port, "unread"], kinds[port, "held"])
        for port in {port for port, _, _ in rows}
    }


@hypothesis.given(
    parts=st.lists(
        st.tuples(
            st.lists(st.tuples(PORTS, WORDS, WORDS), min_size=1, max_size=30), st.sampled_from([1, 3, 70])
        ),
        min_size=1,
        max_size=6,
    )
)
@hypothesis.settings(max_examples=300)
def test_counts_as_the_definition_says(parts: list[tuple[list[tuple[int, int, int]], int]]) -> None:
    """One by one, lanes, known ports and the dictionary give what one would count by hand."""
    blocks = [rows * times for rows, times in parts]
    made = [block([messages.row(port=p, inode=i, rqueue=r) for p, i, r in rows]) for rows in blocks]
    assert expected([row for rows in blocks for row in rows]) == close_waits.Counter().count(made)


def test_counts_more_ports_than_have_a_place() -> None:
    """A hundred busy ports, of which a few are known by their low byte."""
    rows = [(1000 + port, 1, 0) for port in range(100) for _ in range(3)]
    made = [block([messages.row(port=p, inode=i, rqueue=r) for p, i, r in rows])] * 3
    assert expected(rows * 3) == close_waits.Counter().count(made)


FEW_AND_MANY = pytest.mark.parametrize("times", [1, 100], ids=["few", "many"])


@FEW_AND_MANY
def test_leaves_out_a_socket_that_left_the_state_meanwhile(times: int) -> None:
    """A reset between the kernel's filter and its copy shows CLOSE in a dump of CLOSE_WAIT."""
    made = block([messages.row(inode=1), messages.row(state=7), messages.row(inode=1)] * times)
    assert {8080: close_waits.PortCounts(0, 0, 2 * times)} == close_waits.Counter().count([made])
    assert {} == close_waits.Counter().count([block([messages.row(state=7)] * times)])


@FEW_AND_MANY
def test_refuses_a_state_that_does_not_exist(times: int) -> None:
    """Such a row is damage."""
    with pytest.raises(errors.KernelReplyError, match="states"):
        close_waits.Counter().count([block([messages.row(state=77)] * times)])


def test_rows_in_keeps_only_what_was_asked_for() -> None:
    """The rows of other states leave the block."""
    made = block([messages.row(state=state, cookie=state) for state in (1, 8, 10, 1)])
    found = inet_diag.rows_in(made, frozenset({inet_diag.State.ESTABLISHED, inet_diag.State.LISTEN}))
    assert found is not None
    assert bytearray([1, 10, 1]) == found.plane(inet_diag.STATE)
