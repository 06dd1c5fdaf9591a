"""outbound-leak: a process keeps connections that it made itself and whose server has hung up. An item of its own.

Pools keep a few of them until they look again, and that is healthy; so age, number and growth decide, for each server
by itself. Called by engine.diagnoses.
"""

import dataclasses

from lastack.engine import findings, gauges, samples, signals, thresholds
from lastack.policy import vocabulary

_Name = vocabulary.SignalName
_Confidence = vocabulary.Confidence


@dataclasses.dataclass(frozen=True, slots=True)
class _Pile:
    """What one process keeps of one server. `grown` is by how many more rows have settled than at the first look."""

    peer: str
    count: int
    old: int
    oldest_seconds: float
    spread_seconds: float
    grown: int


def judge(window: samples.OutboundWindow) -> findings.Finding:
    """Say whether a process leaks connections of its own: outbound-leak, or healthy with a note about its pool."""
    measured = signals.measure_outbound(window)
    piles = sorted(_piles(window), key=lambda pile: (-pile.count, pile.peer))
    for pile in piles:
        confidence = _confidence(pile, window, measured)
        if confidence is not None:
            return _leak(pile, confidence, window, measured)
    return _healthy(piles, window, measured)


def _piles(window: samples.OutboundWindow) -> list[_Pile]:
    before = _settled(window.first)
    after = _settled(window.last)
    look = window.last
    ages: dict[int, list[int]] = {}
    for age, peer in zip(look.rows.ages_ms, look.peer_of, strict=True):
        ages.setdefault(peer, []).append(age)
    old_ms = thresholds.OUTBOUND_OLD.total_seconds() * 1000
    return [
        _Pile(
            peer=look.peers[peer],
            count=len(those),
            old=sum(1 for age in those if age >= old_ms),
            oldest_seconds=max(those) / 1000,
            spread_seconds=(max(those) - min(those)) / 1000,
            grown=after.get(look.peers[peer], 0) - before.get(look.peers[peer], 0),
        )
        for peer, those in ages.items()
    ]


def _settled(look: samples.OutboundLook) -> dict[str, int]:
    """By server, the rows that were not on their way to be closed."""
    least_ms = thresholds.OUTBOUND_SETTLED.total_seconds() * 1000
    found: dict[str, int] = {}
    for age, peer in zip(look.rows.ages_ms, look.peer_of, strict=True):
        if age >= least_ms:
            found[look.peers[peer]] = found.get(look.peers[peer], 0) + 1
    return found


def _confidence(
    pile: _Pile, window: samples.OutboundWindow, measured: findings.Signals
) -> vocabulary.Confidence | None:
    """How sure it is that the pile is a leak; None: it is none.

    High: old, growing, and a large part of the file limit. Medium: old, and one of the two. Low: young, yet joined
    one by one and still growing, or not watched for long enough.
    """
    growing = pile.grown > 0 or gauges.is_rising(window.trend_of, _Name.CLOSE_WAIT_OUTBOUND)
    if pile.count < thresholds.OUTBOUND_LEAK:
        return None
    if pile.old < thresholds.OUTBOUND_LEAK:
        one_by_one = pile.spread_seconds >= thresholds.OUTBOUND_SETTLED.total_seconds()
        return _Confidence.LOW if growing and one_by_one else None
    limit = signals.known(measured[_Name.OPEN_FILES_LIMIT])
    heavy = limit is not None and pile.count >= limit * thresholds.OUTBOUND_SHARE
    if not growing and not heavy:
        return None
    if window.length < thresholds.FULL_WINDOW:
        return _Confidence.LOW
    return _Confidence.HIGH if growing and heavy else _Confidence.MEDIUM


def _leak(
    pile: _Pile,
    confidence: vocabulary.Confidence,
    window: samples.OutboundWindow,
    measured: findings.Signals,
) -> findings.Finding:
    process = window.last.process
    files = signals.known(measured[_Name.OPEN_FILES_COUNT])
    limit = signals.known(measured[_Name.OPEN_FILES_LIMIT])
    evidence = [
        findings.Evidence(
            _Name.CLOSE_WAIT_OUTBOUND,
            pile.count,
            thresholds.OUTBOUND_LEAK,
            f"{pile.count} connections of {process.command} to {pile.peer} are open although that side has closed",
        ),
        findings.Evidence(
            _Name.CLOSE_WAIT_OLDEST,
            round(pile.oldest_seconds, 3),
            thresholds.OUTBOUND_OLD.total_seconds(),
            f"the oldest for {pile.oldest_seconds:.0f} s, {pile.old or 'none'} of them for longer than "
            f"{thresholds.OUTBOUND_OLD.total_seconds():.0f} s",
        ),
    ]
    if pile.grown > 0:
        text = f"{pile.grown} more than at the first look have stood for a while"
        evidence.append(findings.Evidence(_Name.CLOSE_WAIT_OUTBOUND, pile.grown, 0, text))
    slope = signals.known(measured.get(_Name.CLOSE_WAIT_OUTBOUND_SLOPE))
    if slope is not None and slope > 0:
        text = f"the process has {slope:.1f} more of them every hour"
        evidence.append(findings.Evidence(_Name.CLOSE_WAIT_OUTBOUND_SLOPE, round(slope, 3), 0, text))
    if files is not None and limit is not None:
        text = f"{files:.0f} of {limit:.0f} files are open"
        evidence.append(findings.Evidence(_Name.OPEN_FILES_COUNT, int(files), int(limit), text))
    full = files is not None and limit is not None and files >= limit - thresholds.SUSPECT_FILES_MARGIN
    return findings.Finding(
        code=vocabulary.DiagnosisCode.OUTBOUND_LEAK,
        severity=vocabulary.Severity.CRITICAL if full else vocabulary.Severity.WARNING,
        confidence=confidence,
        summary=(
            f"the process does not close connections that it made itself: {pile.count} to {pile.peer}, which has "
            f"closed them, the oldest {pile.oldest_seconds:.0f} s ago"
        ),
        evidence=tuple(evidence),
        signals=measured,
        outbound=True,
    )


def _healthy(
    piles: list[_Pile], window: samples.OutboundWindow, measured: findings.Signals
) -> findings.Finding:
    total = sum(pile.count for pile in piles)
    peers = (
        f"{piles[0].peer}" + (f" and {len(piles) - 1} more" if len(piles) > 1 else "") if piles else "nobody"
    )
    oldest = max((pile.oldest_seconds for pile in piles), default=0.0)
    text = (
        f"{total} own connection{'s' if total != 1 else ''} to {peers} that the other side closed, "
        f"the oldest {oldest:.0f} s ago: a pool that has not looked yet"
    )
    return findings.Finding(
        code=vocabulary.DiagnosisCode.HEALTHY,
        severity=vocabulary.Severity.NONE,
        confidence=_Confidence.HIGH if window.length >= thresholds.FULL_WINDOW else _Confidence.LOW,
        summary=text,
        evidence=(findings.Evidence(_Name.CLOSE_WAIT_OUTBOUND, total, thresholds.OUTBOUND_LEAK, text),),
        signals=measured,
        outbound=True,
    )
