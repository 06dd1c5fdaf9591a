"""Thread dumps of a CPython: how long one takes against py-spy alone, which is what reads it.

Ours asks py-spy without a stop; by itself it stops the process. Both are started in turn, of the same process.
"""

import contextlib
import datetime as dt
import functools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from benchmarks import measuring
from lastack.executors.thread_dump.cpython import py_spy

_THREADS = (50, 500, 2_000)
_MAX_PAUSE = dt.timedelta(milliseconds=500)
_PATIENT = """
import sys, threading

def wait_for_stock(lock):
    with lock:
        pass

threading.stack_size(256 * 1024)
lock = threading.Lock()
lock.acquire()
for _ in range(int(sys.argv[1])):
    threading.Thread(target=wait_for_stock, args=(lock,), daemon=True).start()
print("up", flush=True)
threading.Event().wait()
"""


def measure() -> list[measuring.Row]:
    """A row for each size; py-spy's own stop is not seen from here."""
    rows: list[measuring.Row] = []
    program = py_spy.find_program()
    for threads in _THREADS:
        with _running(threads) as pid:
            command = (str(program), "dump", "--pid", str(pid), "--json")
            ours, stopping = _walls(functools.partial(_ours, pid), functools.partial(_quietly, *command))
        rows.append(
            measuring.Row(
                "CPython dump, wall against py-spy", f"{threads:,} threads", ours, stopping, "ms", None
            )
        )
    return rows


@contextlib.contextmanager
def _running(threads: int) -> Iterator[int]:
    command = [sys.executable, "-c", _PATIENT, str(threads)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None or process.stdout.readline() != "up\n":
                raise RuntimeError("the Python program of the benchmark did not come up")
            yield process.pid
        finally:
            process.kill()


def _walls(*ways: Callable[[], object]) -> list[float]:
    """The median of each, in ms; in another order each time."""
    taken: list[list[float]] = [[] for _ in ways]
    for run in range(measuring.RUNS):
        for number in [(run + at) % len(ways) for at in range(len(ways))]:
            began = time.monotonic()
            ways[number]()
            taken[number].append((time.monotonic() - began) * 1000)
    return [statistics.median(each) for each in taken]


def _ours(pid: int) -> None:
    dumping = py_spy.Dumping(py_spy.find_program(), pid, _MAX_PAUSE)
    try:
        while dumping.wait(_MAX_PAUSE) is None:
            pass
    finally:
        dumping.close()


def _quietly(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
