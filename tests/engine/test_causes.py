"""What stuck code waits for, as far as it shows from outside; and that it is never more than a suspicion."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack.engine import causes, diagnoses, findings, samples
from lastack.policy import vocabulary
from tests.engine import makers
from tests.engine.makers import Code, queued

Kind = vocabulary.CauseKind
BLIND = samples.Missing("not permitted")
DATABASE, CACHE = "10.9.0.7:7000", "10.9.0.8:6379"
CLIENT = "192.0.2.7:50000"
MASTER, ONE, TWO, THREE = (samples.Pid(number) for number in range(7, 11))
IDLE = samples.GroupSample(0, 0, 1000, None, 0, dt.timedelta(0))
"""A control group without limits."""


def process(pid: samples.Pid, **more: object) -> samples.ProcessSample:
    """A process that sleeps; 8 and 9 were forked by 7."""
    made = samples.ProcessSample(
        pid,
        samples.Pid(1) if pid == MASTER else MASTER,
        "server",
        makers.seconds(5),
        20,
        1024,
        4,
        state="S",
        cpu=dt.timedelta(0),
        group=IDLE,
    )
    return dataclasses.replace(made, **more)  # type: ignore[arg-type] # fields of the process, by name


def thread(
    number: int, call: str | None, side: samples.Side = "other", peer: str | None = None
) -> samples.ThreadStand:
    """A thread of the master's process that stands in a call; call None: it runs."""
    inode = number if side in {"inbound", "outbound"} else 0
    return samples.ThreadStand(MASTER, number, call is None, call, inode, side, peer)


def reads(number: int, peer: str = DATABASE) -> samples.ThreadStand:
    """A thread that waits for a server's answer."""
    return thread(number, "read", "outbound", peer)


def sends(number: int) -> samples.ThreadStand:
    """A thread that sends to a client."""
    return thread(number, "sendto", "inbound", CLIENT)


def hears(pid: samples.Pid | int) -> samples.ThreadStand:
    """The main thread of a process that waits for what a client says."""
    return samples.ThreadStand(samples.Pid(pid), pid, False, "recvfrom", 20 + pid, "inbound", CLIENT)


def locks(pid: samples.Pid) -> samples.ThreadStand:
    """The main thread of a process that waits for a lock."""
    return samples.ThreadStand(pid, pid, False, "futex")


def idles(number: int) -> samples.ThreadStand:
    """A thread in a lock or in an idle pool: nobody can tell."""
    return thread(number, "futex")


EVENTS, ACCEPTS = thread(7, "epoll_wait"), thread(7, "accept4", "listening")
Stands = Sequence[samples.ThreadStand] | samples.Missing


def window(
    *stands: Stands,
    processes: Callable[[int], Sequence[samples.ProcessSample]] = lambda _: (process(MASTER),),
    every: float = 1,
) -> samples.Window:
    """Looks at a queue in which somebody waits since long ago; `processes` are those of the look with that number."""
    looks = []
    for number, those in enumerate(stands):
        look = makers.look(every * number, waiting=queued({1: 50 + every * number}))
        owner = samples.Owner(MASTER, tuple(processes(number)))
        found = those if isinstance(those, samples.Missing) else tuple(those)
        looks.append(dataclasses.replace(look, owner=owner, stands=found))
    return samples.Window(tuple(looks))


def sought(seen: samples.Window, code: Code = Code.ACCEPT_STALL) -> findings.Cause:
    """The cause of a finding of that code, which must be sought."""
    cause = causes.seek(seen, makers.finding(code))
    assert cause is not None
    return cause


def told(cause: findings.Cause) -> tuple[Kind, str | None, int | None, int | None, str | None]:
    """Kind, peer, how many of how many, and where it comes from."""
    return cause.kind, cause.peer, cause.stuck, cause.of, cause.source


