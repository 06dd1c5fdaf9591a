"""syn-pressure: the SYN queue is full of handshakes that nobody finishes, while the accept queue has room.

An accept queue that is full also keeps handshakes in SYN_RECV; that is another disease, so it must be below half. With
syncookies the kernel goes on answering: nobody is refused, and connections lose what a cookie cannot carry (window
scaling, SACK). Without, handshakes are dropped.
"""

import dataclasses
from collections.abc import Mapping

from lastack.engine import findings, queues, samples, signals, thresholds
from lastack.engine.diagnoses import evidence
from lastack.policy import sysctls, vocabulary

_Name = vocabulary.SignalName
_Confidence = vocabulary.Confidence
_COOKIES = "net.ipv4.tcp_syncookies"
_BACKLOG = "net.ipv4.tcp_max_syn_backlog"
_REFUSED = ("TCPReqQFullDrop", "TCPReqQFullDoCookies")


@dataclasses.dataclass(frozen=True, slots=True)
class _Limit:
    """How many handshakes fit; `known` is false where that is only more than the limit can be.

    `cookies` says whether the kernel answers what does not fit with cookies; None is not known.
    """

    handshakes: float
    cookies: bool | None
    known: bool


def match(window: samples.Window, measured: findings.Signals) -> findings.Finding | None:
    """Fit at three quarters of the limit in every look that counted, or at half while handshakes are refused."""
    listener = window.last.listener
    if queues.deepest(window) >= max(1, listener.limit * thresholds.DRAINED_SHARE):
        return None
    counts = [signals.known(look.listener.syn_received) for look in window.looks]
    handshakes = [int(count) for count in counts if count is not None]
    if not handshakes or handshakes[-1] == 0:
        return None
    limit = _limit(listener.limit, window.last.namespace.sysctls)
    full = min(handshakes) >= max(thresholds.SYN_LEAST, limit.handshakes * thresholds.SYN_FULL)
    refused = _refused(window) if handshakes[-1] >= limit.handshakes * thresholds.SYN_HALF else 0
    if not full and not refused:
        return None
    dropping = limit.cookies is not True and evidence.is_dropping(measured)
    return findings.Finding(
        code=vocabulary.DiagnosisCode.SYN_PRESSURE,
        severity=vocabulary.Severity.CRITICAL if dropping else vocabulary.Severity.WARNING,
        confidence=_confidence(window, limit, (full and len(handshakes) >= 2, refused > 0)),
        summary=(
            f"{handshakes[-1]} unfinished handshakes fill the SYN queue, which takes {limit.handshakes:.0f}; "
            f"{_beyond(limit)}"
        ),
        evidence=evidence.known(
            (
                findings.Evidence(
                    _Name.SYN_QUEUE_DEPTH,
                    handshakes[-1],
                    round(limit.handshakes),
                    f"{handshakes[-1]} handshakes are not finished, {limit.handshakes:.0f} fit",
                ),
                _refusals(refused, limit),
                evidence.depth_range(window, ": it has room"),
                evidence.drops(measured),
            )
        ),
        signals=measured,
    )


def _limit(accept_limit: int, current: Mapping[str, str]) -> _Limit:
    """With syncookies the backlog and one; without, also no more than three quarters of tcp_max_syn_backlog."""
    cookies, backlog = sysctls.number(current, _COOKIES), sysctls.number(current, _BACKLOG)
    most = accept_limit + 1
    if cookies is None:
        return _Limit(most, cookies=None, known=False)
    if cookies > 0:
        return _Limit(most, cookies=True, known=True)
    if backlog is None:
        return _Limit(most, cookies=False, known=False)
    return _Limit(min(most, backlog * thresholds.SYN_BACKLOG_SHARE), cookies=False, known=True)


def _refused(window: samples.Window) -> int:
    """Handshakes of the namespace that did not fit, and were answered with a cookie or dropped."""
    grown = [signals.counter_growth(window, name) for name in _REFUSED]
    return sum(count for count in grown if not isinstance(count, samples.Missing))


def _confidence(window: samples.Window, limit: _Limit, signs: tuple[bool, bool]) -> vocabulary.Confidence:
    """High: full at every look, and handshakes are refused. Medium: one of the two. Low: too short, or no limit."""
    if not limit.known or window.length < thresholds.FULL_WINDOW or not any(signs):
        return _Confidence.LOW
    return _Confidence.HIGH if all(signs) else _Confidence.MEDIUM


def _beyond(limit: _Limit) -> str:
    if limit.cookies is None:
        return "whether the kernel answers more with cookies or drops them is not known"
    if limit.cookies:
        return "the kernel answers the next with syncookies, so nobody is refused"
    return "the kernel drops the next, since tcp_syncookies is 0"


def _refusals(refused: int, limit: _Limit) -> findings.Evidence | None:
    if not refused:
        return None
    ways = {True: "answered with a cookie", False: "dropped", None: "answered with a cookie or dropped"}
    text = f"{refused} handshakes of this network namespace found it full and were {ways[limit.cookies]}"
    return findings.Evidence(_Name.SYN_QUEUE_DEPTH, refused, 0, text)
