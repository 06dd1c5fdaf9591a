"""In which system call a thread stands, and for which one descriptor: as the kernel tells, stopping nobody."""

import contextlib
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from lastack.engine import samples
from lastack.kernel import blocked_calls
from tests import waiting
from tests.sensors import given

ME = os.getpid()


@contextlib.contextmanager
def _thread(work: Callable[[], object]) -> Iterator[int]:
    """A thread in a wait that ends when the test does; its id."""
    thread = threading.Thread(target=work)
    thread.start()
    assert thread.native_id is not None
    try:
        yield thread.native_id
    finally:
        thread.join()


def _stands(tid: int) -> blocked_calls.BlockedCall:
    """Where the thread stands once it does not run any more."""
    found = waiting.wait_until(
        lambda: blocked_calls.of_thread(ME, tid), within=given.SOON, what="a thread that sleeps"
    )
    assert isinstance(found, blocked_calls.BlockedCall), found
    return found


def _with_timeout(theirs: socket.socket) -> Callable[[], object]:
    theirs.settimeout(30)
    return lambda: theirs.recv(1)


def _poll(theirs: socket.socket) -> Callable[[], object]:
    poll = select.poll()
    poll.register(theirs, select.POLLIN)
    return lambda: poll.poll(30_000)


@pytest.mark.parametrize(
    ("waits", "calls"),
    [
        (lambda theirs: lambda: theirs.recv(1), {"recvfrom"}),
        (lambda theirs: lambda: theirs.recvmsg(1), {"recvmsg"}),
        (lambda theirs: lambda: os.read(theirs.fileno(), 1), {"read"}),
        (_with_timeout, {"poll"}),
        (_poll, {"poll"}),
        (lambda theirs: lambda: select.select([theirs], [], [], 30), {"select", "pselect6"}),
    ],
    ids=["recv", "recvmsg", "read", "recv with a time-out", "poll", "select"],
)
def test_a_thread_that_waits_for_one_descriptor_names_it(
    waits: Callable[[socket.socket], Callable[[], object]], calls: set[str]
) -> None:
    """Read straight, or through poll and select, whose descriptor stands in memory: as Java and Python do."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        # Descriptors beyond the first word of a bit field are found as well.
        wanted = os.dup2(theirs.fileno(), 200)
        with socket.socket(fileno=wanted) as far, _thread(waits(far)) as tid:
            found = _stands(tid)
            ours.send(b"x")
    assert (True, 200) == (found.name in calls, found.descriptor)


def test_who_waits_for_two_descriptors_waits_for_none_in_particular() -> None:
    """An event loop stands for nobody's request."""
    ours, theirs = socket.socketpair()
    with ours, theirs, _thread(lambda: select.select([theirs, ours], [], [], 30)) as tid:
        found = _stands(tid)
        ours.send(b"x")
    assert found.descriptor is None


def test_a_lock_is_a_futex_and_no_descriptor() -> None:
    """A thread that waits for another thread."""
    lock = threading.Lock()
    lock.acquire()
    with _thread(lock.acquire) as tid:
        found = _stands(tid)
        lock.release()
    assert ("futex", None) == (found.name, found.descriptor)


def test_a_thread_that_runs_stands_nowhere() -> None:
    """Running, or ready to run and waiting for a processor: the kernel does not tell the two apart."""
    over = threading.Event()

    def spin() -> None:
        while not over.is_set():
            sum(range(1000))

    deadline = time.monotonic() + given.SOON.total_seconds()
    with _thread(spin) as tid:
        # It stands in a futex now and then: the interpreter's own lock goes round.
        while (found := blocked_calls.of_thread(ME, tid)) is not None and time.monotonic() < deadline:
            pass
        over.set()
    assert found is None


def _memory(**places: bytes) -> blocked_calls.Memory:
    return lambda address, size: places.get(f"at{address}", b"")[:size] or None