NOTHING = (Kind.UNKNOWN, None, None, None, None)
POOL = [reads(number) for number in range(20, 40)]
STANDS = [
    ("twenty workers read from one server", [[ACCEPTS, *POOL]] * 3, (Kind.DOWNSTREAM, DATABASE, 20, 20)),
    ("the threads of a pool that rest beside them do not count against it",
     [[ACCEPTS, *POOL, *map(idles, range(50, 200))]] * 3, (Kind.DOWNSTREAM, DATABASE, 20, 20)),
    ("an event loop that calls a server and waits is stuck as a whole", [[reads(7), *map(idles, range(50, 90))]] * 3,
     (Kind.DOWNSTREAM, DATABASE, 1, 1)),
    ("the only worker of a pool of one", [[EVENTS, reads(20)]] * 3, (Kind.DOWNSTREAM, DATABASE, 1, 1)),
    ("other connections to the same server in each look are the same wait: it is slow, not dead",
     [[ACCEPTS, *(reads(number + look) for number in range(20, 30))] for look in range(3)],
     (Kind.DOWNSTREAM, DATABASE, 10, 10)),
    ("connect counts as well", [[ACCEPTS, *(thread(n, "connect", "outbound", DATABASE) for n in range(20, 24))]] * 2,
     (Kind.DOWNSTREAM, DATABASE, 4, 4)),
    ("of two servers the one that holds most",
     [[*POOL, *(reads(number, CACHE) for number in range(50, 55))]] * 2, (Kind.DOWNSTREAM, DATABASE, 20, 25)),
    ("two that hold a third each decide nothing",
     [[*map(reads, range(20, 23)), *(reads(n, CACHE) for n in range(30, 33)), *map(sends, range(40, 43))]] * 2, None),
    ("a subscriber beside workers that may wait for a lock is no cause",
     [[EVENTS, reads(20), *map(idles, range(50, 250))]] * 3, None),
    ("a thread that reads in one look and not in the next works",
     [[ACCEPTS, *POOL], [ACCEPTS, *map(idles, range(20, 40))]], None),
    ("one reading does not tell who stands still", [[ACCEPTS, *POOL]], None),
    ("nor do none", [BLIND, BLIND], None),
    ("an outbound socket in epoll is a loop that waits for anything",
     [[thread(7, "epoll_wait", "outbound", DATABASE)]] * 2, None),
    ("workers that send to clients who do not read", [[ACCEPTS, *map(sends, range(20, 30))]] * 2,
     (Kind.CLIENT, None, 10, 10)),
    ("a few slow readers among workers that wait for a server are not the cause",
     [[*map(sends, range(20, 24)), *POOL]] * 2, (Kind.DOWNSTREAM, DATABASE, 20, 24)),
    ("reading from a client is waiting for its next request",
     [[thread(number, "read", "inbound", "192.0.2.7:5") for number in range(20, 30)]] * 2, None),
    ("the only thread of a process that reads from a client serves nobody else", [[hears(7)]] * 2,
     (Kind.CLIENT, None, 1, 1)),
    ("seen once it may be reading a request", [[hears(7)]], None),
    ("a client's connection in epoll is a loop that waits for anything",
     [[thread(7, "epoll_wait", "inbound", CLIENT)]] * 2, None),
    ("a loop without an end is found running in every look", [[thread(7, None)]] * 3, (Kind.CPU, None, 1, None)),
    ("two looks are too few: a busy thread is found running often", [[thread(7, None)]] * 2, None),
    ("another thread in each look is work", [[thread(look, None)] for look in range(5)], None),
    ("threads in futex may be a lock and may be an idle pool", [[EVENTS, *map(idles, range(20, 40))]] * 6, None),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "stands", "expected"), STANDS)
def test_the_cause_shows_in_where_threads_stand(
    claim: str, stands: list[Stands], expected: tuple[Kind, str | None, int, int | None] | None
) -> None:
    """Half of the workers on one thing, in every look."""
    cause = sought(window(*stands))
    assert (NOTHING if expected is None else (*expected, "threadStands")) == told(cause), claim


HELD = [
    ("half of the workers read from clients", [EVENTS, hears(ONE), locks(TWO)], True, Kind.CLIENT),
    ("fewer do: the others wait for something else",
     [EVENTS, hears(ONE), locks(TWO), locks(THREE)], True, Kind.UNKNOWN),
    ("while nobody waits they are kept-alive connections", [EVENTS, hears(ONE), hears(TWO)], False, Kind.UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "stands", "waited_for", "kind"), HELD)
def test_clients_that_say_nothing_hold_who_serves_one_at_a_time(
    claim: str, stands: list[samples.ThreadStand], waited_for: bool, kind: Kind
) -> None:
    """Pre-forked workers: each stands on one connection, and new ones wait."""
    forked = [process(samples.Pid(pid)) for pid in {MASTER, *(stand.pid for stand in stands)}]
    seen = window(stands, stands, processes=lambda _: forked)
    if not waited_for:
        quiet = dataclasses.replace(makers.look().listener, depth=0, queued=makers.EMPTY)
        seen = samples.Window(tuple(dataclasses.replace(each, listener=quiet) for each in seen.looks))
    assert kind is sought(seen).kind, claim


