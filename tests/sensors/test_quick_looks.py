"""Quick looks, as `run` takes them: one walk gives all that they tell, and a quiet namespace is not walked at all."""

import contextlib
import ctypes
import socket
import struct

import pytest

from lastack import ports
from lastack.engine import samples
from lastack.lab import floods
from lastack.sensors import namespaces as spaces
from lastack.sensors import quiet
from tests.kernel import namespaces
from tests.sensors import given

DROP_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0)


def _syn_received_by_ss(port: int) -> int:
    return len(namespaces.printed("ss", "-HOtan", "state", "syn-recv", f"sport = :{port}").splitlines())


@pytest.mark.parametrize("deep", [False, True])
def test_handshakes_that_nobody_finishes_are_counted_in_every_look(deep: bool) -> None:
    """The SYN queue comes with the CLOSE_WAIT rows of the same walk, by listener; ss counts the same."""

    def work() -> tuple[list[int | samples.Missing], list[int], int]:
        drop_all = ctypes.create_string_buffer(DROP_ALL, len(DROP_ALL))
        with contextlib.ExitStack() as stack:
            one = stack.enter_context(given.service(backlog=64))
            two = stack.enter_context(given.service("::", family=socket.AF_INET6, dual=True, backlog=64))
            for service, amount in ((one, 7), (two, 4)):
                for _ in range(amount):
                    stack.enter_context(floods.half_open(service.port, drop_all))
            two.connect().close()
            two.accept()
            eye = given.eye()
            given.await_look(eye, two, lambda look: len(look.listener.close_wait.cookies) == 1, what="a FIN")
            looks = [given.look(eye, service, deep=deep).listener for service in (one, two)]
            by_ss = [_syn_received_by_ss(service.port) for service in (one, two)]
            return [look.syn_received for look in looks], by_ss, len(looks[1].close_wait.cookies)

    sampled, by_ss, half_closed = given.alone(work)
    assert ([7, 4], 1) == (sampled, half_closed)
    assert by_ss == sampled


def test_a_quiet_namespace_is_not_walked() -> None:
    """Listeners alone are no reason to look through the sockets of the whole machine; the first connection is."""

    def work() -> list[bool]:
        with given.service() as one, given.service("::", family=socket.AF_INET6, dual=True):
            eye = given.eye()
            walked = []
            for act in (lambda: None, one.connect, one.accept):
                act()
                syn_received = given.look(eye, one, deep=False).listener.syn_received
                walked.append(not isinstance(syn_received, samples.Missing))
            return walked

    assert [False, True, True] == given.alone(work)


def test_a_quiet_namespace_has_no_outbound_sockets_and_says_so() -> None:
    """Not looked at is no answer where the kernel's count proves that there is none."""

    def work() -> int | samples.Missing:
        with given.service() as service:
            (process,) = given.look(given.eye(), service, deep=False).owner.processes
            return process.outbound

    assert 0 == given.alone(work)


def test_the_gate_stands_open_where_nobody_can_tell() -> None:
    """Without the kernel's counters the rows are asked for, as ever."""

    def work() -> list[bool]:
        with given.service(), given.service():
            here = spaces.read((), 2)
            gate = quiet.Gate()
            assert not isinstance(here.counters, samples.Missing)
            crowded = {**here.counters, "TCPReqQFullDoCookies": here.counters["TCPReqQFullDoCookies"] + 1}
            seen = [
                here,
                samples.NamespaceSample(here.inode, samples.Missing("hidden"), {}),
                samples.NamespaceSample(here.inode, crowded, {}),
                samples.NamespaceSample(here.inode, crowded, {}),
            ]
            return [gate.is_open(each, 2) for each in seen] + [gate.is_open(here, 1)]

    assert [False, True, True, False, True] == given.alone(work)


def test_rows_of_other_listeners_are_neither_its_own_nor_outbound() -> None:
    """A small service beside a large one, whose rows the kernel leaves out of a quick look."""

    def work() -> tuple[int, int]:
        with given.service(backlog=64) as large, given.service() as small:
            for _ in range(30):
                large.connect().close()
                large.accept()
            small.connect().close()
            small.accept()
            eye = given.eye()
            given.await_look(
                eye, large, lambda look: len(look.listener.close_wait.cookies) == 30, what="30 FINs"
            )
            sample = eye.look(ports.Selection(pids=frozenset({given.OWN}), ports=frozenset({small.port})))
            (look,) = sample.looks
            return len(look.listener.close_wait.cookies), len(sample.outbound)

    assert (1, 0) == given.alone(work)
