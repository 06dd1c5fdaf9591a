"""What threads that stand still wait for, as a table; and dumps of JVMs that are cut, doubled or mixed."""

from __future__ import annotations

import datetime as dt
import pathlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lastack.executors.thread_dump import groups, meanings, stacks
from lastack.executors.thread_dump.hotspot import answers
from lastack.policy import vocabulary

AT = dt.datetime(2026, 11, 22, 10, 0, 0, tzinfo=dt.UTC)
DUMPS = {
    path.stem: path.read_text(encoding="utf-8")
    for path in (pathlib.Path(__file__).parent / "jvm").glob("*.txt")
}
APP = stacks.Frame("StallApi.backend", "StallApi.java", 41, application=True)
PARK = stacks.Frame("jdk.internal.misc.Unsafe.park", "Native Method", 0, application=False)
HIKARI = stacks.Frame(
    "com.zaxxer.hikari.pool.HikariPool.getConnection", "HikariPool.java", 181, application=False
)
LOCKING = stacks.Frame(
    "java.util.concurrent.locks.ReentrantLock.lock", "ReentrantLock.java", 322, application=False
)
PEER = "10.0.0.9:7000"
K = vocabulary.CauseKind


def thread(
    *frames: stacks.Frame,
    state: str | None = "RUNNABLE",
    wait: stacks.Wait | None = None,
    waits_for: stacks.Lock | None = None,
    holds: Sequence[str] = (),
    name: str = "exec-1",
) -> stacks.ThreadStack:
    """A thread that stands there."""
    return stacks.ThreadStack(
        1, 7, name, "exec-#", False, False, frames, state, waits_for, tuple(holds), wait
    )


LOCK = stacks.Lock("0x1", "java.util.concurrent.locks.ReentrantLock$NonfairSync")


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (
            thread(APP, wait=stacks.Wait("recvfrom", running=False, side="outbound", peer=PEER)),
            (K.DOWNSTREAM, f"reading from {PEER}", PEER),
        ),
        (
            thread(APP, wait=stacks.Wait("poll", running=False, side="outbound", peer=PEER)),
            (K.DOWNSTREAM, f"reading from {PEER}", PEER),
        ),
        (
            thread(APP, wait=stacks.Wait("connect", running=False, side="outbound", peer=PEER)),
            (K.DOWNSTREAM, f"connecting to {PEER}", PEER),
        ),
        (
            thread(APP, wait=stacks.Wait("read", running=False, side="outbound", peer=PEER, program="curl")),
            (K.DOWNSTREAM, f"waiting for a program that it runs (curl), which is reading from {PEER}", PEER),
        ),
        (
            thread(APP, wait=stacks.Wait("sendto", running=False, side="inbound", peer=PEER)),
            (K.CLIENT, "writing to a client", None),
        ),
        (thread(APP, wait=stacks.Wait(None, running=True)), (K.CPU, "running", None)),
        (
            thread(APP, state="BLOCKED", waits_for=LOCK, wait=stacks.Wait("futex", running=False)),
            (K.LOCK, "waiting for a lock (ReentrantLock) that main holds", None),
        ),
        (
            thread(PARK, LOCKING, APP, state="WAITING", wait=stacks.Wait("futex", running=False)),
            (K.LOCK, "waiting for a lock", None),
        ),
        (
            thread(PARK, HIKARI, APP, state="TIMED_WAITING", wait=stacks.Wait("futex", running=False)),
            (K.POOL, "waiting for a connection of a pool", None),
        ),
        (
            thread(APP, state=None, wait=stacks.Wait("futex", running=False)),
            (K.LOCK, "waiting for a lock", None),
        ),
        (
            thread(APP, state=None, wait=stacks.Wait("clock_nanosleep", running=False)),
            (K.UNKNOWN, "sleeping", None),
        ),
        (
            thread(PARK, APP, state="WAITING", wait=stacks.Wait("futex", running=False)),
            (K.UNKNOWN, None, None),
        ),
        (thread(APP), (K.UNKNOWN, None, None)),
    ],
)
def test_what_a_thread_waits_for(
    one: stacks.ThreadStack, expected: tuple[vocabulary.CauseKind, str | None, str | None]
) -> None:
    """From its frames, its locks and the kernel, whichever knows more."""
    owner = thread(APP, name="main", holds=["0x1"])
    found = meanings.of([one], [one, owner])
    assert expected == (found.cause, found.words, found.peer)


