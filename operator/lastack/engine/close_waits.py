"""What became of the accepted CLOSE_WAIT rows in a window: which stayed, ended, or are still sent on. Pure.

Called by engine.stands and by the diagnoses of handlers that do not end and of connections that are not closed.
"""

import dataclasses

from lastack.engine import samples, thresholds

_OLD_MS = int(thresholds.HANDLER_AGE.total_seconds() * 1000)
_SETTLED_MS = int(thresholds.CLOSE_SETTLED.total_seconds() * 1000)
_FORGOTTEN_MS = int(thresholds.FORGOTTEN_AGE.total_seconds() * 1000)
_SKEW_MS = int(thresholds.LOOK_SKEW.total_seconds() * 1000)
_SENDS_MS = int(thresholds.STILL_SENDS.total_seconds() * 1000)


@dataclasses.dataclass(frozen=True, slots=True)
class Course:
    """What became of the rows that are old, 30 s or more after their FIN.

    `unread` and `held` are the ages in seconds of those that stood the whole window, by class. `ended_old` have been
    closed or read at such an age, `ended_young` at a smaller one.
    """

    unread: tuple[float, ...]
    held: tuple[float, ...]
    ended_old: int
    ended_young: int


def old(look: samples.Look) -> int:
    """How many accepted rows have been waiting since a FIN 30 s ago or longer."""
    return sum(map(_OLD_MS.__le__, look.listener.close_wait.ages_ms))


def follow(window: samples.Window) -> Course:
    """Follow the rows of each look to the last one; with one look nothing has stayed and nothing has ended."""
    last = window.last.listener.close_wait
    at_last = {cookie: index for index, cookie in enumerate(last.cookies)}
    unread: list[float] = []
    held: list[float] = []
    ended_old = ended_young = 0
    followed: set[int] = set()
    # From the newest look to the oldest: a row counts once, with the age at which it was seen last.
    for position in range(len(window.looks) - 2, -1, -1):
        look = window.looks[position]
        # Gone before the look after: then it was at most so much older.
        more_ms = int(window.looks[position + 1].at.since(look.at).total_seconds() * 1000)
        rows = look.listener.close_wait
        for cookie, size, age in zip(rows.cookies, rows.unread, rows.ages_ms, strict=True):
            index = at_last.get(cookie)
            if index is None or last.unread[index] < size:
                if cookie not in followed:
                    followed.add(cookie)
                    ended_old += age + more_ms >= _OLD_MS
                    ended_young += age + more_ms < _OLD_MS
            elif position == 0 and cookie not in followed and last.ages_ms[index] >= _OLD_MS:
                (unread if size > 0 else held).append(last.ages_ms[index] / 1000)
    return Course(tuple(unread), tuple(held), max(0, ended_old - vanished_open(window)), ended_young)


def vanished_open(window: samples.Window) -> int:
    """Rows that went in the window while their descriptor stayed open, as far as it could be seen."""
    counts = [look.listener.vanished_open for look in window.looks[1:]]
    return sum(count for count in counts if not isinstance(count, samples.Missing))


def held_ages(window: samples.Window, look: samples.Look) -> list[float]:
    """The ages in seconds of the rows of a look whose end was read, less those that are known to be sent on still."""
    rows, sending = look.listener.close_wait, still_sending(window)
    return [
        age / 1000
        for cookie, age, unread in zip(rows.cookies, rows.ages_ms, rows.unread, strict=True)
        if unread == 0 and cookie not in sending
    ]


def closed(window: samples.Window) -> int:
    """How many held rows the application closed: gone, and their descriptor too. Closes on their way do not count."""
    first, last = window.first.listener.close_wait, window.last.listener.close_wait
    settled = {
        cookie
        for cookie, unread, age in zip(first.cookies, first.unread, first.ages_ms, strict=True)
        if unread == 0 and age >= _SETTLED_MS
    }
    return max(0, len(settled.difference(last.cookies)) - vanished_open(window))


def finished(window: samples.Window) -> int:
    """Rows that the application worked on, when they were no closes on their way any more; who is stuck has none.

    It closed them, or read on, or answered: a client that is gone resets what it is sent, and the row vanishes while
    its descriptor is still open. Only a client that has forgotten its half of the connection resets it unasked, upon
    a keep-alive probe, and that takes it a minute.
    """
    last = window.last.listener.close_wait
    at_last = dict(zip(last.cookies, last.unread, strict=True))
    done: dict[int, int] = {}
    for look in window.looks[:-1]:
        rows = look.listener.close_wait
        done.update(
            (cookie, age)
            for cookie, unread, age in zip(rows.cookies, rows.unread, rows.ages_ms, strict=True)
            if age >= _SETTLED_MS and at_last.get(cookie, -1) < unread
        )
    remembered = sum(age < _FORGOTTEN_MS for age in done.values())
    return remembered + max(0, len(done) - remembered - vanished_open(window))


def still_sending(window: samples.Window) -> frozenset[int]:
    """Rows on which the application has sent data after their FIN, and within the last 10 s.

    That the FIN came first is proven by an earlier look in which the row was in CLOSE_WAIT already: at one instant an
    answer that was sent just before the client closed looks the same.
    """
    last = window.last.listener.close_wait
    young = {
        cookie: sent for cookie, sent in zip(last.cookies, last.sent_ms, strict=True) if sent < _SENDS_MS
    }
    proven: set[int] = set()
    for look in window.looks[:-1] if young else ():
        passed_ms = window.last.at.since(look.at).total_seconds() * 1000 - _SKEW_MS
        proven.update(
            cookie for cookie in look.listener.close_wait.cookies if young.get(cookie, passed_ms) < passed_ms
        )
    return frozenset(proven)
