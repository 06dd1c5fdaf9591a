"""Each signal from its window: the number, or why it is missing."""

from __future__ import annotations

import dataclasses

import pytest

from lastack.engine import findings, samples, signals
from tests.engine import looks, makers
from tests.engine.makers import Name, look, queued, window

BLIND = samples.Missing("not permitted")
BEHIND_REUSEPORT = samples.Missing("cannot be tied to one socket", inherent=True)


def value(name: Name, *looks: samples.Look) -> findings.SignalValue:
    """One signal of a window."""
    return signals.measure(window(*looks))[name]


def why(name: Name, *looks: samples.Look) -> str:
    """Why a signal is missing."""
    found = value(name, *looks)
    assert isinstance(found, samples.Missing), found
    return found.why


def test_the_classes_of_close_wait_are_told_apart() -> None:
    """Two wait un-accepted, one is unread, three are held; the oldest is the oldest of all."""
    seen = look(
        waiting=queued({1: 9, 2: 8, 3: 1}, fins=2, oldest_fin=7),
        held=makers.close_waits([60, 5, 5, 5], unread=1),
    )
    measured = signals.measure(window(seen))
    assert (6, 2, 1, 3, 60.0) == tuple(
        measured[name]
        for name in (
            Name.CLOSE_WAIT_TOTAL,
            Name.CLOSE_WAIT_QUEUED,
            Name.CLOSE_WAIT_UNREAD,
            Name.CLOSE_WAIT_HELD,
            Name.CLOSE_WAIT_OLDEST,
        )
    )


def test_the_oldest_may_be_one_that_nobody_accepted() -> None:
    """Its peer's FIN came while it was waiting."""
    assert 7.0 == value(Name.CLOSE_WAIT_OLDEST, look(waiting=queued({1: 9}, fins=1, oldest_fin=7)))


def test_what_a_reuseport_listener_cannot_have_is_missing_and_the_rest_is_not() -> None:
    """Un-accepted rows cannot be tied to one of its sockets; the accepted ones can."""
    seen = look(depth=3, waiting=BEHIND_REUSEPORT, held=makers.close_waits([4]))
    measured = signals.measure(window(seen, dataclasses.replace(seen, at=makers.at(1))))
    for name in (Name.CLOSE_WAIT_QUEUED, Name.ACCEPT_QUEUE_HEAD_AGE, Name.ACCEPT_PROGRESS):
        assert BEHIND_REUSEPORT == measured[name]
    assert (1, 4.0, 3) == (
        measured[Name.CLOSE_WAIT_TOTAL],
        measured[Name.CLOSE_WAIT_OLDEST],
        measured[Name.ACCEPT_QUEUE_DEPTH],
    )


def test_the_queue_has_depth_peak_limit_fill_and_head_age() -> None:
    """The peak is of the whole window, the rest of the last look."""
    measured = signals.measure(window(look(0, depth=90), look(1, waiting=queued({1: 2.5, 2: 1}), limit=128)))
    assert (2, 90, 128, 2 / 128, 2.5) == (
        measured[Name.ACCEPT_QUEUE_DEPTH],
        measured[Name.ACCEPT_QUEUE_PEAK],
        measured[Name.ACCEPT_QUEUE_LIMIT],
        measured[Name.ACCEPT_QUEUE_FILL],
        measured[Name.ACCEPT_QUEUE_HEAD_AGE],
    )


def test_the_peak_is_also_of_the_time_between_two_looks() -> None:
    """As far as somebody glanced; what was before the first look is not of the window."""
    seen = [looks.seen(look(second, depth=2), peak=peak) for second, peak in ((0, 99), (1, 50), (2, None))]
    assert 50 == value(Name.ACCEPT_QUEUE_PEAK, *seen)


def test_an_empty_queue_has_a_head_age_of_nothing() -> None:
    """Nobody waits: that is known, and it is 0."""
    assert 0.0 == value(Name.ACCEPT_QUEUE_HEAD_AGE, look())


def test_slots_of_connections_that_were_reset_have_no_head_age() -> None:
    """A standing depth without rows: how long, nobody can tell."""
    assert "their clients reset" in why(Name.ACCEPT_QUEUE_HEAD_AGE, look(depth=3))


def test_a_limit_of_0_has_no_fill() -> None:
    """listen(fd, 0) is legal."""
    assert "the limit is 0" == why(Name.ACCEPT_QUEUE_FILL, look(limit=0))