def test_threads_that_wait_for_several_things_have_no_common_meaning() -> None:
    """Half is not most."""
    reading = thread(APP, wait=stacks.Wait("read", running=False, side="outbound", peer=PEER))
    running = thread(APP, wait=stacks.Wait(None, running=True))
    assert meanings.UNKNOWN == meanings.of([reading, running], [reading, running])
    assert K.DOWNSTREAM is meanings.of([reading, reading, running], []).cause


@pytest.mark.parametrize("name", sorted(DUMPS))
def test_recorded_dumps_of_both_versions_say_the_same(name: str) -> None:
    """JDK 17 writes thread ids in hex, newer ones in decimals."""
    dump = answers.read(DUMPS[name].encode(), pid=1, parent=0, command="java", at=AT)
    found = groups.find([[dump]])
    assert found.text.startswith(
        "3 of 3 worker threads stand in Stall.waitForLock (Stall.java:5) waiting for a lock (Object) that main holds"
    )
    assert all(each.thread > 0 for each in dump.threads)


@settings(deadline=None)
@given(st.data())
def test_a_broken_dump_gives_what_it_still_has(data: st.DataObject) -> None:
    """Cut anywhere, lines doubled, lost and mixed from two dumps: no crash, and no thread that was in none."""
    lines = data.draw(st.sampled_from(sorted(DUMPS.values()))).splitlines()
    other = data.draw(st.sampled_from(sorted(DUMPS.values()))).splitlines()
    picked = data.draw(st.lists(st.integers(0, len(lines) + len(other) - 1), max_size=200))
    text = "\n".join((lines + other)[index] for index in picked)
    cut = data.draw(st.integers(0, max(0, len(text))))
    noise = data.draw(st.binary(max_size=20))
    dump = answers.read(text[:cut].encode() + noise, pid=1, parent=0, command="java", at=AT)
    names = {line.split('"')[1] for line in lines + other if line.startswith('"')}
    assert all(each.frames for each in dump.threads)
    assert {each.name for each in dump.threads if "\N{REPLACEMENT CHARACTER}" not in each.name} <= names
    groups.find([[dump]])


WAITING = """2026-11-22 22:44:54
Full thread dump OpenJDK 64-Bit Server VM (17.0.15+6 mixed mode):

"teller" #12 prio=5 os_prio=0 cpu=2.70ms elapsed=3.20s tid=0x00007f8294017ea0 nid=0xf41 in Object.wait()  [0x1]
   java.lang.Thread.State: WAITING (on object monitor)
\tat java.lang.Object.wait(java.base@17.0.15/Native Method)
\t- waiting on <0x000000069ec1a3f0> (a java.lang.Object)
\tat Shop.await(Shop.java:16)
\t- locked <0x000000069ec1a3f0> (a java.lang.Object)

"owner" #13 prio=5 os_prio=0 cpu=2.70ms elapsed=3.20s tid=0x00007f8294017ea1 nid=0xf42 runnable  [0x1]
   java.lang.Thread.State: RUNNABLE
\tat Shop.count(Shop.java:30)
\t- locked <0x000000069ec1a3f0> (a java.lang.Object)

JNI global refs: 9, weak refs: 0

"""


def test_who_waits_to_be_told_holds_no_lock() -> None:
    """Object.wait() lets go of it, though the dump lists it as locked."""
    dump = answers.read(WAITING.encode(), pid=1, parent=0, command="java", at=AT)
    assert [((), None), (("0x000000069ec1a3f0",), None)] == [
        (each.holds, each.waits_for) for each in dump.threads
    ]
