"""overload: the application goes on accepting, and more arrives than it does.

A longer queue only makes everybody wait longer, and a restart throws the waiting away: the same work comes again.
"""

import dataclasses

from lastack.engine import close_waits, findings, queues, samples, thresholds
from lastack.engine.diagnoses import evidence
from lastack.policy import vocabulary

_Name = vocabulary.SignalName
_Confidence = vocabulary.Confidence
_BEHIND_MS = int(thresholds.BEHIND_AGE.total_seconds() * 1000)


@dataclasses.dataclass(frozen=True, slots=True)
class _Behind:
    """How many were accepted and not read: `lost` have lost their clients meanwhile, of `unread` they still wait."""

    lost: int = 0
    unread: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.lost + self.unread


@dataclasses.dataclass(frozen=True, slots=True)
class _Signs:
    """What speaks for it."""

    long: bool
    old: bool
    dropping: bool
    behind: _Behind
    waited: float | None
    """Seconds that somebody waited in a queue that overflows, when they are too many for one that is but short."""


def match(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Fit when the application works, and yet the queue never falls below half or its head is always 10 s old.

    It works when somebody is taken, or somebody who had been taken is finished: event loops accept in batches. One
    in a window is no recovery: gunicorn kills a stuck worker every 30 s, and the next takes one more. A queue that
    overflows and drains in gulps is overload, too, while those who were taken lose their clients unread, or somebody
    waited for it longer than in a queue that is but short; and before it is full, where both are seen, or half as many
    as it holds were taken and not read.
    """
    taken = queues.progresses(window, measured)
    if not taken and not close_waits.finished(window):
        return None
    smallest = queues.shallowest(window)
    dropping = evidence.is_dropping(measured)
    age = queues.youngest_head(window)
    waited = _waited(window)
    signs = _Signs(
        long=_lasts(window, dropping=dropping)
        and smallest >= max(1, window.last.listener.limit * thresholds.DRAINED_SHARE),
        old=age is not None and age >= thresholds.STALL_HEAD_AGE.total_seconds(),
        dropping=dropping,
        behind=_behind(window, dropping=dropping, waited=waited is not None),
        waited=waited if dropping else None,
    )
    if not signs.long and not signs.old and not signs.behind.total and signs.waited is None:
        return None
    works = (
        "it goes on accepting"
        if taken
        else "it goes on with those it has accepted, and takes others in batches"
    )
    return findings.Finding(
        code=vocabulary.DiagnosisCode.OVERLOAD,
        severity=evidence.severity(measured),
        confidence=_confidence(window, signs),
        summary=f"more work arrives than the application does: {works}; {_waiting(window, signs, age)}",
        evidence=evidence.known(
            (
                evidence.depth_range(window, _why(signs)),
                evidence.head(measured),
                evidence.progress(window, measured),
                _lost(signs),
                _unread(signs),
                evidence.drops(measured),
            )
        ),
        signals=measured,
    )


def _behind(window: samples.Window, *, dropping: bool, waited: bool) -> _Behind:
    """Those who were accepted and not read, where most were seen; nobody when they are but a few."""
    seen = (_behind_at(look, dropping=dropping, strained=dropping or waited) for look in window.looks)
    return max(seen, key=lambda behind: behind.total)


def _behind_at(look: samples.Look, *, dropping: bool, strained: bool) -> _Behind:
    rows, ages = look.listener.close_wait, look.listener.unread_ages_ms
    half = max(thresholds.BEHIND_ROWS, look.listener.limit * thresholds.DRAINED_SHARE)
    lost = sum(size > 0 for size in rows.unread)
    # Young ones may be closes on their way: they count only where the queue overflows as well.
    if dropping and lost >= half:
        return _Behind(lost=lost)
    # The end of the stream counts as a byte: more is a request, which a stuck handler would have read.
    old = sum(size > 1 and age >= _BEHIND_MS for size, age in zip(rows.unread, rows.ages_ms, strict=True))
    unread = 0 if isinstance(ages, samples.Missing) else sum(age >= _BEHIND_MS for age in ages)
    many = unread >= half or (strained and old + unread >= thresholds.BEHIND_ROWS)
    return _Behind(old, unread) if many else _Behind()


def _waited(window: samples.Window) -> float | None:
    seconds = queues.oldest_head(window)
    return seconds if seconds >= thresholds.BEHIND_AGE.total_seconds() else None


def _waiting(window: samples.Window, signs: _Signs, age: float | None) -> str:
    """Who waits, in words."""
    if not signs.long and not signs.old:
        if signs.behind.total:
            does = "overflows" if signs.dropping else "fills"
            return f"the queue {does} between gulps, and {_not_read(signs.behind)}"
        return f"the queue overflows between gulps, for which the first waited for up to {signs.waited:.0f} s"
    smallest, limit = queues.shallowest(window), window.last.listener.limit
    waited = f", the first always for {age:.0f} s or longer" if signs.old else ""
    return f"{smallest} or more of {limit} wait all the time{waited}"


def _why(signs: _Signs) -> str:
    if signs.long:
        return ": it never fell below half"
    return ": it is never empty" if signs.old else ": it is emptied in gulps"


def _not_read(behind: _Behind) -> str:
    lost = f"{behind.lost} that were taken lost their clients unread"
    unread = (
        f"{behind.unread} that were taken have not been read for {thresholds.BEHIND_AGE.seconds} s or longer"
    )
    return " and ".join(text for text, count in ((lost, behind.lost), (unread, behind.unread)) if count)


def _lost(signs: _Signs) -> findings.Evidence | None:
    lost = signs.behind.lost
    text = f"{lost} connections were accepted and lost their clients before anybody read them"
    return findings.Evidence(_Name.CLOSE_WAIT_UNREAD, lost, thresholds.BEHIND_ROWS, text) if lost else None


def _unread(signs: _Signs) -> findings.Evidence | None:
    unread = signs.behind.unread
    text = f"what {unread} accepted connections have sent was not read for {thresholds.BEHIND_AGE.seconds} s or longer"
    return findings.Evidence(_Name.ESTABLISHED, unread, thresholds.BEHIND_ROWS, text) if unread else None


def _lasts(window: samples.Window, *, dropping: bool) -> bool:
    """Whether a queue that was long at every look is long all the time.

    A short queue is half full by chance at two instants; at three, or when it overflows, that is no chance. But a
    burst comes again each second, as dropped handshakes are tried again, and few looks may meet it every time.
    """
    if len(window.looks) < thresholds.WINDOW_SAMPLES and not dropping:
        return False
    many = len(window.looks) >= thresholds.STEADY_LOOKS
    return many or queues.was_glanced_at(window) or not queues.turns_over(window)


def _confidence(window: samples.Window, signs: _Signs) -> vocabulary.Confidence:
    """High: two of a long queue, an old head and drops. Medium: one. Low: the window is too short for a state."""
    if window.length < thresholds.FULL_WINDOW:
        return _Confidence.LOW
    lasting = signs.long or signs.old
    both = signs.long + signs.old + signs.dropping >= 2
    return _Confidence.HIGH if lasting and both else _Confidence.MEDIUM
