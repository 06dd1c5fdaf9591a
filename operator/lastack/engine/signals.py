"""From a window of looks to named numbers, each known or Missing(why). Called by engine.diagnoses."""

import itertools
from collections.abc import Callable

from lastack.engine import findings, gauges, samples, stands
from lastack.policy import vocabulary

_Name = vocabulary.SignalName
_ONE_LOOK = samples.Missing("one look has no rate", "watch for longer than 0 s")


def measure(window: samples.Window) -> findings.Signals:
    """Measure every signal of one listener and owner; ages in seconds, rates per second."""
    look = window.last
    listener, process = look.listener, look.owner.fullest
    rows, queued = listener.close_wait, listener.queued
    unread = sum(1 for size in rows.unread if size > 0)
    waiting = queued if isinstance(queued, samples.Missing) else queued.close_wait
    seen = 0 if isinstance(waiting, samples.Missing) else waiting
    no_owner = look.owner.missing or samples.Missing("no owner of this listener can be seen")
    files = process.open_files if process else no_owner
    files_limit = process.open_files_limit if process else no_owner
    measured: dict[vocabulary.SignalName, findings.SignalValue] = {
        _Name.CLOSE_WAIT_TOTAL: len(rows.cookies) + seen,
        _Name.CLOSE_WAIT_QUEUED: waiting,
        _Name.CLOSE_WAIT_UNREAD: unread,
        _Name.CLOSE_WAIT_HELD: len(rows.cookies) - unread,
        _Name.CLOSE_WAIT_OUTBOUND: _total([p.outbound for p in look.owner.processes], no_owner),
        _Name.CLOSE_WAIT_OLDEST: _oldest_close_wait(listener),
        _Name.ACCEPT_QUEUE_DEPTH: listener.depth,
        _Name.ACCEPT_QUEUE_PEAK: _peak(window),
        _Name.ACCEPT_QUEUE_LIMIT: listener.limit,
        _Name.ACCEPT_QUEUE_FILL: _share(listener.depth, listener.limit),
        _Name.ACCEPT_QUEUE_HEAD_AGE: head_age(listener),
        _Name.ACCEPT_PROGRESS: _accept_progress(window),
        _Name.LISTEN_DROP_RATE: drop_rate(window),
        _Name.SYN_QUEUE_DEPTH: listener.syn_received,
        _Name.ESTABLISHED: listener.established,
        _Name.OPEN_FILES_COUNT: files,
        _Name.OPEN_FILES_LIMIT: files_limit,
        _Name.OPEN_FILES_FILL: _share(files, files_limit),
        _Name.THREADS: _total([p.threads for p in look.owner.processes], no_owner),
    }
    if process and process.dead != samples.NOT_WALKED:
        measured[_Name.OPEN_FILES_DEAD] = process.dead
    stuck = _workers_stuck(window)
    if stuck is not None:
        measured[_Name.WORKERS_STUCK] = stuck
    return {**measured, **_ambient(window), **gauges.forecasts(window.trend_of, measured)}


def measure_outbound(window: samples.OutboundWindow) -> findings.Signals:
    """Measure the signals of the connections that one process made itself; ages in seconds."""
    look = window.last
    files, files_limit = look.process.open_files, look.process.open_files_limit
    measured: dict[vocabulary.SignalName, findings.SignalValue] = {
        _Name.CLOSE_WAIT_OUTBOUND: len(look.rows.cookies),
        _Name.CLOSE_WAIT_OLDEST: max(look.rows.ages_ms, default=0) / 1000,
        _Name.OPEN_FILES_COUNT: files,
        _Name.OPEN_FILES_LIMIT: files_limit,
        _Name.OPEN_FILES_FILL: _share(files, files_limit),
    }
    if look.process.dead != samples.NOT_WALKED:
        measured[_Name.OPEN_FILES_DEAD] = look.process.dead
    return {**measured, **gauges.forecasts(window.trend_of, measured)}


def known(value: findings.SignalValue | None) -> float | None:
    """The number, or None where it is missing."""
    return None if value is None or isinstance(value, samples.Missing) else value


def drop_rate(window: samples.Window) -> float | samples.Missing:
    """Connection attempts of this listener that the kernel dropped, per second.

    sk_drops also counts stray segments (resets without a connection, repeated SYNs), ListenDrops of the namespace
    does not: the smaller growth of the two is what this listener can have refused.
    """
    if not window.length:
        return _ONE_LOOK
    own = growth(window, lambda look: look.listener.drops)
    if isinstance(own, samples.Missing):
        return own
    ambient = counter_growth(window, "ListenDrops")
    refused = own if isinstance(ambient, samples.Missing) else min(own, ambient)
    return refused / window.length.total_seconds()


def counter_growth(window: samples.Window, name: str) -> int | samples.Missing:
    """By how much a counter of the namespace grew; ambient, never of one listener."""

    def read(look: samples.Look) -> int | samples.Missing:
        counters = look.namespace.counters
        if isinstance(counters, samples.Missing):
            return counters
        return counters[name] if name in counters else samples.Missing(f"this kernel does not count {name}")

    return growth(window, read)


