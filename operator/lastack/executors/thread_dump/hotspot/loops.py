"""Whether a thread of a JVM may be in a loop that has no safepoint, which a thread dump would wait for. Pure look.

Called by `child` before anything is sent. All threads of a JVM stop until the last one has reached a safepoint,
and nobody can call that off: 5 to 10 s were measured for one counted loop compiled for the serial collector. With G1,
ZGC and Shenandoah (from JDK 10) such loops are cut into strips and have one.
"""

import collections
import contextlib
import os
import pathlib
import time

_LOOKS = 20
_LOOK_EVERY_SECONDS = 0.02
_MOST_PAUSES = 2
"""A loop that goes on for ever stops at its end too, where there is a safepoint, and begins anew."""
_FIRST_THREADS = 32
"""The threads of a collector are among the first of a JVM."""
_CUT_LOOPS = (b"G1 Main Marker", b"G1 Conc#", b"ZDriver", b"ZDirector", b"Shenandoah")
_OF_THE_JVM = (
    *(b"GC Thread", b"G1 ", b"VM Thread", b"VM Periodic", b"C1 Comp", b"C2 Comp", b"Sweeper", b"Gang worker"),
    *(b"ParGC", b"Concurrent", b"Service Thread", b"Signal Dispatch", b"Attach Listener", b"Monitor Deflati"),
)
"""They are no Java code: a safepoint does not wait for them."""


def running_without_pause(pid: int, *, uncut: bool) -> str | None:
    """The thread that ran nearly all the time while it was watched, where its loop may have no safepoint, or None.

    `uncut`: the JVM was told to leave loops whole, whatever its collector. Takes 0.4 s where there is
    a suspect.
    """
    threads = sorted(int(name) for name in _names(f"/proc/{pid}/task"))
    names = [_stat(pid, thread)[0] for thread in threads[:_FIRST_THREADS]]
    if not uncut and any(name.startswith(_CUT_LOOPS) for name in names):
        return None
    suspects = {thread for thread in threads if _runs(pid, thread)}
    time.sleep(_LOOK_EVERY_SECONDS)
    suspects |= {thread for thread in threads if _runs(pid, thread)}
    waited = {thread: _waits(pid, thread) for thread in suspects}
    seen: collections.Counter[int] = collections.Counter()
    for look in range(_LOOKS):
        suspects = {thread for thread in suspects if look - seen[thread] <= _MOST_PAUSES}
        if not suspects:
            return None
        time.sleep(_LOOK_EVERY_SECONDS)
        seen.update(thread for thread in suspects if _runs(pid, thread))
    for thread in sorted(suspects, key=lambda each: -seen[each]):
        # Where processors are scarce, who sleeps and wakes up is always found waiting for one.
        if _LOOKS - seen[thread] <= _MOST_PAUSES and _waits(pid, thread) - waited[thread] <= _MOST_PAUSES:
            return f"{_stat(pid, thread)[0].decode(errors='replace')} ({thread})"
    return None


def _waits(pid: int, thread: int) -> int:
    """How often it gave its processor away by itself."""
    count = (
        _read(f"/proc/{pid}/task/{thread}/status")
        .partition(b"\nvoluntary_ctxt_switches:")[2]
        .split(maxsplit=1)
    )
    return int(count[0]) if count else 0


def _runs(pid: int, thread: int) -> bool:
    """Whether it is on a processor, or waits for one, and may be Java code."""
    name, state = _stat(pid, thread)
    return state == b"R" and not name.startswith(_OF_THE_JVM)


def _stat(pid: int, thread: int) -> tuple[bytes, bytes]:
    """Name and state; empty when it has ended."""
    head, _, rest = _read(f"/proc/{pid}/task/{thread}/stat").rpartition(b") ")
    return head.partition(b"(")[2], rest[:1]


def _names(path: str) -> list[str]:
    with contextlib.suppress(OSError):
        return [each.name for each in pathlib.Path(path).iterdir()]
    return []


def _read(path: str) -> bytes:
    with contextlib.suppress(OSError):
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(file, 4096)
        finally:
            os.close(file)
    return b""
