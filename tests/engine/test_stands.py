"""Threads that do not move, what holds them, and the signal that counts them."""

from __future__ import annotations

import dataclasses

import pytest

from lastack.engine import findings, samples, signals, stands
from tests.engine import looks, makers
from tests.engine.looks import DATABASE
from tests.engine.makers import Name, look, queued, window

BLIND = samples.Missing("not permitted: needs CAP_SYS_PTRACE", "run as root")
WAITING = queued({1: 3.0})
OLD = makers.close_waits([40.0, 41.0, 42.0], unread=3)


def at_looks(
    *threads: looks.Stands | samples.Missing | None, of: samples.Look | None = None
) -> samples.Window:
    """A window of a listener at which somebody waits, with these stands, a second apart."""
    base = of or look(waiting=WAITING)
    return window(
        *(
            looks.seen(dataclasses.replace(base, at=makers.at(second)), stands=each)
            for second, each in enumerate(threads)
        )
    )


def stuck(seen: samples.Window) -> findings.SignalValue | None:
    """workers.stuck, None where it is not among the signals."""
    return signals.measure(seen).get(Name.WORKERS_STUCK)


def test_a_thread_that_stood_elsewhere_once_is_not_standing() -> None:
    """Another socket, another call, or on its way in between."""
    here = looks.waiting_for([DATABASE])
    for elsewhere in (
        tuple(dataclasses.replace(each, inode=9) for each in here),
        tuple(dataclasses.replace(each, call="sendto") for each in here),
        tuple(dataclasses.replace(each, running=True) for each in here),
        (),
    ):
        found = stands.standing(at_looks(here, elsewhere, here))
        assert not isinstance(found, samples.Missing)
        assert ((), 3) == (found.threads, found.readings)


def test_the_same_thread_number_of_another_process_is_another_thread() -> None:
    """Each container numbers its own."""
    here = looks.waiting_for([DATABASE])
    found = stands.standing(
        at_looks(here, tuple(dataclasses.replace(each, pid=samples.Pid(8)) for each in here))
    )
    assert not isinstance(found, samples.Missing)
    assert () == found.threads


def test_a_running_thread_stands_wherever_it_runs() -> None:
    """It is the processor that it does not leave."""
    found = stands.standing(at_looks(looks.running(2), looks.running(2)))
    assert not isinstance(found, samples.Missing)
    assert 2 == len(found.threads)


def test_looks_that_did_not_read_threads_are_left_out() -> None:
    """The span is that of the readings."""
    here = looks.waiting_for([DATABASE])
    found = stands.standing(at_looks(None, here, BLIND, here))
    assert not isinstance(found, samples.Missing)
    assert (2, makers.seconds(2)) == (found.readings, found.span)


WHY = [
    ("read once", (None, looks.running(1)), "was read once"),
    ("never read, since it is not permitted", (None, BLIND), "not permitted"),
    ("never read", (None, None), "not looked at"),
]


@pytest.mark.parametrize(("claim", "threads", "why"), WHY)
def test_without_two_readings_nobody_is_known_to_stand(
    claim: str, threads: tuple[looks.Stands | samples.Missing | None, ...], why: str
) -> None:
    """And the reason that could be mended is said."""
    found = stands.standing(at_looks(*threads))
    assert isinstance(found, samples.Missing), claim
    assert why in found.why


def test_groups_are_by_what_holds_them_the_largest_first() -> None:
    """One peer, clients that do not read, the processor; a lock is no group."""
    threads = (
        *looks.waiting_for([DATABASE, "10.9.0.8:7000", DATABASE]),
        *looks.sending(4),
        *looks.running(3),
        *looks.locked(9),
        *looks.resting(9),
        samples.ThreadStand(samples.Pid(7), 1, running=False, call="read", inode=5, side="outbound"),
        samples.ThreadStand(samples.Pid(7), 2, running=False, call="recvfrom", inode=6, side="inbound"),
    )
    assert [
        (stands.CLIENTS, 4),
        (stands.RUNNING, 3),
        (DATABASE, 2),
        ("10.9.0.8:7000", 1),
        ("a connection of its own", 1),
    ] == [(group.held_by, group.threads) for group in stands.groups(threads)]


def test_who_rests_or_waits_for_a_client_waits_on_nobodys_behalf() -> None:
    """A lock, a sleep and a downstream may be on behalf of a connection; a running thread does something."""
    assert 3 == stands.may_wait(looks.locked(2) + looks.waiting_for([DATABASE]) + looks.resting(5))
    assert 0 == stands.may_wait(looks.sending(2) + looks.running(2))


SIGNAL = [
    ("nobody waits: nobody is held up", at_looks(None, None, of=look()), 0),
    ("in one look nobody waited", window(look(0, waiting=WAITING), look(1)), 0),
    ("in the queue, and two wait for one peer", at_looks(*[looks.waiting_for([DATABASE] * 2)] * 2), 2),
    ("without an answer for long", at_looks(*[looks.waiting_for([DATABASE] * 2)] * 2, of=look(held=OLD)), 2),
    ("nothing holds them", at_looks(looks.locked(2), looks.locked(2)), 0),
    ("nobody looked at threads: no signal", at_looks(None, None), None),
    ("not permitted", at_looks(BLIND, BLIND), BLIND),
]


@pytest.mark.parametrize(("claim", "seen", "expected"), SIGNAL)
def test_workers_are_stuck_only_while_somebody_waits(
    claim: str, seen: samples.Window, expected: findings.SignalValue | None
) -> None:
    """In the queue, or accepted 30 s ago and not answered."""
    assert expected == stuck(seen), claim
