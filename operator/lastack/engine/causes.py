"""What stuck code waits for, told without stopping it: from process states, control groups and where threads stand.

Called by engine.diagnoses for the diseases whose remedy depends on it. All of it is seen from outside, so that nothing
here is ever of more than low confidence: a thread dump can say better. The first that fits is the cause; what is done
to a process from outside comes before what it does itself.
"""

import collections
import dataclasses
import datetime as dt
import functools
from collections.abc import Callable, Sequence

from lastack.engine import findings, queues, samples, stands, thresholds
from lastack.policy import vocabulary

_Kind = vocabulary.CauseKind
_LOW = vocabulary.Confidence.LOW
RESTART_NEVER_HELPS: dict[vocabulary.CauseKind, str] = {
    _Kind.THROTTLED: "a new process would get the same share of the processor, and starting takes more",
    _Kind.MEMORY: "a new process would get the same memory, and has to read everything anew",
    _Kind.CLIENT: "the same slow clients would come again, and everybody else would lose the connection",
}
"""Whatever the policy says."""

_PROCESS_STATE, _CPU_TIME, _GROUP, _STANDS = "processState", "cpuTime", "cgroup", "threadStands"
_UNKILLABLE = "D"

Readings = Sequence[tuple[samples.ThreadStand, ...]]


def seek(window: samples.Window, finding: findings.Finding) -> findings.Cause | None:
    """The cause of a finding, `unknown` where none shows; None where none is sought."""
    if finding.code not in vocabulary.CAUSED:
        return None
    for look_for in _PRECEDENCE:
        cause = look_for(window)
        if cause is not None:
            return cause
    return findings.Cause(_Kind.UNKNOWN, None, _LOW)


def _stopped(window: samples.Window) -> findings.Cause | None:
    """Most workers were stopped by a signal, or by a tracer, in every look."""
    workers = _workers(window.last.owner)
    stopped = [
        pid for pid in workers if _always(window, pid, lambda process: process.state in samples.STOPPED)
    ]
    if 2 * len(stopped) <= len(workers):
        return None
    return findings.Cause(_Kind.STOPPED, _PROCESS_STATE, _LOW, stuck=len(stopped), of=len(workers))


def _throttled(window: samples.Window) -> findings.Cause | None:
    """The processor quota of the control group ran out in half of the periods of the window."""
    for first, last, _ in _groups(window):
        periods = _growth(first.periods, last.periods)
        stopped = _growth(first.throttled_periods, last.throttled_periods)
        if periods is None or stopped is None or periods < thresholds.CAUSE_LEAST_PERIODS:
            continue
        if stopped >= periods * thresholds.CAUSE_THROTTLED_SHARE:
            return findings.Cause(_Kind.THROTTLED, _GROUP, _LOW)
    return None


def _memory(window: samples.Window) -> findings.Cause | None:
    """Tasks of the group wait for memory for a large part of the time.

    Where the kernel does not tell that (PSI): the limit was hit in the window. A page cache also fills a group to its
    limit, so that with PSI the limit alone says nothing. A worker in D at the limit is reading its own pages again.
    """
    for first, last, span in _groups(window):
        if _is_pressed(first, last, span) or (_is_full(last) and _in_d(window)):
            return findings.Cause(_Kind.MEMORY, _GROUP, _LOW)
    return None


def _downstream(window: samples.Window) -> findings.Cause | None:
    """The workers wait for one server, on connections that their process made itself, in every look."""
    readings = _readings(window)
    peers = {stand.peer for stand in (readings[-1] if readings else ()) if _calls_out(stand)}
    held = {peer: _fewest(readings, functools.partial(_waits_for, peer)) for peer in peers}
    if not held:
        return None
    peer, stuck = max(held.items(), key=lambda pair: (pair[1].threads, pair[0] or ""))
    if not _decides(window, readings, stuck):
        return None
    return findings.Cause(
        _Kind.DOWNSTREAM, _STANDS, _LOW, peer=peer, stuck=stuck.threads, of=_on_sockets(readings[-1])
    )


def _client(window: samples.Window) -> findings.Cause | None:
    """The workers send to clients that do not read, in every look; or read from clients that say nothing."""
    readings = _readings(window)
    stuck = _fewest(readings, lambda stand: stand.side == "inbound" and stand.call in stands.SENDS)
    if not _decides(window, readings, stuck):
        stuck = _fewest(readings, _serves_alone)
        if queues.shallowest(window) < 1 or not _leads(window, readings, stuck):
            return None
    return findings.Cause(_Kind.CLIENT, _STANDS, _LOW, stuck=stuck.threads, of=_on_sockets(readings[-1]))


def _serves_alone(stand: samples.ThreadStand) -> bool:
    """The main thread of a process stands on a connection of a client: it serves nobody else meanwhile.

    Other threads that read from clients are what every pool has that keeps connections alive.
    """
    return stand.side == "inbound" and stand.thread == stand.pid and stand.call not in stands.RESTS


def _cpu(window: samples.Window) -> findings.Cause | None:
    """As many threads as there are workers never left the processor, or the workers used nearly one each."""
    workers = _workers(window.last.owner)
    readings = _readings(window)
    if len(readings) >= thresholds.CAUSE_READINGS and workers:
        running = [{(stand.pid, stand.thread) for stand in reading if stand.running} for reading in readings]
        busy = len(set.intersection(*running))
        if busy >= len(workers):
            return findings.Cause(_Kind.CPU, _STANDS, _LOW, stuck=busy, of=None)
    used = [_cpu_used(window, pid) for pid in workers]
    known = [each for each in used if each is not None]
    full = window.length >= thresholds.FULL_WINDOW and known and len(known) == len(used)
    if full and sum(known, dt.timedelta(0)) >= len(workers) * window.length * thresholds.CAUSE_CPU_SHARE:
        return findings.Cause(_Kind.CPU, _CPU_TIME, _LOW)
    return None


