"""Thread dumps of a JVM: how long one takes and stops it, against jattach and jstack; and what reading it costs.

The stop is the JVM's own safepoint, as its log tells it. All are asked in turn, of the same JVM. One that runs as
another user is asked by a child that becomes that user, which costs a fork; jattach becomes it, too.
"""

import contextlib
import dataclasses
import datetime as dt
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator

from benchmarks import measuring
from lastack.executors.thread_dump import groups
from lastack.executors.thread_dump.hotspot import answers, attach

_SOURCE = measuring.ROOT / "tests" / "executors" / "jvm" / "Patient.java"
_THREADS = (50, 500, 2_000)
_AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
_GOAL_WALL = 1.5
_GOAL_STOP = 1.1
"""The same operation of the JVM on both sides: what is above 1 is the noise of the machine."""
_GOAL_READING_MS = 300.0
_STOP = re.compile(r'Safepoint "PrintThreads".*Total:\s*(\d+) ns')


def measure() -> list[measuring.Row]:
    """Three rows a size, and the cost of reading the largest."""
    rows: list[measuring.Row] = []
    with tempfile.TemporaryDirectory() as folder:
        classes = pathlib.Path(folder)
        classes.chmod(0o777)  # the other user writes its log there
        subprocess.run([_program("javac"), "-d", classes, _SOURCE], check=True)
        for threads in _THREADS:
            with _running(classes, threads) as (pid, log):
                rows += _one_size(pid, log, threads)
                if threads == _THREADS[-1]:
                    rows.append(_reading(pid, threads))
        with _running(classes, _THREADS[0], around=_AS_NOBODY) as (pid, log):
            wall, _, _ = _one_size(pid, log, _THREADS[0])
            rows.append(dataclasses.replace(wall, cell=f"{wall.cell}, another user", goal=None))
    return rows


@contextlib.contextmanager
def _running(
    classes: pathlib.Path, threads: int, around: tuple[str, ...] = ()
) -> Iterator[tuple[int, pathlib.Path]]:
    log = classes / f"safepoints-{threads}{'-other' if around else ''}.log"
    command = [
        *around,
        "java",
        "-Xmx256m",
        "-Xss256k",
        f"-Xlog:safepoint=info:file={log}",
        "-cp",
        str(classes),
        "Patient",
    ]
    with subprocess.Popen([*command, str(threads)], stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None or process.stdout.readline() != "up\n":
                raise RuntimeError("the JVM of the benchmark did not come up")
            yield process.pid, log
        finally:
            process.kill()


def _one_size(pid: int, log: pathlib.Path, threads: int) -> list[measuring.Row]:
    ways: dict[str, Callable[[], object]] = {
        "ours": lambda: _ours(pid),
        "jattach": lambda: _quietly(_program("jattach"), str(pid), "threaddump", "-l"),
        "jstack": lambda: _quietly(_program("jstack"), "-l", str(pid)),
    }
    walls: dict[str, list[float]] = {name: [] for name in ways}
    stops: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()  # the first one makes the JVM open its socket
    for run in range(measuring.RUNS):
        # In another order each time: whoever follows jstack, a JVM of its own, finds cold caches.
        for name, way in [*ways.items(), *ways.items()][run % len(ways) :][: len(ways)]:
            seen = len(_stops(log))
            began = time.monotonic()
            way()
            walls[name].append((time.monotonic() - began) * 1000)
            stops[name].append(sum(_stops(log)[seen:]) / 1e6)
    wall, stop = (
        {name: statistics.median(values) for name, values in each.items()} for each in (walls, stops)
    )
    cell = f"{threads:,} threads"
    return [
        measuring.Row(
            "JVM dump, wall against jattach", cell, wall["ours"], wall["jattach"], "ms", _GOAL_WALL
        ),
        measuring.Row("JVM dump, wall against jstack", cell, wall["ours"], wall["jstack"], "ms", None),
        measuring.Row(
            "JVM dump, stop against jattach", cell, stop["ours"], stop["jattach"], "ms", _GOAL_STOP
        ),
    ]


def _reading(pid: int, threads: int) -> measuring.Row:
    raw = _ours(pid)
    before = time.process_time()
    dump = answers.read(raw, pid=pid, parent=0, command="java", at=dt.datetime.now(dt.UTC))
    groups.find([[dump]])
    spent = (time.process_time() - before) * 1000
    return measuring.Row(
        "JVM dump, CPU of reading it", f"{threads:,} threads", spent, _GOAL_READING_MS, "ms", 1.0
    )


def _ours(pid: int) -> bytes:
    now = dt.timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME)) + attach.YOUNG
    asking = attach.Asking(pid, now)
    try:
        while (raw := asking.wait(attach.WITHIN)) is None:
            pass
    finally:
        asking.close()
    return raw


def _quietly(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is not installed: apt-get install jattach openjdk-17-jdk-headless")
    return found


def _stops(log: pathlib.Path) -> list[int]:
    return [int(found) for found in _STOP.findall(log.read_text(encoding="utf-8"))]
