"""Which disease a listener has: a table of rows, tried in order; the first that fits is the diagnosis.

One file per disease: its signature, its numbers as evidence, its severity and its confidence. Called by
engine.judgements and by `lastack diagnose`. This is one of the two decisions of the program, and it is pure.
"""

import dataclasses
from collections.abc import Callable, Collection

from lastack.engine import causes, findings, remedies, samples, signals
from lastack.engine.diagnoses import (
    accept_stall,
    backlog_too_small,
    fd_exhaustion,
    fd_leak,
    half_close_in_use,
    handler_stall,
    no_disease,
    outbound_leak,
    overload,
    syn_pressure,
)
from lastack.policy import vocabulary

Row = Callable[[samples.Window, findings.Signals], findings.Finding | None]

PRECEDENCE: tuple[Row, ...] = (
    fd_exhaustion.match,
    accept_stall.match,
    overload.match,
    backlog_too_small.match,
    handler_stall.match,
    fd_leak.match,
    syn_pressure.match,
    no_disease.match_unknown,
    half_close_in_use.match,
)
"""A full file table looks like a stall, a stall like a small backlog, a stuck handler like a leak.

`unknown` stands before half-close-in-use, which says that all is well: not while something is unexplained.
"""

_SEVERITIES = (vocabulary.Severity.CRITICAL, vocabulary.Severity.WARNING, vocabulary.Severity.NONE)


def diagnose(window: samples.Window) -> findings.Finding:
    """Say what is wrong with one listener of one owner, on what numbers, what can help and what cannot."""
    measured = signals.measure(window)
    for match in PRECEDENCE:
        found = match(window, measured)
        if found is not None:
            caused = dataclasses.replace(found, cause=causes.seek(window, found))
            return remedies.advise(caused, window)
    return no_disease.healthy(window, measured)


def diagnose_outbound(window: samples.OutboundWindow) -> findings.Finding:
    """Say whether a process leaks the connections that it made itself; an item of its own beside its listeners."""
    return remedies.advise_outbound(outbound_leak.judge(window), window.last.namespace)


def not_listening(ports: Collection[int]) -> findings.Finding:
    """Nobody listens where somebody should."""
    return remedies.advise(no_disease.not_listening(ports), None)


def rank(finding: findings.Finding) -> tuple[int, int]:
    """Sort key: the worst first, then by the order in which diagnoses precede each other."""
    return _SEVERITIES.index(finding.severity), list(vocabulary.DiagnosisCode).index(finding.code)
