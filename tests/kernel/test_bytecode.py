"""The kernel-side port filter, judged by the kernel itself."""

import contextlib
import socket

import pytest

from lastack.kernel import bytecode, inet_diag, sock_diag
from tests.kernel import namespaces

LISTEN = frozenset({inet_diag.State.LISTEN})


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({8001}, {8001}),
        ({8000, 8002}, {8000, 8002}),
        ({7999, 8003}, set()),
        ({0, 65535}, set()),
        (set(range(7500, 8002)), {8000, 8001}),
        (set(range(8002, 8002 + 1024)), {8002}),
    ],
)
def test_the_kernel_gives_exactly_the_ports_asked_for(asked: set[int], expected: set[int]) -> None:
    """The kernel audits the program and runs it on each socket."""

    def work() -> set[int]:
        with contextlib.ExitStack() as stack:
            for port in (8000, 8001, 8002):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            reader = stack.enter_context(sock_diag.SockDiag.open())
            return set(reader.sockets(LISTEN, ports=asked).local_ports)

    assert expected == namespaces.alone(work)


@pytest.mark.parametrize(
    ("refused", "expected"),
    [
        ({8001}, {8000, 8002}),
        ({8000, 8002}, {8001}),
        ({8000, 8001, 8002}, set()),
        ({0, 65535}, {8000, 8001, 8002}),
        (set(range(7500, 8002)), {8002}),
        (set(), {8000, 8001, 8002}),
    ],
)
def test_the_kernel_gives_every_port_but_the_refused_ones(refused: set[int], expected: set[int]) -> None:
    """What other listeners accepted is left out by the kernel; what processes opened as clients is not."""

    def work() -> set[int]:
        with contextlib.ExitStack() as stack:
            for port in (8000, 8001, 8002):
                server = stack.enter_context(socket.create_server(("127.0.0.1", port)))
                stack.enter_context(socket.create_connection(("127.0.0.1", port))).shutdown(socket.SHUT_WR)
                stack.enter_context(server.accept()[0])
            reader = stack.enter_context(sock_diag.SockDiag.open())
            closing, opening = reader.half_closed(apart_from=refused)
            assert 0 == len(opening)
            return set(closing.local_ports)

    assert expected == namespaces.alone(work)


@pytest.mark.parametrize("ports", [set(), set(range(1025)), {-1}, {65536}])
def test_refuses_what_the_kernel_cannot_take(ports: set[int]) -> None:
    """Bounds are checked before the kernel is asked."""
    for program in (bytecode.local_ports, bytecode.other_ports):
        with pytest.raises(ValueError, match="expected"):
            program(ports)
