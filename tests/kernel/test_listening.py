"""Listeners are decoded once and known again by their bytes; whatever changes is seen at the next look."""

import errno
import socket
import struct
import threading

import hypothesis
import pytest
from hypothesis import strategies as st

from lastack import errors
from lastack.kernel import dump_sockets, inet_diag, listening, netlink, sock_diag, socket_tables
from tests.kernel import messages, namespaces

EXPECTED = netlink.Expected(messages.ROW_TYPE, inet_diag.ATTRIBUTES)
LISTEN = int(inet_diag.State.LISTEN)


def skmeminfo(drops: int) -> bytes:
    """The attribute whose ninth word is the drop counter."""
    return messages.attribute(7, struct.pack("=9I", *range(8), drops))


def record(*, port: int = 8080, depth: int = 0, drops: int = 0, inode: int = 5, state: int = LISTEN) -> bytes:
    """A row of a listener."""
    return messages.row(
        port=port, rqueue=depth, wqueue=16, inode=inode, state=state, attributes=skmeminfo(drops)
    )


def test_nothing_new_is_the_same_tuple_and_everything_new_is_seen() -> None:
    """A connection, an accept, a second listener, its end: each is in the next look, and only there."""

    def work() -> list[tuple[bool, list[tuple[int, int]]]]:
        seen = []
        with socket.create_server(("127.0.0.1", 8080)) as first, sock_diag.SockDiag.open() as reader:
            before: tuple[sock_diag.Listener, ...] = ()

            def look() -> None:
                nonlocal before
                found = reader.listeners()
                seen.append((found is before, [(each.port, each.depth) for each in found]))
                before = found

            look()
            look()
            with socket.create_connection(("127.0.0.1", 8080)):
                look()
                first.accept()[0].close()
                look()
            with socket.create_server(("::1", 8081), family=socket.AF_INET6):
                look()
                look()
            look()
        return seen

    assert [
        (False, [(8080, 0)]),
        (True, [(8080, 0)]),
        (False, [(8080, 1)]),
        (False, [(8080, 0)]),
        (False, [(8080, 0), (8081, 0)]),
        (True, [(8080, 0), (8081, 0)]),
        (False, [(8080, 0)]),
    ] == namespaces.alone(work)


def test_a_listener_that_takes_the_place_of_another_is_another() -> None:
    """Same address, same port: a new cookie, inode and limit."""

    def work() -> tuple[sock_diag.Listener, ...]:
        with sock_diag.SockDiag.open() as reader:
            found: list[sock_diag.Listener] = []
            for backlog in (3, 7):
                with socket.create_server(("127.0.0.1", 8080), backlog=backlog):
                    found += reader.listeners()
            return tuple(found)

    old, new = namespaces.alone(work)
    assert (3, 7) == (old.limit, new.limit)
    assert old.cookie != new.cookie


def test_one_walk_and_two_give_the_same_listeners_as_the_whole_table() -> None:
    """The decoder of listeners and that of every other row agree, field by field."""

    def work() -> None:
        with (
            socket.create_server(("127.0.0.1", 8080)),
            socket.create_server(("::", 8081), family=socket.AF_INET6, dualstack_ipv6=True),
            socket.create_server(("::", 8082), family=socket.AF_INET6),
            sock_diag.SockDiag.open() as reader,
        ):
            once = reader.listeners()
            table = reader.sockets({inet_diag.State.LISTEN}, extensions={inet_diag.Extension.SKMEMINFO})
            reader.one_walk = False
            assert once == reader.listeners()
            assert sorted(map(fields_of_row, table)) == sorted(map(fields, once))

    namespaces.alone(work)


def fields(each: sock_diag.Listener) -> tuple[object, ...]:
    """A listener without what its address adds."""
    address = "::" if each.address == "*" else each.address
    return (
        each.port, address, each.family, each.depth, each.limit, each.drops, each.inode, each.uid, each.cookie,
        each.cgroup_id, each.address == "*",
    )  # fmt: skip


def fields_of_row(row: socket_tables.SocketRow) -> tuple[object, ...]:
    """The same of a row of the table."""
    dual = row.local_address == "::" and row.v6only is False
    return (
        row.local_port, row.local_address, row.family, row.rqueue, row.wqueue, row.drops, row.inode, row.uid,
        row.cookie, row.cgroup_id, dual,
    )  # fmt: skip


def test_what_was_met_before_is_not_decoded_again() -> None:
    """Readers that share what they know meet one listener once, also when they are opened one after another."""

    def work() -> tuple[int, bool]:
        known = listening.Known()
        with socket.create_server(("127.0.0.1", 8080)):
            found: list[sock_diag.Listener] = []
            for _ in range(3):
                with sock_diag.SockDiag.open(known=known) as reader:
                    found += reader.listeners()
        return len(known), found[0] is found[1] is found[2]

    assert (1, True) == namespaces.alone(work)