_PRECEDENCE: tuple[Callable[[samples.Window], findings.Cause | None], ...] = (
    _stopped,
    _throttled,
    _memory,
    _downstream,
    _client,
    _cpu,
)


@dataclasses.dataclass(frozen=True, slots=True)
class _Held:
    """Threads that something holds, and how many of them are the main threads of their processes."""

    threads: int
    main: int


def _fewest(readings: Readings, held: Callable[[samples.ThreadStand], bool]) -> _Held:
    """How many it holds at least, over all readings."""
    counts = [[stand for stand in reading if held(stand)] for reading in readings]
    return _Held(
        threads=min((len(those) for those in counts), default=0),
        main=min((sum(stand.thread == stand.pid for stand in those) for those in counts), default=0),
    )


def _decides(window: samples.Window, readings: Readings, held: _Held) -> bool:
    """Whether so many threads are the workers of the service.

    The main threads of half of its worker processes are (an event loop, a pre-forked worker). Other threads are when
    they are half of those that do anything at all; a few only when no others rest in a lock or an idle pool, which
    look alike from outside.
    """
    if not held.threads or len(readings) < 2:
        return False
    if _leads(window, readings, held):
        return True
    last = readings[-1]
    at_work = sum(1 for stand in last if _is_at_work(stand))
    others = at_work if held.threads >= thresholds.CAUSE_THREADS else len(last) - _resting(last)
    return held.threads >= others * thresholds.CAUSE_SHARE


def _leads(window: samples.Window, readings: Readings, held: _Held) -> bool:
    """Whether so many main threads are those of half of the worker processes."""
    workers = _workers(window.last.owner)
    return len(readings) >= 2 and held.main > 0 and held.main >= len(workers) * thresholds.CAUSE_SHARE


def _readings(window: samples.Window) -> list[tuple[samples.ThreadStand, ...]]:
    return [look.stands for look in window.looks if not isinstance(look.stands, samples.Missing)]


def _calls_out(stand: samples.ThreadStand) -> bool:
    return stand.side == "outbound" and not stand.running and stand.call not in stands.RESTS


def _waits_for(peer: str | None, stand: samples.ThreadStand) -> bool:
    return _calls_out(stand) and stand.peer == peer


def _is_at_work(stand: samples.ThreadStand) -> bool:
    return stand.running or _calls_out(stand) or (stand.side == "inbound" and stand.call in stands.SENDS)


def _resting(reading: tuple[samples.ThreadStand, ...]) -> int:
    return sum(1 for stand in reading if stand.call in stands.RESTS or stand.side == "listening")


def _on_sockets(reading: tuple[samples.ThreadStand, ...]) -> int:
    return sum(1 for stand in reading if stand.side in {"inbound", "outbound"})


def _workers(owner: samples.Owner) -> list[samples.Pid]:
    return [process.pid for process in owner.workers]


def _always(window: samples.Window, pid: samples.Pid, holds: Callable[[samples.ProcessSample], bool]) -> bool:
    return all(
        any(process.pid == pid and holds(process) for process in look.owner.processes)
        for look in window.looks
    )


def _in_d(window: samples.Window) -> bool:
    return any(
        _always(window, pid, lambda process: process.state == _UNKILLABLE)
        for pid in _workers(window.last.owner)
    )


def _groups(
    window: samples.Window,
) -> list[tuple[samples.GroupSample, samples.GroupSample, dt.timedelta]]:
    """The control group of each worker at the first and the last look that could read it, and the time between."""
    found = []
    for pid in _workers(window.last.owner):
        read = [
            (look.at, process.group)
            for look in window.looks
            for process in look.owner.processes
            if process.pid == pid and not isinstance(process.group, samples.Missing)
        ]
        if len(read) >= 2:
            found.append((read[0][1], read[-1][1], read[-1][0].since(read[0][0])))
    return list(collections.Counter(found))


def _growth(first: int | samples.Missing, last: int | samples.Missing) -> int | None:
    if isinstance(first, samples.Missing) or isinstance(last, samples.Missing):
        return None
    return max(0, last - first)


def _is_pressed(first: samples.GroupSample, last: samples.GroupSample, span: dt.timedelta) -> bool:
    stalled = _stalled(first, last)
    if stalled is None:
        return bool(_growth(first.memory_refused, last.memory_refused))
    return stalled >= span * thresholds.CAUSE_MEMORY_STALLED_SHARE


def _stalled(first: samples.GroupSample, last: samples.GroupSample) -> dt.timedelta | None:
    if isinstance(first.memory_stalled, samples.Missing) or isinstance(last.memory_stalled, samples.Missing):
        return None
    return last.memory_stalled - first.memory_stalled


def _is_full(group: samples.GroupSample) -> bool:
    memory, limit = group.memory, group.memory_limit
    if limit is None or isinstance(limit, samples.Missing) or isinstance(memory, samples.Missing):
        return False
    return memory >= limit * thresholds.CAUSE_MEMORY_FULL_SHARE


def _cpu_used(window: samples.Window, pid: samples.Pid) -> dt.timedelta | None:
    times = [
        process.cpu
        for look in (window.first, window.last)
        for process in look.owner.processes
        if process.pid == pid and not isinstance(process.cpu, samples.Missing)
    ]
    return times[1] - times[0] if len(times) == 2 else None