POLLFD = struct.pack("=ihh", 7, 1, 0)
SET_OF_70 = struct.pack("<QQ", 0, 1 << 6)
SET_OF_3 = struct.pack("<QQ", 1 << 3, 0)


@pytest.mark.parametrize(
    ("text", "machine", "expected"),
    [
        ("running\n", "x86_64", None),
        ("0 0x5 0x7f 0x1 0x0 0x0 0x0 0x7ffd 0x7f12\n", "x86_64", (0, "read", 5)),
        ("63 0x5 0x7f 0x1 0x0 0x0 0x0 0x7ffd 0x7f12\n", "aarch64", (63, "read", 5)),
        ("0 0xffffffff00000005 0x7f 0x1 0x0 0x0 0x0 0x7ffd 0x7f12\n", "x86_64", (0, "read", 5)),
        ("202 0x7f0 0x80 0x2 0x0 0x0 0x0 0x1 0x2\n", "x86_64", (202, "futex", None)),
        ("98 0x7f0 0x80 0x2 0x0 0x0 0x0 0x1 0x2\n", "aarch64", (98, "futex", None)),
        ("202 0x4 0x0 0x0 0x0 0x0 0x0 0x1 0x2\n", "aarch64", (202, "accept", 4)),
        ("7 0x100 0x1 0x7530 0x0 0x0 0x0 0x1 0x2\n", "x86_64", (7, "poll", 7)),
        ("7 0x100 0x2 0x7530 0x0 0x0 0x0 0x1 0x2\n", "x86_64", (7, "poll", None)),
        ("7 0x999 0x1 0x7530 0x0 0x0 0x0 0x1 0x2\n", "x86_64", (7, "poll", None)),
        ("73 0x100 0x1 0x0 0x0 0x0 0x0 0x1 0x2\n", "aarch64", (73, "ppoll", 7)),
        ("23 0x47 0x200 0x0 0x0 0x0 0x0 0x1 0x2\n", "x86_64", (23, "select", 70)),
        ("72 0x47 0x0 0x200 0x0 0x0 0x0 0x1 0x2\n", "aarch64", (72, "pselect6", 70)),
        ("23 0x47 0x200 0x300 0x0 0x0 0x0 0x1 0x2\n", "x86_64", (23, "select", None)),
        ("23 0x46 0x200 0x300 0x0 0x0 0x0 0x1 0x2\n", "x86_64", (23, "select", 3)),
        ("23 0x0 0x0 0x0 0x0 0x0 0x0 0x1 0x2\n", "x86_64", (23, "select", None)),
        ("35 0x1 0x0 0x0 0x0 0x0 0x0 0x1 0x2\n", "x86_64", (35, "nanosleep", None)),
        ("999 0x1 0x0 0x0 0x0 0x0 0x0 0x1 0x2\n", "x86_64", (999, None, None)),
        ("-1 0x7ffd 0x7f12\n", "x86_64", (-1, None, None)),
    ],
)
def test_reads_the_system_call_line(
    text: str, machine: str, expected: tuple[int, str | None, int | None] | None
) -> None:
    """Numbers differ by machine; poll and select name a descriptor where it is the only one."""
    memory = _memory(at256=POLLFD, at512=SET_OF_70, at768=SET_OF_3)
    call = None if expected is None else blocked_calls.BlockedCall(*expected)
    assert call == blocked_calls.parse(text, machine, memory)


@pytest.mark.parametrize(
    ("text", "machine"),
    [("", "x86_64"), ("x y", "x86_64"), ("0", "x86_64"), ("7 0x1", "x86_64"), ("0 0x5", "riscv64")],
)
def test_an_unknown_system_call_line_is_missing(text: str, machine: str) -> None:
    """Another machine or another shape is said, not guessed."""
    assert isinstance(blocked_calls.parse(text, machine, _memory()), samples.Missing)


def test_a_64_bit_program_is_not_foreign() -> None:
    """This interpreter is not, and what cannot be read is not said to be."""
    assert (False, False) == (blocked_calls.is_foreign(ME), blocked_calls.is_foreign(4_194_400))
