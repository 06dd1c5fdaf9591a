"""What a week of looks leaves in memory: windows, slopes and forecasts of a service that leaks, on simulated time.

Every five seconds there is a look at a listener with held sockets, the open files grow and shrink, and now and then
the service is started anew. After a week the memory must be what it was after a day.
"""

import datetime as dt
import pathlib
import pickle
import time
from array import array

from benchmarks import measuring
from lastack.engine import instants, samples, signals, windows

_EVERY = dt.timedelta(seconds=5)
_DAYS = 7
_ROWS = 200
_RESTARTED_EVERY = dt.timedelta(hours=31)
_LOOKS_A_DAY = dt.timedelta(days=1) // _EVERY
_MEASURED_EVERY = 12
_GOAL = 1.05
_EPOCH = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def measure() -> list[measuring.Row]:
    """Bytes of all windows, and of the whole process, after a week against a day; what a look costs."""
    kept: windows.Windows = {}
    clients: windows.ClientWindows = {}
    sizes, footprints = [], []
    spent = time.process_time()
    for day in range(1, _DAYS + 1):
        for number in range((day - 1) * _LOOKS_A_DAY, day * _LOOKS_A_DAY):
            kept, clients = _step(number, kept, clients)
        sizes.append(len(pickle.dumps((kept, clients))) / 1024)
        footprints.append(_pss_kib() / 1024)
    each = (time.process_time() - spent) * 1000 / (_DAYS * _LOOKS_A_DAY)
    return [
        measuring.Row("windows after a week, to a day", "a look every 5 s", sizes[-1], sizes[0], "KB", _GOAL),
        measuring.Row("the process, PSS", "a look every 5 s", footprints[-1], footprints[0], "MB", _GOAL),
        measuring.Row("one look kept", "CPU", each, 1.0, "ms", None),
    ]


def _step(
    number: int, kept: windows.Windows, clients: windows.ClientWindows
) -> tuple[windows.Windows, windows.ClientWindows]:
    """One look later; now and then its signals are asked for, which leave nothing behind."""
    passed = number * _EVERY
    at = instants.Now(_EPOCH + passed, passed, "boot")
    life, age = divmod(passed, _RESTARTED_EVERY)
    process = _process(life * _RESTARTED_EVERY, age)
    namespace = samples.NamespaceSample(1, {"ListenDrops": number, "PassiveOpens": number * 3}, {})
    look = samples.Look(at, _listener(life, age), samples.Owner(process.pid, (process,)), namespace)
    rows = _rows(_ROWS, age)
    outbound = samples.OutboundLook(at, process, rows, ("192.0.2.1:80",), array("I", [0] * _ROWS), namespace)
    kept = windows.extend(kept, (look,))
    clients = windows.extend_clients(clients, (outbound,))
    if number % _MEASURED_EVERY == 0:
        for window in kept.values():
            signals.measure(window)
    return kept, clients


def _process(started: dt.timedelta, age: dt.timedelta) -> samples.ProcessSample:
    """Its open files grow by one a minute, with a saw of a garbage collector on top."""
    minutes = age // dt.timedelta(minutes=1)
    return samples.ProcessSample(
        pid=samples.Pid(4711),
        parent=None,
        command="service",
        started=started,
        open_files=100 + minutes + minutes % 17,
        open_files_limit=65_536,
        threads=50 + minutes % 5,
        outbound=_ROWS,
    )


def _listener(life: int, age: dt.timedelta) -> samples.ListenerSample:
    return samples.ListenerSample(
        address=samples.ListenerAddress("*", 8080, "inet6"),
        cookie=1 + life,
        depth=0,
        limit=100,
        drops=0,
        queued=samples.QueuedRows(array("Q"), array("I")),
        close_wait=_rows(_ROWS, age),
        vanished_open=0,
        established=samples.Missing("not looked at"),
        syn_received=0,
        reuseport=False,
        peers=(samples.PeerCount("192.0.2.7", _ROWS),),
        peers_omitted=0,
    )


def _rows(amount: int, age: dt.timedelta) -> samples.CloseWaitRows:
    """Sockets that nobody closes: the first has the age of the service."""
    oldest = age // dt.timedelta(milliseconds=1)
    ages = array("I", [oldest * (amount - index) // amount for index in range(amount)])
    numbers = range(1, amount + 1)
    return samples.CloseWaitRows(
        cookies=array("Q", numbers),
        inodes=array("I", numbers),
        unread=array("I", [0] * amount),
        ages_ms=ages,
        sent_ms=ages,
    )


def _pss_kib() -> int:
    """The proportional share of memory of this process, from the kernel."""
    rollup = pathlib.Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
