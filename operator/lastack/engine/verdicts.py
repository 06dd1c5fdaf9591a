"""Triggers against findings and signals: CLEAR, PENDING, FIRING or UNKNOWN. Called by engine.judgements."""

import dataclasses
import enum
from collections.abc import Sequence

from lastack.engine import findings, instants, samples
from lastack.policy import valid, vocabulary


class VerdictState(enum.StrEnum):
    """PENDING is raised and not yet for `sustainedFor`; FIRING stays until it was clear for `clearFor`."""

    CLEAR = "CLEAR"
    PENDING = "PENDING"
    FIRING = "FIRING"
    UNKNOWN = "UNKNOWN"


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """One trigger for one member at one instant.

    `raised` is the condition at this very instant (None: it cannot be told). `raised_since` and `quiet_since` say
    how long it has been so without a break; one of them is None. `fired` says whether it was FIRING last, also
    while it is UNKNOWN.
    """

    trigger: valid.TriggerName
    state: VerdictState
    raised: bool | None
    raised_since: instants.Now | None
    quiet_since: instants.Now | None
    fired: bool
    text: str


def assess(
    trigger: valid.Trigger, found: Sequence[findings.Finding], before: Verdict | None, now: instants.Now
) -> Verdict:
    """Say where a trigger stands, given what it said before; a new life of the member comes with before=None.

    A break in what can be seen (raised None) restarts both counts: what was not seen was not sustained.
    """
    raised, text = _raised(trigger, found, before)
    fired = before is not None and before.fired
    if raised is None:
        return Verdict(trigger.name, VerdictState.UNKNOWN, None, None, None, fired, text)
    if raised:
        since = (before.raised_since if before else None) or now
        firing = fired or now.since(since) >= trigger.sustained_for
        state = VerdictState.FIRING if firing else VerdictState.PENDING
        return Verdict(trigger.name, state, raised, since, None, firing, text)
    since = (before.quiet_since if before else None) or now
    firing = fired and now.since(since) < trigger.clear_for
    state = VerdictState.FIRING if firing else VerdictState.CLEAR
    return Verdict(trigger.name, state, raised, None, since, firing, text)


def _raised(
    trigger: valid.Trigger, found: Sequence[findings.Finding], before: Verdict | None
) -> tuple[bool | None, str]:
    match trigger:
        case valid.DiagnosisTrigger():
            return _diagnosed(trigger, found)
        case valid.SignalTrigger():
            return _measured(trigger, found, before)


def _diagnosed(trigger: valid.DiagnosisTrigger, found: Sequence[findings.Finding]) -> tuple[bool | None, str]:
    for finding in found:
        if finding.code in trigger.diagnoses:
            return True, finding.summary
    if not found or any(finding.code is vocabulary.DiagnosisCode.UNKNOWN for finding in found):
        return None, "nothing could be told about this member"
    return False, found[0].summary


def _measured(
    trigger: valid.SignalTrigger, found: Sequence[findings.Finding], before: Verdict | None
) -> tuple[bool | None, str]:
    values = [finding.signals.get(trigger.signal, samples.Missing("not measured")) for finding in found]
    known = [value for value in values if not isinstance(value, samples.Missing)]
    if not known or len(known) < len(values):
        why = next(
            (value.why for value in values if isinstance(value, samples.Missing)), "no listener was seen"
        )
        return None, f"{trigger.signal} is unknown: {why}"
    worst = max(known)
    if worst > trigger.raise_above:
        return True, f"{trigger.signal} is {worst:g}, above {trigger.raise_above:g}"
    if worst < trigger.clear_below:
        return False, f"{trigger.signal} is {worst:g}, below {trigger.clear_below:g}"
    raised = before is not None and before.raised is True
    return (
        raised,
        f"{trigger.signal} is {worst:g}, between {trigger.clear_below:g} and {trigger.raise_above:g}",
    )