def grown(last: samples.GroupSample, first: samples.GroupSample = IDLE) -> samples.Window:
    """A window of 5 s in which the control group went from the first to the last."""
    return window(
        BLIND, BLIND, processes=lambda number: (process(MASTER, group=last if number else first),), every=5
    )


def group(**more: object) -> samples.GroupSample:
    """A group after 5 s."""
    return dataclasses.replace(IDLE, **more)  # type: ignore[arg-type] # fields of the group, by name


SECOND = dt.timedelta(seconds=1)
V1 = group(memory_stalled=BLIND)
GROUPS = [
    ("half of the periods without processor", IDLE, group(periods=50, throttled_periods=25), Kind.THROTTLED),
    ("less than half is a burst", IDLE, group(periods=50, throttled_periods=24), Kind.UNKNOWN),
    ("fewer than ten periods say nothing", IDLE, group(periods=9, throttled_periods=9), Kind.UNKNOWN),
    ("without a quota there are no periods", IDLE, IDLE, Kind.UNKNOWN),
    ("periods that cannot be read", IDLE, group(periods=BLIND, throttled_periods=9), Kind.UNKNOWN),
    ("throttled periods that cannot be read", IDLE, group(periods=50, throttled_periods=BLIND), Kind.UNKNOWN),
    ("a fifth of the time some task waited for memory", IDLE, group(memory_stalled=SECOND), Kind.MEMORY),
    ("less is reclaim, also at the limit: a page cache fills every group",
     IDLE, group(memory_stalled=SECOND / 2, memory_refused=90, memory=99, memory_limit=100), Kind.UNKNOWN),
    ("where the kernel does not tell waits: the limit was hit", V1, group(memory_stalled=BLIND, memory_refused=1),
     Kind.MEMORY),
    ("and where it was not", V1, V1, Kind.UNKNOWN),
    ("and where that cannot be read either", V1, group(memory_stalled=BLIND, memory_refused=BLIND), Kind.UNKNOWN),
    ("the group itself cannot be read", BLIND, BLIND, Kind.UNKNOWN),
    ("both at once: what stops the processor is said first", IDLE,
     group(periods=50, throttled_periods=50, memory_stalled=SECOND), Kind.THROTTLED),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "first", "last", "kind"), GROUPS)
def test_the_cause_shows_in_the_control_group(
    claim: str, first: samples.GroupSample, last: samples.GroupSample, kind: Kind
) -> None:
    """The processor quota, and the waits for memory."""
    cause = sought(grown(last, first))
    assert (kind, "cgroup" if kind is not Kind.UNKNOWN else None) == (cause.kind, cause.source), claim


@pytest.mark.parametrize(
    ("memory", "limit", "state", "kind"),
    [
        (95, 100, "D", Kind.MEMORY),
        (94, 100, "D", Kind.UNKNOWN),
        (95, 100, "S", Kind.UNKNOWN),
        (95, None, "D", Kind.UNKNOWN),
        (95, BLIND, "D", Kind.UNKNOWN),
        (BLIND, 100, "D", Kind.UNKNOWN),
    ],
)
def test_a_worker_in_d_at_the_limit_reads_its_own_pages(
    memory: int | samples.Missing, limit: int | samples.Missing | None, state: str, kind: Kind
) -> None:
    """Both together: a disk also leads to D, and a page cache to the limit."""
    held = group(memory=memory, memory_limit=limit)
    seen = window(BLIND, BLIND, processes=lambda _: (process(MASTER, state=state, group=held),), every=5)
    assert kind is sought(seen).kind


def states(*each: Sequence[str | samples.Missing]) -> samples.Window:
    """Looks at a master and its two workers in these states."""
    pids = (MASTER, ONE, TWO)
    return window(
        *[BLIND] * len(each),
        processes=lambda number: [
            process(pid, state=state) for pid, state in zip(pids, each[number], strict=True)
        ],
    )


