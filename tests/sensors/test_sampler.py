"""One look tells queue, connections and owner of a listener as the kernel has them."""

import contextlib
import socket
import time

import pytest

from lastack import ports
from lastack.engine import samples
from tests.sensors import given


def test_a_connection_waits_until_it_is_accepted() -> None:
    """Depth and rows go up with each handshake and down with each accept, and cookies stay."""

    def work() -> tuple[list[int], list[int], set[int]]:
        with given.service(backlog=3) as service:
            eye = given.eye()
            looks = []
            for _ in range(3):
                service.connect()
                looks.append(given.look(eye, service))
            before = set(given.queued(looks[-1]).cookies)
            service.accept()
            looks.append(given.look(eye, service))
            rows = [len(given.queued(each).cookies) for each in looks]
            gone = before.difference(given.queued(looks[-1]).cookies)
            return [each.listener.depth for each in looks], rows, gone

    depths, rows, gone = given.alone(work)
    assert ([1, 2, 3, 2], [1, 2, 3, 2], 1) == (depths, rows, len(gone))


def test_a_queue_has_the_age_of_its_handshakes() -> None:
    """The age counts from the handshake, not from the request or the FIN that came later."""

    def work() -> tuple[float, samples.QueuedRows]:
        with given.service() as service:
            begun = time.monotonic()
            client = service.connect()
            time.sleep(0.4)
            client.sendall(b"hello")
            client.close()
            found = given.await_look(
                given.eye(), service, lambda look: given.queued(look).close_wait == 1, what="the FIN"
            )
            return (time.monotonic() - begun) * 1000, given.queued(found)

    elapsed_ms, rows = given.alone(work)
    assert elapsed_ms - 100 <= rows.ages_ms[0] <= elapsed_ms + 20
    assert rows.oldest_fin_ms <= elapsed_ms - 300


def test_close_wait_has_three_classes() -> None:
    """Nobody accepted it, accepted and not read, read and not closed: told by owner and receive queue."""

    def work() -> samples.Look:
        with given.service() as service:
            held, unread = service.connect(), service.connect()
            first, _second = service.accept(), service.accept()
            for client in (held, unread, service.connect()):
                client.sendall(b"hello")
                client.close()
            first.recv(100)
            assert first.recv(100) == b""
            return given.await_look(
                given.eye(),
                service,
                lambda look: (len(look.listener.close_wait.cookies), given.queued(look).close_wait) == (2, 1),
                what="three FINs",
            )

    rows = given.alone(work).listener.close_wait
    assert [0, 6] == sorted(rows.unread)


def test_keep_alive_does_not_make_a_socket_young() -> None:
    """Answered probes reset the age since the last ACK; the age since the last data is not touched by them."""

    def work() -> tuple[int, float]:
        with given.service() as service:
            client = service.connect()
            server = service.accept()
            server.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
            begun = time.monotonic()
            client.shutdown(socket.SHUT_WR)
            # Two probes have to have been answered; there is nothing else to wait for.
            time.sleep(2.5)
            rows = given.look(given.eye(), service).listener.close_wait
            return rows.ages_ms[0], (time.monotonic() - begun) * 1000

    age_ms, elapsed_ms = given.alone(work)
    assert elapsed_ms - 100 <= age_ms <= elapsed_ms + 200


def test_a_row_that_vanished_with_its_file_still_open_is_counted() -> None:
    """A reset takes the row away, not the descriptor: that is a leak that no row shows."""

    def work() -> list[int | samples.Missing]:
        with given.service() as service:
            eye = given.eye()
            clients = [service.connect() for _ in range(3)]
            servers = [service.accept() for _ in clients]
            for client in clients:
                client.shutdown(socket.SHUT_WR)
            assert [b""] * 3 == [server.recv(1) for server in servers]
            # Younger rows are closes on their way; age is made by time alone.
            time.sleep(2.1)
            first = given.look(eye, service)
            # Two lose their rows by a reset; of these the application closes one.
            for client in clients[:2]:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.close()
            servers[0].close()
            second = given.await_look(
                eye, service, lambda look: len(look.listener.close_wait.cookies) == 1, what="two resets"
            )
            third = given.look(eye, service)
            return [each.listener.vanished_open for each in (first, second, third)]

    first, second, third = given.alone(work)
    assert isinstance(first, samples.Missing)
    assert (1, 0) == (second, third)


def test_siblings_on_one_port_keep_their_own_queues() -> None:
    """SO_REUSEPORT: what nobody accepted belongs to no socket in particular, and that is no lack of rights."""

    def work() -> tuple[samples.Look, ...]:
        with given.service() as one, given.service(port=one.port) as _other:
            for _ in range(8):
                one.connect()
            return given.eye().look(ports.Selection(ports=frozenset({one.port}), deep=True)).looks

    looks = given.alone(work)
    assert (2, 8) == (len(looks), sum(look.listener.depth for look in looks))
    assert all(
        isinstance(each.listener.queued, samples.Missing) and each.listener.queued.inherent for each in looks
    )
    assert all(each.listener.reuseport for each in looks)