def test_memory_is_bounded_however_often_queues_change() -> None:
    """Each depth of a listener is another record; those of long ago are forgotten."""
    known = listening.Known()
    for depth in range(10_000):
        known.cut(record(depth=depth) + messages.done(), EXPECTED)
    assert 500 < len(known) < 3000


@pytest.mark.parametrize(
    ("datagram", "ports", "done"),
    [
        (record(), [8080], False),
        (record() + record(port=9) + messages.done(), [8080, 9], True),
        (messages.done(), [], True),
        (record(state=7), [], False),
        (messages.message(1, b"") + record(), [8080], False),
    ],
    ids=["one", "two and the end", "the end", "one that was closed meanwhile", "a filler"],
)
def test_a_datagram_is_cut_into_listeners(datagram: bytes, ports: list[int], *, done: bool) -> None:
    """Twice: decoded first, then known."""
    known = listening.Known()
    for _ in range(2):
        found, complete = known.cut(datagram, EXPECTED)
        assert (ports, done) == ([each.port for each in found], complete)


@pytest.mark.parametrize(
    ("datagram", "expected", "words"),
    [
        (record()[:15], errors.KernelReplyError, "15 bytes"),
        (record() + record()[:100], errors.KernelReplyError, "claims 128"),
        (messages.row(state=LISTEN, sequence=6), errors.KernelReplyError, "sequence 6, expected 1"),
        (record(state=77), errors.KernelReplyError, "state 77"),
        (
            messages.row(state=LISTEN, attributes=struct.pack("=HH", 2, 7)),
            errors.KernelReplyError,
            "claims 2",
        ),
        (messages.error(errno.EPERM, bytes(68)), errors.NotPermitted, "EPERM"),
        (record() + messages.done(-errno.ENOMEM), errors.Transient, "ENOMEM"),
    ],
)
def test_what_is_no_listener_is_refused_with_the_reason(
    datagram: bytes, expected: type[errors.WorldError], words: str
) -> None:
    """Also the second time: what was refused is not remembered as known."""
    known = listening.Known()
    for _ in range(2):
        with pytest.raises(expected, match=words):
            known.cut(datagram, EXPECTED)


@hypothesis.given(data=st.data())
def test_what_is_known_changes_no_answer(data: st.DataObject) -> None:
    """Whatever was met before, a mutilated datagram gives what it gives to a reader that knows nothing."""
    known = listening.Known()
    whole = b"".join(record(port=port, depth=port % 3) for port in range(1, 7)) + messages.done()
    known.cut(whole, EXPECTED)
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["cut", "flip", "double"])):
            case "cut":
                del content[at + 1 :]
            case "flip":
                content[at] ^= 1 << data.draw(st.integers(0, 7))
            case _:
                content[at:at] = content[at : at + 128]
    assert answer_of(listening.Known(), bytes(content)) == answer_of(known, bytes(content))


def answer_of(known: listening.Known, datagram: bytes) -> object:
    """Listeners, or the words of the error."""
    try:
        return known.cut(datagram, EXPECTED)
    except errors.WorldError as problem:
        return type(problem), problem.message


def test_a_question_that_failed_leaves_nothing_for_the_next() -> None:
    """The number of a request is always the same: what is left of it is drained, not read."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stale = messages.row(port=1, state=LISTEN)
    fresh = messages.row(port=2, state=LISTEN)
    requests = [netlink.request(messages.ROW_TYPE, b"", least_bytes=88)]
    with dump_sockets.DumpSocket(ours, timeout_seconds=5) as endpoint, theirs:
        question = listening.Question(listening.Known())
        for datagram in (messages.error(errno.EIO, b""), stale):
            theirs.send(datagram)
        with pytest.raises(errors.KernelReplyError, match="EIO"):
            question.ask(endpoint, requests)
        theirs.recv(100)

        def answer() -> None:
            theirs.recv(100)
            theirs.send(fresh)
            theirs.send(messages.done())

        thread = threading.Thread(target=answer)
        thread.start()
        found = question.ask(endpoint, requests)
        thread.join()
    assert [2] == [each.port for each in found]


def test_readers_that_share_a_buffer_do_not_mix_their_answers() -> None:
    """A buffer is a quarter of a megabyte: a hundred readers of one thread have one."""

    def work() -> list[list[int]]:
        buffer = bytearray(dump_sockets.BUFFER_BYTES)
        with (
            socket.create_server(("127.0.0.1", 8080)),
            sock_diag.SockDiag.open(buffer=buffer) as one,
            sock_diag.SockDiag.open(buffer=buffer) as other,
        ):
            first = [each.port for each in one.listeners()]
            with socket.create_server(("127.0.0.1", 8081)):
                second = [each.port for each in other.listeners()]
                return [first, second, sorted(set(one.sockets().local_ports))]

    assert [[8080], [8080, 8081], [8080, 8081]] == namespaces.alone(work)