ROWS = {1: 9.0, 2: 8.0, 3: 7.0}
PROGRESS = [
    (
        "the same rows wait: nothing was accepted",
        [look(0, waiting=queued(ROWS)), look(1, waiting=queued(ROWS))],
        0,
    ),
    (
        "one left the queue: one was accepted",
        [look(0, waiting=queued(ROWS)), look(1, waiting=queued({2: 9, 3: 8}))],
        1,
    ),
    (
        "one was reset by its client: its row is gone, its slot is still taken",
        [look(0, waiting=queued(ROWS)), look(1, waiting=queued({2: 9, 3: 8}), depth=3)],
        0,
    ),
    (
        "one was reset and one accepted",
        [look(0, waiting=queued(ROWS)), look(1, waiting=queued({3: 8}), depth=2)],
        1,
    ),
    (
        "a slot that was a ghost before is no accept when it goes with its row count unchanged",
        [look(0, waiting=queued(ROWS), depth=4), look(1, waiting=queued(ROWS))],
        0,
    ),
    (
        "each pair of looks counts for itself: what came and went between two others is progress",
        [look(0, waiting=queued({1: 1})), look(1, waiting=queued({2: 1})), look(2, waiting=queued({3: 1}))],
        2,
    ),
    ("nobody waited, nobody was accepted", [look(0), look(1)], 0),
]


@pytest.mark.parametrize(("claim", "looks", "expected"), PROGRESS)
def test_accept_progress_is_what_rows_prove(claim: str, looks: list[samples.Look], expected: int) -> None:
    """Rows that were un-accepted and are not any more, beyond the growth of slots without a row."""
    assert expected == value(Name.ACCEPT_PROGRESS, *looks), claim


@pytest.mark.parametrize("looks", [[look(0, waiting=BLIND), look(1)], [look(0), look(1, waiting=BLIND)]])
def test_progress_needs_the_rows_of_every_look(looks: list[samples.Look]) -> None:
    """One look without rows leaves it untold."""
    assert "not permitted" == why(Name.ACCEPT_PROGRESS, *looks)


@pytest.mark.parametrize("name", [Name.ACCEPT_PROGRESS, Name.LISTEN_DROP_RATE])
def test_one_look_has_no_rate(name: Name) -> None:
    """And says what to do about it."""
    found = value(name, look())
    assert samples.Missing("one look has no rate", "watch for longer than 0 s") == found


DROPS = [
    ("its own growth, per second", (0, 0), (10, 50), 5.0),
    ("stray segments count in sk_drops only: bounded by ListenDrops", (0, 0), (100, 4), 2.0),
    ("drops of other listeners count in ListenDrops only", (0, 0), (0, 60), 0.0),
    ("nothing", (7, 7), (7, 7), 0.0),
]


@pytest.mark.parametrize(("claim", "before", "after", "expected"), DROPS)
def test_the_drop_rate_is_bounded_by_the_drops_of_the_namespace(
    claim: str, before: tuple[int, int], after: tuple[int, int], expected: float
) -> None:
    """The smaller growth of the two, over two seconds."""
    looks = [
        look(second, drops=own, counters={"ListenDrops": all_of_them})
        for second, (own, all_of_them) in ((0, before), (2, after))
    ]
    assert expected == value(Name.LISTEN_DROP_RATE, *looks), claim


@pytest.mark.parametrize("counters", [BLIND, {}])
def test_without_the_counter_of_the_namespace_its_own_drops_are_all_there_is(
    counters: dict[str, int] | samples.Missing,
) -> None:
    """An upper bound, and known to be one by the rows that need ListenDrops themselves."""
    looks = [look(0, drops=0, counters=counters), look(2, drops=10, counters=counters)]
    assert 5.0 == value(Name.LISTEN_DROP_RATE, *looks)
    assert isinstance(signals.counter_growth(window(*looks), "ListenDrops"), samples.Missing)


MISSING_DROPS = [
    ([look(0, drops=9), look(1, drops=3)], "went backwards"),
    ([look(0, drops=BLIND), look(1)], "not permitted"),
    ([look(0), look(1, drops=BLIND)], "not permitted"),
]