def growth(
    window: samples.Window, read: Callable[[samples.Look], int | samples.Missing]
) -> int | samples.Missing:
    """By how much a count grew from the first look to the last; Missing where it went backwards."""
    if len(window.looks) < 2:
        return _ONE_LOOK
    first, last = read(window.first), read(window.last)
    if isinstance(first, samples.Missing):
        return first
    if isinstance(last, samples.Missing):
        return last
    if last < first:
        return samples.Missing("a counter went backwards: the socket or its namespace was made anew")
    return last - first


def _accept_progress(window: samples.Window) -> int | samples.Missing:
    """How many waiting connections the application took out of the queue, as far as rows prove it.

    A row that was un-accepted and is not any more was accepted, or was reset by its client; a reset leaves its slot
    in the queue taken, so vanished rows count only beyond the growth of slots without a row.
    """
    if len(window.looks) < 2:
        return _ONE_LOOK
    progress = 0
    for earlier, later in itertools.pairwise(window.looks):
        before, after = earlier.listener.queued, later.listener.queued
        if isinstance(before, samples.Missing):
            return before
        if isinstance(after, samples.Missing):
            return after
        gone = len(set(before.cookies).difference(after.cookies))
        ghosts = (later.listener.depth - len(after.cookies)) - (earlier.listener.depth - len(before.cookies))
        progress += max(0, gone - max(0, ghosts))
    return progress


def head_age(listener: samples.ListenerSample) -> float | samples.Missing:
    """How long the first in the queue has waited, in seconds; 0 when nobody does."""
    if isinstance(listener.queued, samples.Missing):
        return listener.queued
    if listener.queued.ages_ms:
        return max(listener.queued.ages_ms) / 1000
    if listener.depth == 0:
        return 0.0
    return samples.Missing("only slots of connections that their clients reset are left in the queue")


def _ambient(window: samples.Window) -> dict[vocabulary.SignalName, findings.SignalValue]:
    """Rates of the namespace; the accept rate only where this listener is the only one that can have caused it."""
    return {
        _Name.ACCEPT_RATE: _accept_rate(window),
        _Name.LISTEN_OVERFLOW_RATE: _per_second(window, counter_growth(window, "ListenOverflows")),
        _Name.SYN_COOKIES_RATE: _per_second(window, counter_growth(window, "SyncookiesSent")),
    }


def _accept_rate(window: samples.Window) -> float | samples.Missing:
    """Finished handshakes less those that are still in the queue: accepted, or given up by their clients."""
    for look in (window.first, window.last):
        others = look.namespace.listeners
        if isinstance(others, samples.Missing):
            return others
        if others > 1:
            return samples.Missing(
                f"{others} listeners share the counters of this network namespace", inherent=True
            )
    finished = counter_growth(window, "PassiveOpens")
    if isinstance(finished, samples.Missing):
        return finished
    taken = finished - (window.last.listener.depth - window.first.listener.depth)
    return _per_second(window, max(0, taken))


def _per_second(window: samples.Window, count: int | samples.Missing) -> float | samples.Missing:
    if isinstance(count, samples.Missing):
        return count
    return count / window.length.total_seconds() if window.length else _ONE_LOOK


def _peak(window: samples.Window) -> int:
    """The largest depth of the window; what was glimpsed before its first look is not of it."""
    between = [look.listener.peak or 0 for look in window.looks[1:]]
    return max(*(look.listener.depth for look in window.looks), *between, 0)


def _workers_stuck(window: samples.Window) -> int | samples.Missing | None:
    """Threads of the owner that do not move while somebody waits: 0 when nobody did, None where none was looked at."""
    if not all(stands.is_waited_for(look) for look in window.looks):
        return 0
    found = stands.standing(window)
    if isinstance(found, samples.Missing):
        return None if found == samples.NOTHING_WAITS else found
    return sum(group.threads for group in stands.groups(found.threads))


def _oldest_close_wait(listener: samples.ListenerSample) -> float:
    queued = listener.queued
    waiting = 0 if isinstance(queued, samples.Missing) else queued.oldest_fin_ms
    return max(max(listener.close_wait.ages_ms, default=0), waiting) / 1000


def _total(values: list[int | samples.Missing], nobody: samples.Missing) -> int | samples.Missing:
    missing = next((value for value in values if isinstance(value, samples.Missing)), None)
    if missing is not None:
        return missing
    return sum(value for value in values if not isinstance(value, samples.Missing)) if values else nobody


def _share(part: int | samples.Missing, whole: int | samples.Missing) -> float | samples.Missing:
    if isinstance(part, samples.Missing):
        return part
    if isinstance(whole, samples.Missing):
        return whole
    return part / whole if whole > 0 else samples.Missing("the limit is 0")
