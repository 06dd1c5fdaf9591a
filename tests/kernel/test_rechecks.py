"""Listeners that are known are asked after one by one: what changed is found, what is not understood not believed."""

import contextlib
import socket
from collections.abc import Callable

import pytest

from lastack.kernel import dump_sockets, rechecks, sock_diag
from tests.kernel import namespaces

PORT = 8080


class Household:
    """Four listeners of every kind of address, each on a port of its own; the last can be changed."""

    def __init__(self) -> None:
        """Listen."""
        places = [
            (socket.AF_INET, "127.0.0.1"),
            (socket.AF_INET, "0.0.0.0"),
            (socket.AF_INET6, "::1"),
            (socket.AF_INET6, "::"),
        ]
        self.listeners = [socket.socket(family) for family, _ in places]
        for index, (listener, (_, address)) in enumerate(zip(self.listeners, places, strict=True)):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind((address, PORT + index))
            listener.listen(16)
        self.others: list[socket.socket] = []

    def close(self) -> None:
        """Close everything."""
        for each in (*self.listeners, *self.others):
            each.close()

    def nothing(self) -> None:
        """As it was."""

    def end(self) -> None:
        """The last listener ends."""
        self.listeners[-1].close()

    def begin_anew(self) -> None:
        """Another socket listens in its place."""
        self.end()
        self.another()

    def another(self) -> None:
        """A socket listens on the port of the last one, which is a sibling where that still does."""
        made = socket.socket(socket.AF_INET6)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(("::", PORT + 3))
        made.listen(16)
        self.others.append(made)

    def limit(self) -> None:
        """Another backlog."""
        self.listeners[-1].listen(7)

    def connect(self) -> None:
        """One waits at the last listener."""
        self.others.append(socket.create_connection(("127.0.0.1", PORT + 3)))


def looked(change: Callable[[Household], None], before: int = 1) -> tuple[bool, int]:
    """What is said after a change that came after so many answers, and how many listeners a dump then finds."""

    def work() -> tuple[bool, int]:
        with contextlib.closing(Household()) as household, sock_diag.SockDiag.open() as reader:
            known = reader.listeners()
            for _ in range(before):
                assert reader.are_unchanged(known)
            change(household)
            said = reader.are_unchanged(known)
            return said, len(reader.listeners())

    return namespaces.alone(work)


@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (Household.nothing, (True, 4)),
        (Household.end, (False, 3)),
        (Household.begin_anew, (False, 4)),
        (Household.limit, (False, 4)),
        (Household.connect, (False, 4)),
    ],
)
def test_a_change_of_any_of_them_is_found(
    change: Callable[[Household], None], expected: tuple[bool, int], before: int
) -> None:
    """Its end, another socket in its place, another limit, somebody who waits; a dump then works as ever."""
    assert expected == looked(change, before)


def test_what_was_not_confirmed_is_not_asked_after_again() -> None:
    """The tuple of the next dump is."""

    def work() -> list[bool]:
        with contextlib.closing(Household()) as household, sock_diag.SockDiag.open() as reader:
            known = reader.listeners()
            household.limit()
            said = [reader.are_unchanged(known), reader.are_unchanged(known)]
            return [*said, reader.are_unchanged(reader.listeners())]

    assert [False, False, True] == namespaces.alone(work)


def test_siblings_are_not_asked_after() -> None:
    """A lookup finds any of them: nothing is said of either, although both are as they were."""

    def work() -> tuple[bool, int]:
        with contextlib.closing(Household()) as household, sock_diag.SockDiag.open() as reader:
            household.another()
            known = reader.listeners()
            return reader.are_unchanged(known), len(known)

    assert (False, 5) == namespaces.alone(work)


def test_many_are_not_asked_after() -> None:
    """A dump is cheaper."""

    def work() -> list[bool]:
        said = []
        with contextlib.ExitStack() as stack, sock_diag.SockDiag.open() as reader:
            for index in range(rechecks.MOST + 1):
                stack.enter_context(socket.create_server(("127.0.0.1", PORT + index)))
                if index >= rechecks.MOST - 1:
                    said.append(reader.are_unchanged(reader.listeners()))
        return said

    assert [True, False] == namespaces.alone(work)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda reply: b"",
        lambda reply: reply[:10],
        lambda reply: reply[:80],
        lambda reply: reply + reply,
        lambda reply: bytes(16) + reply[16:],
        lambda reply: reply[:16] + b"\xff" * (len(reply) - 16),
        lambda reply: reply[:4] + b"\2\0" + reply[6:],
    ],
    ids=["empty", "no header", "cut", "doubled", "no length", "garbage", "an error"],
)
def test_a_reply_that_is_not_understood_says_nothing(spoil: Callable[[bytes], bytes]) -> None:
    """Cut, doubled, of another kind: no listener is believed to be there."""

    class Spoilt(dump_sockets.DumpSocket):
        """A socket whose replies are spoilt on the way."""

        def reply(self) -> bytes:
            """The next one, spoilt."""
            return spoil(super().reply())

    def work() -> bool:
        with contextlib.closing(Household()), sock_diag.SockDiag.open() as reader:
            known = reader.listeners()
            with sock_diag.SockDiag(Spoilt.open()) as spoilt:
                return spoilt.are_unchanged(known)

    assert not namespaces.alone(work)
