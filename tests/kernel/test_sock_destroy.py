"""SOCK_DESTROY as the kernel understands it, in a namespace of the test's own."""

from __future__ import annotations

import dataclasses
import socket
import sys

import pytest

from lastack import errors
from lastack.kernel import inet_diag, netns, sock_destroy, sock_diag
from tests.kernel import namespaces

ESTABLISHED = {inet_diag.State.ESTABLISHED}
HERE = netns.path_of("thread-self")


def pair(family: socket.AddressFamily, address: str) -> tuple[socket.socket, socket.socket]:
    """A client that will read, and the other end."""
    host = "::" if address.startswith("::ffff:") else address
    with socket.create_server((host, 0), family=family, dualstack_ipv6=host == "::") as server:
        client = socket.socket(family)
        client.connect((address, server.getsockname()[1]))
        other, _ = server.accept()
    return client, other


def named(port: int) -> sock_destroy.Named:
    """The connection from this local port."""
    with sock_diag.SockDiag.open() as reader:
        table = reader.sockets(ESTABLISHED, ports={port})
        assert 1 == len(table)
        return sock_destroy.name(table, 0)


@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET6, "::ffff:127.0.0.1")],
)
def test_a_connection_named_by_its_cookie_goes_and_its_reader_is_told(
    family: socket.AddressFamily, address: str
) -> None:
    """Both families, and IPv4 on an IPv6 socket, which only family 10 finds."""

    def work() -> tuple[tuple[bool, ...], tuple[bool, ...], str]:
        client, other = pair(family, address)
        with client, other:
            name = named(client.getsockname()[1])
            done = sock_destroy.destroy(HERE, netns.own(), [name])
            again = sock_destroy.destroy(HERE, netns.own(), [name])
            try:
                told = repr(client.recv(1))
            except OSError as problem:
                told = type(problem).__name__
            return done, again, told

    assert ((True,), (False,), "ConnectionAbortedError") == namespaces.alone(work)


def test_a_connection_that_is_bound_to_a_device_is_found_by_it() -> None:
    """As those of a VRF are: the dump tells the device, and without it the kernel finds nothing."""

    def work() -> tuple[tuple[bool, ...], tuple[bool, ...]]:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
            client.connect(server.getsockname())
            name = named(client.getsockname()[1])
            without = sock_destroy.destroy(HERE, netns.own(), [dataclasses.replace(name, interface=0)])
            return without, sock_destroy.destroy(HERE, netns.own(), [name])

    assert ((False,), (True,)) == namespaces.alone(work)


def test_another_connection_with_the_same_addresses_stays() -> None:
    """The kernel ignores states: only the cookie says which connection is meant."""

    def work() -> tuple[tuple[bool, ...], bytes]:
        client, other = pair(socket.AF_INET, "127.0.0.1")
        with client, other:
            name = named(client.getsockname()[1])
            strange = dataclasses.replace(name, cookie=name.cookie + 1)
            done = sock_destroy.destroy(HERE, netns.own(), [strange])
            other.sendall(b"x")
            return done, client.recv(1)

    assert ((False,), b"x") == namespaces.alone(work)


def test_in_another_namespace_than_expected_nothing_is_done() -> None:
    """The thread that stands there compares before it asks."""
    somewhere = dataclasses.replace(netns.own(), inode=1)
    nobody = sock_destroy.Named(2, 1, 1, bytes(16), bytes(16), 0, 1)
    with pytest.raises(errors.NotReachable, match="no socket was destroyed"):
        sock_destroy.destroy(HERE, somewhere, [nobody])


def test_without_the_right_it_is_said_which_one_is_missing() -> None:
    """`ss -K` exits with 0 and destroys nothing; this does not."""
    code = (
        "import socket\n"
        "from lastack import errors\n"
        "from lastack.kernel import netns, sock_destroy\n"
        "from tests.kernel import test_sock_destroy\n"
        "client, other = test_sock_destroy.pair(socket.AF_INET, '127.0.0.1')\n"
        "name = test_sock_destroy.named(client.getsockname()[1])\n"
        "try:\n"
        "    sock_destroy.destroy('/proc/self/ns/net', netns.own(), [name])\n"
        "except errors.NotPermitted as problem:\n"
        "    other.sendall(b'x')\n"
        "    print(problem.sentence, client.recv(1))\n"
    )
    without = ("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin")
    said = namespaces.printed(*without, sys.executable, "-c", code)
    assert "Operation not permitted (EPERM)" in said
    assert "CAP_NET_ADMIN" in said
    assert "b'x'" in said


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "an answer of 0 bytes to SOCK_DESTROY, expected 20 or more"),
        (bytes(36), "an answer of type 0 with number 0 to SOCK_DESTROY, expected type 2, number 1"),
    ],
)
def test_an_answer_that_is_none_is_an_error(answer: bytes, message: str) -> None:
    """Nothing is taken for done that the kernel did not say."""
    with pytest.raises(errors.KernelReplyError, match=message):
        sock_destroy.status(answer, 1)