@pytest.mark.parametrize(
    ("host", "family", "dual", "target", "shown"),
    [
        ("127.0.0.1", socket.AF_INET, False, "127.0.0.1", ("127.0.0.1", "inet")),
        ("0.0.0.0", socket.AF_INET, False, "127.0.0.2", ("0.0.0.0", "inet")),
        ("::", socket.AF_INET6, True, "127.0.0.1", ("*", "inet6")),
        ("::", socket.AF_INET6, True, "::1", ("*", "inet6")),
        ("::", socket.AF_INET6, False, "::1", ("::", "inet6")),
        ("::1", socket.AF_INET6, False, "::1", ("::1", "inet6")),
        ("::ffff:127.0.0.1", socket.AF_INET6, True, "127.0.0.1", ("127.0.0.1", "inet6")),
    ],
)
def test_every_kind_of_address_finds_its_connections(
    host: str, family: int, dual: bool, target: str, shown: tuple[str, str]
) -> None:
    """IPv4, IPv6, dual-stack and v4-mapped; peers that are v4-mapped are shown as IPv4."""

    def work() -> samples.Look:
        with given.service(host, family=family, dual=dual) as service:
            service.connect(target).close()
            return given.await_look(
                given.eye(), service, lambda look: given.queued(look).close_wait == 1, what="the FIN"
            )

    listener = given.alone(work).listener
    peer = "::1" if ":" in target else "127.0.0.1"
    assert shown == (listener.address.address, listener.address.family)
    assert (samples.PeerCount(peer, 1),) == listener.peers


def test_listeners_on_one_port_get_only_their_own() -> None:
    """127.0.0.1 and 0.0.0.0 and [::] on one port: the most particular address wins, as in the kernel."""

    def work() -> dict[str, int]:
        with contextlib.ExitStack() as stack:
            one = stack.enter_context(given.service("127.0.0.1"))
            stack.enter_context(given.service("0.0.0.0", port=one.port))
            stack.enter_context(given.service("::", family=socket.AF_INET6, port=one.port))
            for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3", "::1", "::1", "::1"):
                one.connect(host)
            looks = given.eye().look(ports.Selection(deep=True)).looks
            return {look.listener.address.address: len(given.queued(look).cookies) for look in looks}

    assert {"127.0.0.1": 1, "0.0.0.0": 2, "::": 3} == given.alone(work)


def test_peers_beyond_ten_are_counted() -> None:
    """The ten with the most rows, and how many more there are."""

    def work() -> samples.ListenerSample:
        with given.service("0.0.0.0", backlog=64) as service:
            for last in range(1, 13):
                for _ in range(2 if last == 7 else 1):
                    service.connect("127.0.0.1", source=f"127.0.0.{last}").close()
            return given.await_look(
                given.eye(), service, lambda look: given.queued(look).close_wait == 13, what="13 FINs"
            ).listener

    found = given.alone(work)
    assert (samples.PeerCount("127.0.0.7", 2), 10, 2) == (
        found.peers[0],
        len(found.peers),
        found.peers_omitted,
    )


def test_a_deep_look_counts_what_a_quick_one_does_not_ask_for() -> None:
    """Established rows that were accepted, the SYN queue and outbound CLOSE_WAIT cost a walk over every socket."""

    def work() -> tuple[samples.Look, samples.Look]:
        with given.service() as service, given.service() as remote:
            service.connect()
            service.connect()
            service.accept()
            # This process as a client whose peer has closed: an outbound CLOSE_WAIT.
            client = remote.connect()
            remote.accept().close()
            assert client.recv(1) == b""
            eye = given.eye()
            return given.look(eye, service), given.look(eye, service, deep=False)

    deep, quick = given.alone(work)
    main = deep.owner.main
    assert main is not None
    assert (1, 0, 1) == (deep.listener.established, deep.listener.syn_received, main.outbound)
    assert isinstance(quick.listener.established, samples.Missing)
    assert 1 == quick.listener.depth == len(given.queued(quick).cookies)


def test_a_look_at_a_busy_listener_tells_how_long_what_clients_have_sent_is_unread() -> None:
    """Of accepted ones that are open on both sides: not of one that was read, was left, or is still in the queue."""

    def ages_of(look: samples.Look) -> list[int]:
        ages = look.listener.unread_ages_ms
        assert not isinstance(ages, samples.Missing)
        return list(ages)

    def work() -> samples.Look:
        with given.service() as service:
            clients = [service.connect() for _ in range(4)]
            read = [service.accept() for _ in range(3)][1]
            for client in clients:
                client.sendall(b"ask")
            assert read.recv(3) == b"ask"
            clients[2].shutdown(socket.SHUT_WR)
            return given.await_look(
                given.eye(), service, lambda look: ages_of(look)[0] >= 100, what="a tenth of a second"
            )

    (age,) = ages_of(given.alone(work))
    assert 100 <= age < given.SOON.total_seconds() * 1000


def test_a_namespace_has_counters_and_settings_of_its_own() -> None:
    """An overflow is counted where it happened, and sysctls are those of the listener's namespace."""

    def work() -> samples.Look:
        with given.service(backlog=0) as service:
            service.connect()
            late = service.stack.enter_context(socket.socket())
            late.setblocking(False)
            late.connect_ex(("127.0.0.1", service.port))
            return given.await_look(
                given.eye(sysctls=("net.core.somaxconn", "net.core.nonsense")),
                service,
                lambda look: isinstance(look.listener.drops, int) and look.listener.drops > 0,
                what="a drop",
            )

    found = given.alone(work)
    assert not isinstance(found.namespace.counters, samples.Missing)
    assert 1 <= found.namespace.counters["ListenOverflows"] <= found.namespace.counters["ListenDrops"]
    assert {"net.core.somaxconn": "4096"} == dict(found.namespace.sysctls)


def test_a_namespace_that_is_not_there_is_missing() -> None:
    """No exception: a sample that says what could not be seen."""
    sample = given.eye().look(ports.Selection(netns_path="/run/netns/nowhere"))
    ((what, why),) = sample.missing
    assert ((), "netns//run/netns/nowhere") == (sample.looks, what)
    assert "not there" in why.why
