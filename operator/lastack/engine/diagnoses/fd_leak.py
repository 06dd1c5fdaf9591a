"""fd-leak: the application read the end of its connections and never closes them.

Held sockets are also what a server shows whose handlers are merely slow and whose event loop reads ahead, so age and
spread decide, and a young pile is never more than a suspicion. Where keep-alive is on, a held socket is reset a minute
after its client forgot it: the row goes, and the leaked file is what is left.
"""

import dataclasses

from lastack.engine import close_waits, dead_sockets, findings, gauges, samples, signals, stands, thresholds
from lastack.engine.diagnoses import evidence
from lastack.policy import vocabulary

_Name = vocabulary.SignalName
_Confidence = vocabulary.Confidence


@dataclasses.dataclass(frozen=True, slots=True)
class _Kept:
    """The ages in seconds of what the application keeps: `held` has a row still, `dead` (None: not told) has none."""

    held: list[float]
    dead: list[float] | None

    @property
    def all(self) -> list[float]:
        return [*self.held, *(self.dead or ())]


def match(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Fit when 20 or more connections are kept, none was closed while we looked, and they joined one by one.

    A leaking application reads. Where others stand unread for long, and threads may be waiting on behalf of all of
    them, it is stuck: a FIN that came with the request is read together with it. So it may be where as many of its own
    connections are silent: runtimes that need no thread for that (Go) may have a handler behind each, and a restart
    does not bring the answer that it waits for.
    """
    dead = dead_sockets.standing_ages(window)
    kept = _Kept(
        close_waits.held_ages(window, window.last), None if isinstance(dead, samples.Missing) else dead
    )
    count = len(kept.all)
    if count < thresholds.LEAK_HELD or len(window.looks) < 2:
        return None
    spread = max(kept.all) - min(kept.all)
    if spread < thresholds.LEAK_SPREAD.total_seconds():
        return None
    if close_waits.closed(window) > 0 or dead_sockets.closed(window) > 0:
        return None
    stands_unread = len(close_waits.follow(window).unread) >= thresholds.HANDLER_ROWS
    if stands_unread and _threads_may_wait(window, measured, count):
        return None
    if dead_sockets.silence(window, count) is not None:
        return None
    process = window.last.owner.fullest
    pieces = (
        *_rows(window, kept.held),
        _without_row(kept),
        evidence.files(process) if process else None,
        _vanished(window) if kept.dead is None else None,
    )
    return findings.Finding(
        code=vocabulary.DiagnosisCode.FD_LEAK,
        severity=vocabulary.Severity.WARNING,
        confidence=_confidence(window, measured, kept),
        summary=(
            f"the application does not close its connections: {count} are held whose clients have left, "
            f"the oldest for {max(kept.all):.0f} s"
        ),
        evidence=evidence.known(pieces),
        signals=measured,
    )


def _rows(window: samples.Window, ages: list[float]) -> tuple[findings.Evidence, ...]:
    """Those that the kernel lists."""
    if not ages:
        return ()
    oldest = max(ages)
    return (
        findings.Evidence(
            _Name.CLOSE_WAIT_HELD,
            len(ages),
            thresholds.LEAK_HELD,
            f"{len(ages)} connections whose end was read are still open, and none was closed in "
            f"{window.length.total_seconds():.1f} s",
        ),
        findings.Evidence(
            _Name.CLOSE_WAIT_OLDEST,
            round(oldest, 3),
            thresholds.LEAK_OLD.total_seconds(),
            f"their ages spread over {oldest - min(ages):.0f} s, the oldest is {oldest:.0f} s",
        ),
    )


def _without_row(kept: _Kept) -> findings.Evidence | None:
    """Those that it lists no more."""
    if not kept.dead:
        return None
    more = "more connections" if kept.held else "connections"
    text = (
        f"{len(kept.dead)} {more} are over, reset and in no table of the kernel, and their files are still open; "
        f"nothing came or went on the oldest for {max(kept.dead):.0f} s"
    )
    return findings.Evidence(_Name.OPEN_FILES_DEAD, len(kept.dead), thresholds.LEAK_HELD, text)


def _vanished(window: samples.Window) -> findings.Evidence | None:
    """Rows that keep-alive has removed although nobody closed them."""
    count = close_waits.vanished_open(window)
    text = f"{count} more vanished from the kernel's table while their files stayed open"
    return findings.Evidence(_Name.OPEN_FILES_COUNT, count, 0, text) if count else None


def _confidence(window: samples.Window, measured: findings.Signals, kept: _Kept) -> vocabulary.Confidence:
    """High: old, and still growing. Medium: old. Low: young, or so many threads that each could be waiting for one.

    Keep-alive takes the rows away after a minute, and none grows old; the files stay. Where it cannot be asked what
    became of those, open files that have been rising for long, while rows vanish from them, are as good as age.
    """
    rises = (
        gauges.is_rising(window.trend_of, _Name.OPEN_FILES_COUNT) and close_waits.vanished_open(window) > 0
    )
    young = max(kept.all) < thresholds.LEAK_OLD.total_seconds() and not rises
    if young or window.length < thresholds.FULL_WINDOW:
        return _Confidence.LOW
    if _threads_may_wait(window, measured, len(kept.all)):
        return _Confidence.LOW
    return _Confidence.HIGH if _grew(window, kept) else _Confidence.MEDIUM


def _grew(window: samples.Window, kept: _Kept) -> bool:
    """Whether more are kept than at the first look; of dead ones where both looks tell."""
    before = len(close_waits.held_ages(window, window.first))
    first = window.first.listener.dead
    if kept.dead is None or isinstance(first, samples.Missing):
        return len(kept.held) + close_waits.vanished_open(window) > before
    return len(kept.all) > before + first.unread.count(0)


def _threads_may_wait(window: samples.Window, measured: findings.Signals, held: int) -> bool:
    """Whether there are so many threads that each held connection could have one waiting on its behalf.

    Those that stand still, where it was looked at; else all there are. A lock and an idle pool look the same.
    """
    standing = stands.standing(window)
    if isinstance(standing, samples.Missing):
        threads = signals.known(measured[_Name.THREADS])
        return threads is None or threads > held
    return stands.may_wait(standing.threads) > held
