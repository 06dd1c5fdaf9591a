"""What a series of dumps says, as a table; and what py-spy's JSON means."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json

import pytest

from lastack import errors
from lastack.executors.thread_dump import groups, stacks
from lastack.executors.thread_dump.cpython import answers

AT = dt.datetime(2026, 11, 22, 10, 0, 0, tzinfo=dt.UTC)
STALL = ("stall", "/srv/app.py", 31)
HANDLER = ("handler", "/srv/app.py", 40)
OTHER = ("render", "/srv/app.py", 77)
RUN = ("Thread.run", "/usr/lib/python3.11/threading.py", 975)
GET = ("Queue.get", "/usr/lib/python3.11/queue.py", 171)
IDLE = ("_worker", "/usr/lib/python3.11/concurrent/futures/thread.py", 81)
SELECT = ("EpollSelector.select", "/usr/lib/python3.11/selectors.py", 468)
SERVE = ("BaseServer.serve_forever", "/usr/lib/python3.11/socketserver.py", 233)
MODULE = ("<module>", "/srv/app.py", 99)
SYNC_WAIT = ("SyncWorker.wait", "/venv/lib/python3.11/site-packages/gunicorn/workers/sync.py", 35)
SYNC_LOOP = ("SyncWorker.run_for_one", "/venv/lib/python3.11/site-packages/gunicorn/workers/sync.py", 81)
ARBITER = ("Arbiter.sleep", "/venv/lib/python3.11/site-packages/gunicorn/arbiter.py", 1)
SCRIPT = ("<module>", "/venv/bin/gunicorn", 8)

Calls = tuple[tuple[str, str, int], ...]


def said(threads: dict[str, Calls], pid: int = 1) -> bytes:
    """What py-spy would say of these threads; MainThread is the main one."""
    return json.dumps(
        [
            {
                "pid": pid,
                "thread_id": 100 + number,
                "os_thread_id": pid if name == "MainThread" else pid * 100 + number,
                "thread_name": name,
                "active": False,
                "owns_gil": False,
                "frames": [
                    {"name": function, "filename": file, "short_filename": file.split("/")[-1], "line": line}
                    for function, file, line in calls
                ],
            }
            for number, (name, calls) in enumerate(threads.items())
        ]
    ).encode()


def dump(threads: dict[str, Calls], *, pid: int = 1, parent: int = 0, seconds: int = 0) -> stacks.ProcessDump:
    """One process at one instant."""
    at = AT + dt.timedelta(seconds=seconds)
    return answers.read(said(threads, pid), pid=pid, parent=parent, command="python3", at=at)


FOUR = {f"w{number}": (STALL, HANDLER, RUN) for number in range(4)}
ACCEPTING = {"MainThread": (SELECT, SERVE, MODULE)}


@pytest.mark.parametrize(
    ("rounds", "text"),
    [
        (
            [FOUR | ACCEPTING] * 3,
            "4 of 4 worker threads stand in stall (app.py:31), unchanged in 3 dumps over 10 s",
        ),
        (
            [FOUR | {"w3": (OTHER, HANDLER, RUN)}, FOUR],
            "3 of 4 worker threads stand in stall (app.py:31), unchanged in 2 dumps over 5 s",
        ),
        (
            [FOUR],
            "4 of 4 worker threads stand in stall (app.py:31), in one dump, which cannot tell slow from stuck",
        ),
        (
            [{"p0": (STALL, IDLE, RUN), "p1": (GET, IDLE, RUN)}] * 2,
            "1 of 2 worker threads stands in stall (app.py:31), unchanged in 2 dumps over 5 s",
        ),
        (
            [{"MainThread": (STALL, MODULE)}] * 2,
            "1 of 1 worker processes stands in stall (app.py:31), unchanged in 2 dumps over 5 s",
        ),
        (
            [{"MainThread": (GET, STALL, MODULE)}] * 2,
            "1 of 1 worker processes stands in stall (app.py:31), unchanged in 2 dumps over 5 s",
        ),
        (
            [{"w0": (STALL, HANDLER, RUN)}, {"w0": (OTHER, HANDLER, RUN)}],
            "none of 1 thread stands still outside of waiting for work (2 dumps over 5 s)",
        ),
        (
            [ACCEPTING | {"p0": (GET, IDLE, RUN)}] * 2,
            "none of 2 threads stands still outside of waiting for work (2 dumps over 5 s)",
        ),
    ],
    ids=["all", "one-moves", "one-dump", "idle-pool", "main", "in-the-library", "all-move", "healthy"],
)
def test_the_sentence_counts_what_stands_still(rounds: list[dict[str, Calls]], text: str) -> None:
    """How many of how many that do the same work, at which frame of the application."""
    series = [[dump(threads, seconds=5 * number)] for number, threads in enumerate(rounds)]
    assert text == groups.find(series).text


def test_a_master_is_not_counted_among_its_workers() -> None:
    """It looks after them; an idle worker is one of them."""
    master = dump({"MainThread": (ARBITER, SCRIPT)}, pid=1)
    stuck = dump({"MainThread": (STALL, SYNC_LOOP, SCRIPT)}, pid=2, parent=1)
    idle = dump({"MainThread": (SELECT, SYNC_WAIT, SYNC_LOOP, SCRIPT)}, pid=3, parent=1)
    found = groups.find([[master, stuck, idle]] * 2)
    assert (1, 2, "stall (app.py:31)") == (found.stuck, found.of, str(found.frame))
    assert [False, True, True] == [group.sample.waits_for_work for group in found.groups]


def test_without_application_code_the_innermost_frame_is_named() -> None:
    """A library that hangs is a finding too."""
    hang = ("recv", "/venv/lib/python3.11/site-packages/driver/wire.py", 5)
    found = groups.find([[dump({"w0": (hang, RUN), "w1": (hang, RUN)})]] * 2)
    assert "recv (wire.py:5)" == str(found.frame)


def test_a_listing_is_bounded() -> None:
    """A ledger entry holds the largest stacks and says what is left out."""
    many: dict[str, Calls] = {
        f"w{number}": ((f"f{number}", "/srv/app.py", number), *((STALL,) * 20)) for number in range(9)
    }
    text = groups.listing(groups.find([[dump(many)]]))
    assert groups.MOST_GROUPS == text.count("1 thread, idle: ")
    assert "    ... 13 more" in text
    assert text.endswith("... and 4 more stacks")


def test_names_from_the_process_reach_no_terminal_unescaped() -> None:
    """Functions and threads may be named by an attacker."""
    found = groups.find([[dump({"w\x1b[2J": (("f\x1b]0;x\x07", "/srv/a\n.py", 1),)})]])
    text = found.text + groups.listing(found).replace("\n", "")
    assert text.isprintable()


@pytest.mark.parametrize(
    "raw", [b"", b"{}x", b"null", b'[{"frames": 1}]', b'[{"frames": [{"name": "f"}]}]', b"[1]"]
)
def test_another_shape_is_an_error_that_says_so(raw: bytes) -> None:
    """Never a series without threads."""
    with pytest.raises(errors.Unsupported, match="the answer of py-spy is not understood"):
        answers.read(raw, pid=1, parent=0, command="python3", at=AT)


def running(*frames: stacks.Frame) -> stacks.ThreadStack:
    """A thread that computes."""
    return stacks.ThreadStack(1, 1, "w0", "w#", True, False, frames)


def round_of(*threads: stacks.ThreadStack) -> list[stacks.ProcessDump]:
    """One dump of a process with these threads."""
    return [stacks.ProcessDump(1, 0, "served", AT, threads, b"")]


def test_a_loop_that_computes_stands_still_though_its_line_changes() -> None:
    """It is at another line of the same function in each dump; one that sleeps there meanwhile does not."""
    outer = stacks.Frame("handler", "app.py", 40, application=True)
    lines = [stacks.Frame("compute", "app.py", line, application=True) for line in (7, 9)]
    rounds = [round_of(running(line, outer)) for line in lines]
    assert groups.find(rounds).text.startswith(
        "1 of 1 worker threads stands in compute (app.py:9), unchanged in 2"
    )
    sleeping = [round_of(dataclasses.replace(running(line, outer), active=False)) for line in lines]
    assert groups.find(sleeping).frame is None


def test_one_lock_is_one_place_whatever_its_line() -> None:
    """A compiled frame of a JVM may be a line before an interpreted one, at the same lock."""
    lock = stacks.Lock("0x1", "java.lang.Object")
    threads = [
        stacks.ThreadStack(
            *(1, number, f"exec-{number}", "exec-#", False, False),
            (stacks.Frame("Shop.buy", "Shop.java", line, application=True),),
            state="BLOCKED",
            waits_for=lock,
        )
        for number, line in enumerate([41, 41, 42])
    ]
    found = groups.find([round_of(*threads)])
    assert (3, 3, "Shop.buy (Shop.java:41)") == (found.stuck, found.of, str(found.frame))


def test_of_two_places_the_one_that_computes_is_named() -> None:
    """One thread each: a poller that sleeps is there in every service."""
    sleeping = stacks.ThreadStack(
        1, 2, "poller", "poller", False, False, (stacks.Frame("a_poller", "app.py", 1, application=True),)
    )
    loop = running(stacks.Frame("loop", "app.py", 2, application=True))
    assert "loop (app.py:2)" == str(groups.find([round_of(sleeping, loop)]).frame)


def test_dumps_that_were_read_in_another_way_are_not_compared() -> None:
    """A JVM that could not be asked at first moved in none of the dumps that can be compared."""
    stuck = round_of(running(stacks.Frame("loop", "app.py", 2, application=True)))
    by_kernel = round_of(running(stacks.Frame("code of its own", "", 0, application=False)))
    asked = [
        dataclasses.replace(stuck[0], suffix="txt", at=AT + dt.timedelta(seconds=5 * number))
        for number in (1, 2)
    ]
    found = groups.find([by_kernel, [asked[0]], [asked[1]]])
    assert "1 of 1 worker threads stands in loop (app.py:2), unchanged in 2 dumps over 5 s" == found.text
