"""outbound-leak: a process keeps connections that it made itself and whose server has hung up. An item of its own.

Pools keep a few of them until they look again, and that is healthy; so age, number and growth decide, for each server
by itself. Where keep-alive is on, a connection is reset a minute after its server forgot it, and leaves the kernel's
tables; the file that stays open counts as the connection did. Called by engine.diagnoses.
"""

import dataclasses
from collections.abc import Iterable, Sequence

from lastack.engine import dead_sockets, findings, gauges, samples, signals, thresholds
from lastack.policy import vocabulary

_Name = vocabulary.SignalName
_Confidence = vocabulary.Confidence


@dataclasses.dataclass(frozen=True, slots=True)
class _Pile:
    """What one process keeps of one server: ages in seconds of `rows` in CLOSE_WAIT, and of what is `dead`.

    `grown` is by how many more have settled than at the first look.
    """

    peer: str
    rows: list[float]
    dead: list[float]
    grown: int

    @property
    def ages(self) -> list[float]:
        return [*self.rows, *self.dead]

    @property
    def count(self) -> int:
        return len(self.rows) + len(self.dead)

    @property
    def old(self) -> int:
        return _older(self.ages)


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
    """By server; of what is over only what has stood for the whole window, dead or half-closed."""
    first, last = window.first, window.last
    rows, dead = _rows(last), _dead(last, dead_sockets.standing(first.dead, first.rows.inodes, last.dead))
    before, before_dead = _rows(first), _dead(first, range(dead_sockets.amount(first.dead)))
    told = not isinstance(last.dead, samples.Missing)
    found = []
    for peer in rows | dead:
        grown = _settled(rows.get(peer, [])) - _settled(before.get(peer, []))
        if told:
            grown += _settled(dead.get(peer, [])) - _settled(before_dead.get(peer, []))
        found.append(_Pile(peer, rows.get(peer, []), dead.get(peer, []), grown))
    return found


def _rows(look: samples.OutboundLook) -> dict[str, list[float]]:
    return _by_peer(look, look.rows.ages_ms, look.peer_of, range(len(look.peer_of)))


def _dead(look: samples.OutboundLook, those: Iterable[int]) -> dict[str, list[float]]:
    return _by_peer(look, dead_sockets.ages_ms(look.dead), look.dead_peer_of or (), those)


def _by_peer(
    look: samples.OutboundLook, ages_ms: Sequence[int], peer_of: Sequence[int], those: Iterable[int]
) -> dict[str, list[float]]:
    """The ages in seconds of those of the rows, by server."""
    found: dict[str, list[float]] = {}
    for row in those:
        found.setdefault(look.peers[peer_of[row]], []).append(ages_ms[row] / 1000)
    return found


def _settled(ages: list[float]) -> int:
    """How many were not on their way to be closed."""
    return sum(age >= thresholds.OUTBOUND_SETTLED.total_seconds() for age in ages)


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
        one_by_one = max(pile.ages) - min(pile.ages) >= thresholds.OUTBOUND_SETTLED.total_seconds()
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
    evidence = _kept(pile, process.command)
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
            f"closed them, the oldest {max(pile.ages):.0f} s ago"
        ),
        evidence=tuple(evidence),
        signals=measured,
        outbound=True,
    )


def _kept(pile: _Pile, command: str) -> list[findings.Evidence]:
    """What the kernel lists, and what it lists no more."""
    old = thresholds.OUTBOUND_OLD.total_seconds()
    evidence = []
    if pile.rows:
        oldest = max(pile.rows)
        text = (
            f"{len(pile.rows)} connections of {command} to {pile.peer} are open although that side has closed"
        )
        aged = f"the oldest for {oldest:.0f} s, {_older(pile.rows) or 'none'} of them for longer than {old:.0f} s"
        evidence += [
            findings.Evidence(_Name.CLOSE_WAIT_OUTBOUND, len(pile.rows), thresholds.OUTBOUND_LEAK, text),
            findings.Evidence(_Name.CLOSE_WAIT_OLDEST, round(oldest, 3), old, aged),
        ]
    if pile.dead:
        more = f"{len(pile.dead)} more" if pile.rows else f"{len(pile.dead)} connections of {command}"
        text = (
            f"{more} to {pile.peer} are over, reset and in no table of the kernel, and their files are still open; "
            f"nothing came or went for up to {max(pile.dead):.0f} s, on {_older(pile.dead) or 'none'} of them for "
            f"longer than {old:.0f} s"
        )
        evidence.append(
            findings.Evidence(_Name.OPEN_FILES_DEAD, len(pile.dead), thresholds.OUTBOUND_LEAK, text)
        )
    return evidence


def _older(ages: list[float]) -> int:
    return sum(age >= thresholds.OUTBOUND_OLD.total_seconds() for age in ages)


def _healthy(
    piles: list[_Pile], window: samples.OutboundWindow, measured: findings.Signals
) -> findings.Finding:
    total = sum(pile.count for pile in piles)
    peers = (
        f"{piles[0].peer}" + (f" and {len(piles) - 1} more" if len(piles) > 1 else "") if piles else "nobody"
    )
    oldest = max((age for pile in piles for age in pile.ages), default=0.0)
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