@pytest.mark.parametrize(("looks", "because"), MISSING_DROPS)
def test_a_counter_that_went_backwards_or_is_unread_is_no_rate(
    looks: list[samples.Look], because: str
) -> None:
    """Never negative, never 0."""
    assert because in why(Name.LISTEN_DROP_RATE, *looks)


def test_files_are_of_the_fullest_process_threads_and_outbound_of_all() -> None:
    """The master of a pre-forking server has room; the worker that accepts has none."""
    worker = samples.ProcessSample(
        samples.Pid(8), samples.Pid(7), "server", makers.seconds(6), 9, 10, 3, outbound=2
    )
    first = look(files=100, files_limit=400).owner.processes[0]
    measured = signals.measure(window(look(owner=samples.Owner(samples.Pid(7), (first, worker)))))
    assert (9, 10, 0.9, 7, 2) == tuple(
        measured[name]
        for name in (
            Name.OPEN_FILES_COUNT,
            Name.OPEN_FILES_LIMIT,
            Name.OPEN_FILES_FILL,
            Name.THREADS,
            Name.CLOSE_WAIT_OUTBOUND,
        )
    )


FULLEST = [
    ("the largest share", [(7, 100, 400), (8, 9, 10)], 8),
    ("of equals the one that is named after", [(6, 9, 10), (7, 9, 10), (8, 9, 10)], 7),
    ("what cannot be counted is never the fullest", [(7, BLIND, 400), (8, 1, 400)], 8),
    ("nor where the limit is unknown", [(7, 400, BLIND), (8, 1, 400)], 8),
    ("a limit of 0 is full", [(7, 399, 400), (8, 1, 0)], 8),
    ("none can be counted", [(8, BLIND, BLIND), (7, BLIND, BLIND)], 7),
]


@pytest.mark.parametrize(("claim", "table", "expected"), FULLEST)
def test_the_fullest_process_is_the_one_that_fails_first(
    claim: str, table: list[tuple[int, int | samples.Missing, int | samples.Missing]], expected: int
) -> None:
    """By share of its own limit: each process has one."""
    processes = tuple(
        samples.ProcessSample(samples.Pid(pid), None, "server", makers.seconds(1), files, limit, 1)
        for pid, files, limit in table
    )
    owner = samples.Owner(samples.Pid(7), processes)
    found = owner.fullest
    assert found is not None
    assert expected == found.pid, claim
    assert owner.main == next((process for process in processes if process.pid == 7), None)
    assert samples.Owner(None, ()).fullest is None


@pytest.mark.parametrize(
    ("owner", "because"),
    [
        (samples.Owner(None, (), samples.Missing("needs CAP_SYS_PTRACE")), "needs CAP_SYS_PTRACE"),
        (samples.Owner(None, ()), "no owner of this listener can be seen"),
    ],
)
def test_without_an_owner_what_is_of_processes_is_missing(owner: samples.Owner, because: str) -> None:
    """With the reason of the owner itself, if it has one."""
    for name in (Name.OPEN_FILES_COUNT, Name.OPEN_FILES_FILL, Name.THREADS, Name.CLOSE_WAIT_OUTBOUND):
        assert because == why(name, look(owner=owner))


@pytest.mark.parametrize(
    ("seen", "name"),
    [
        (look(files=BLIND), Name.OPEN_FILES_FILL),
        (look(files_limit=BLIND), Name.OPEN_FILES_FILL),
        (look(threads=BLIND), Name.THREADS),
    ],
)
def test_a_part_that_cannot_be_read_is_missing(seen: samples.Look, name: Name) -> None:
    """A sum or a share of something unknown is unknown."""
    assert "not permitted" == why(name, seen)


def test_known_is_a_number_or_nothing() -> None:
    """Missing and absent are both not known."""
    assert (5, None, None) == (signals.known(5), signals.known(BLIND), signals.known(None))


def test_addresses_are_written_as_people_read_them() -> None:
    """IPv6 in brackets, dual-stack as a star."""
    assert ("*:80", "[::]:80", "127.0.0.1:80") == (
        str(samples.ListenerAddress("*", 80, "inet6")),
        str(samples.ListenerAddress("::", 80, "inet6")),
        str(samples.ListenerAddress("127.0.0.1", 80, "inet")),
    )


def test_two_looks_at_one_instant_have_no_rate() -> None:
    """No time passed between them; nothing is divided by it."""
    assert "one look has no rate" == why(Name.LISTEN_DROP_RATE, look(1, drops=1), look(1, drops=9))