def test_workers_that_are_stopped_are_the_cause() -> None:
    """Most of the workers, in every look; the master serves nobody."""
    assert (Kind.STOPPED, None, 2, 2, "processState") == told(sought(states("STt", "STT")))
    assert NOTHING == told(sought(states("TST", "TSS")))
    assert NOTHING == told(sought(states("STT", "SSS")))
    assert NOTHING == told(sought(states("STS", "STS")))
    assert NOTHING == told(sought(states(["S", BLIND, BLIND], ["S", "T", "T"])))


def test_a_worker_that_is_new_was_not_stopped_all_the_time() -> None:
    """It was not there in the first look."""
    alone = [process(MASTER, state="T")]
    seen = window(
        BLIND, BLIND, processes=lambda number: [*alone, process(ONE, state="T")] if number else alone
    )
    assert NOTHING == told(sought(seen))


def used(*shares: float | samples.Missing, span: float = 5) -> samples.Window:
    """Two workers that used such a share of a processor in the window."""

    def at(number: int) -> list[samples.ProcessSample]:
        spent = [BLIND if isinstance(s, samples.Missing) else number * span * s * SECOND for s in shares]
        return [
            process(MASTER),
            *(process(pid, cpu=each) for pid, each in zip((ONE, TWO), spent, strict=False)),
        ]

    return window(BLIND, BLIND, processes=at, every=span)


def test_workers_that_use_all_their_time_are_busy() -> None:
    """Nine tenths of a processor for each, over the full window."""
    assert (Kind.CPU, None, None, None, "cpuTime") == told(sought(used(0.95, 0.9)))
    assert NOTHING == told(sought(used(0.95, 0.8)))
    assert NOTHING == told(sought(used(0.95, BLIND)))
    assert NOTHING == told(sought(used(1, 1, span=3)))


def test_nobody_to_be_seen_is_unknown() -> None:
    """No owner, no cause; and nothing fails."""
    looks = [makers.look(second, waiting=queued({1: 50}), owner=samples.Owner(None, ())) for second in (0, 5)]
    assert NOTHING == told(sought(samples.Window(tuple(looks))))
    blind = [dataclasses.replace(look, stands=(reads(20), reads(21))) for look in looks]
    assert Kind.DOWNSTREAM is sought(samples.Window(tuple(blind))).kind
    subscriber = (reads(20), *map(idles, range(50, 250)))
    quiet = [dataclasses.replace(look, stands=subscriber) for look in looks]
    assert NOTHING == told(sought(samples.Window(tuple(quiet))))
    running = [dataclasses.replace(looks[0], stands=(thread(20, None),)) for _ in range(5)]
    assert NOTHING == told(sought(samples.Window(tuple(running))))


@pytest.mark.parametrize("code", list(Code))
def test_a_cause_is_sought_where_a_restart_helps_or_harms_by_it(code: Code) -> None:
    """For connections that wait for code; a leak or a short queue has no other cause than itself."""
    stuck = {Code.ACCEPT_STALL, Code.HANDLER_STALL, Code.OVERLOAD}
    cause = causes.seek(window(BLIND), makers.finding(code))
    assert (code in stuck) == (cause is not None)


def test_a_diagnosis_comes_with_its_cause() -> None:
    """The stall is certain, its cause a suspicion."""
    seen = window(*[[ACCEPTS, *POOL]] * 6)
    finding = diagnoses.diagnose(seen)
    assert finding.cause is not None
    assert (Code.ACCEPT_STALL, Kind.DOWNSTREAM) == (finding.code, finding.cause.kind)
    assert vocabulary.Confidence.LOW is finding.cause.confidence


THREAD = st.builds(
    thread,
    st.integers(7, 12),
    st.sampled_from([None, "read", "futex", "epoll_wait", "sendto", "connect"]),
    st.sampled_from(["inbound", "outbound", "other"]),
    st.sampled_from([None, DATABASE, CACHE]),
)


@given(st.lists(st.one_of(st.just(BLIND), st.lists(THREAD, max_size=8)), min_size=1, max_size=7))
def test_whatever_stands_where_a_cause_is_a_suspicion(stands: list[Stands]) -> None:
    """Low confidence, a source for each kind but unknown, and never more stuck than there are threads on sockets."""
    cause = sought(window(*stands))
    assert vocabulary.Confidence.LOW is cause.confidence
    assert (cause.kind is Kind.UNKNOWN) == (cause.source is None)
    assert cause.of is None or (cause.stuck or 0) <= cause.of
