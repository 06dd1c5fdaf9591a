"""On random populations the sampler counts what ss and pyroute2 count, listener by listener."""

import socket

import hypothesis
import pyroute2
import pytest
from hypothesis import strategies

from lastack import ports
from lastack.engine import samples
from tests.kernel import namespaces
from tests.scenarios import grounds
from tests.sensors import given

_TARGETS = ("127.0.0.1", "127.0.0.1", "::1")
_FINAL = ("queued", "queued left", "accepted", "unread", "held")
_CLOSE_WAIT = 8

Counts = dict[tuple[int, str], int]


def _make(service: given.Service, target: str, fate: str) -> None:
    """One connection that ends up as `fate`; the accept queue is first in, first out."""
    client = service.connect(target)
    server = None if fate.startswith("queued") else service.accept()
    if fate == "unread":
        client.sendall(b"x")
    if fate in {"queued left", "unread", "held"}:
        client.shutdown(socket.SHUT_WR)
    if fate == "held" and server is not None:
        assert server.recv(1) == b""


def _sampled(looks: tuple[samples.Look, ...]) -> Counts:
    counts: Counts = {}
    for look in looks:
        listener, port = look.listener, look.listener.address.port
        queued, rows = given.queued(look), listener.close_wait
        unread = sum(1 for size in rows.unread if size)
        assert not isinstance(listener.established, samples.Missing)
        counts |= {
            (port, "depth"): listener.depth,
            (port, "waiting"): len(queued.cookies),
            (port, "queued left"): queued.close_wait,
            (port, "accepted"): listener.established,
            (port, "unread"): unread,
            (port, "held"): len(rows.cookies) - unread,
        }
    return counts


def _by_ss(open_ports: list[int]) -> Counts:
    rows = [row for row in grounds.parse_ss(namespaces.printed("ss", "-HOtanie")) if row.port in open_ports]

    def count(port: int, state: str, *, accepted: bool, recv_q: bool | None = None) -> int:
        return sum(
            1
            for row in rows
            if (row.port, row.state, row.accepted) == (port, state, accepted)
            and (recv_q is None or recv_q is bool(row.recv_q))
        )

    counts: Counts = {}
    for port in open_ports:
        left = count(port, "CLOSE-WAIT", accepted=False)
        counts |= {
            (port, "depth"): sum(row.recv_q for row in rows if (row.port, row.state) == (port, "LISTEN")),
            (port, "waiting"): count(port, "ESTAB", accepted=False) + left,
            (port, "queued left"): left,
            (port, "accepted"): count(port, "ESTAB", accepted=True),
            (port, "unread"): count(port, "CLOSE-WAIT", accepted=True, recv_q=True),
            (port, "held"): count(port, "CLOSE-WAIT", accepted=True, recv_q=False),
        }
    return counts


def _close_waits_by_pyroute2(open_ports: list[int]) -> dict[int, int]:
    found = dict.fromkeys(open_ports, 0)
    with pyroute2.DiagSocket() as diag:
        diag.bind()
        for family in (socket.AF_INET, socket.AF_INET6):
            for row in diag.get_sock_stats(family=family):
                if row["idiag_state"] == _CLOSE_WAIT and row["idiag_sport"] in found:
                    found[row["idiag_sport"]] += 1
    return found


@pytest.mark.timeout(180)
@hypothesis.settings(max_examples=10)
@hypothesis.given(
    strategies.lists(
        strategies.tuples(strategies.integers(0, 2), strategies.sampled_from(_FINAL)), max_size=25
    )
)
def test_the_sampler_counts_what_ss_counts(population: list[tuple[int, str]]) -> None:
    """Every class of every listener, IPv4, dual-stack and IPv6 side by side."""
    # What is accepted comes first: it would otherwise take an older connection out of the queue.
    ordered = sorted(population, key=lambda each: each[1].startswith("queued"))

    def work() -> tuple[Counts, Counts, dict[int, int], dict[int, int]]:
        with (
            given.service("127.0.0.1", backlog=64) as one,
            given.service("::", family=socket.AF_INET6, dual=True, backlog=64) as two,
            given.service("::1", family=socket.AF_INET6, backlog=64) as three,
        ):
            services = (one, two, three)
            for which, fate in ordered:
                _make(services[which], _TARGETS[which], fate)
            looks = given.eye().look(ports.Selection(deep=True)).looks
            open_ports = [service.port for service in services]
            sampled = _sampled(looks)
            totals = {
                port: sum(sampled[port, kind] for kind in ("queued left", "unread", "held"))
                for port in open_ports
            }
            return sampled, _by_ss(open_ports), totals, _close_waits_by_pyroute2(open_ports)

    sampled, by_ss, totals, by_pyroute2 = given.alone(work)
    assert by_ss == sampled
    assert by_pyroute2 == totals
