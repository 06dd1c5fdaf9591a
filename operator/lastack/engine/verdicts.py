"""Triggers against findings and signals: CLEAR, PENDING, FIRING or UNKNOWN. Called by engine.judgements."""

import dataclasses
import enum
import math
from collections.abc import Collection, Sequence

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
    """Whether all conditions hold, and why. Between its two thresholds each stays what the whole trigger was.

    One that does not hold settles it, whatever is unknown of the others.
    """
    was = before is not None and before.raised is True
    told = [_holds(condition, found, was=was) for condition in trigger.conditions]
    for answer in (False, None):
        texts = [text for holds, text in told if holds is answer]
        if texts:
            return answer, "; ".join(texts)
    return True, "; ".join(text for _, text in told)


def _holds(
    condition: valid.Condition, found: Sequence[findings.Finding], *, was: bool
) -> tuple[bool | None, str]:
    match condition:
        case valid.Diagnosed(diagnoses=diagnoses):
            return _diagnosed(diagnoses, found)
        case valid.Above(signal=signal):
            values, why = _values(signal, found)
            return why or _is_above(condition, max(values), was=was)
        case valid.Below(signal=signal):
            values, why = _values(signal, found)
            return why or _is_below(condition, min(values), was=was)


def _diagnosed(
    diagnoses: Collection[vocabulary.DiagnosisCode], found: Sequence[findings.Finding]
) -> tuple[bool | None, str]:
    for finding in found:
        if finding.code in diagnoses:
            return True, finding.summary
    of_listeners = [finding for finding in found if not finding.outbound]
    if not of_listeners or any(each.code is vocabulary.DiagnosisCode.UNKNOWN for each in of_listeners):
        return None, "nothing could be told about this member"
    return False, of_listeners[0].summary


def _values(
    signal: vocabulary.SignalName, found: Sequence[findings.Finding]
) -> tuple[list[float], tuple[bool | None, str] | None]:
    """The signal of each listener, or what follows from its not being known.

    A process's own connections tell their own signals; the rest of theirs is not about any listener.
    """
    about = [each for each in found if not each.outbound or signal in vocabulary.CLIENT_SIGNALS]
    # Dead sockets are asked for where there can be many: a trigger on them is not raised elsewhere, and holds nothing.
    seldom = signal is vocabulary.SignalName.OPEN_FILES_DEAD
    absent = samples.NOT_WALKED if seldom else samples.Missing("not measured")
    values = [finding.signals.get(signal, absent) for finding in about]
    missing = [value for value in values if isinstance(value, samples.Missing)]
    known = [value for value in values if not isinstance(value, samples.Missing)]
    whys = [value.why for value in missing if not value.quiet]
    if whys or not values:
        return [], (None, f"{signal} is unknown: {whys[0] if whys else 'no listener was seen'}")
    return known, None if known else (False, f"{signal} is not known yet: {missing[0].why}")


def _is_above(condition: valid.Above, worst: float, *, was: bool) -> tuple[bool, str]:
    said, high, low = f"{condition.signal} is {worst:g}", condition.raise_above, condition.clear_below
    if worst > high:
        return True, f"{said}, above {high:g}"
    if worst < low:
        return False, f"{said}, below {low:g}"
    return was, f"{said}, between {low:g} and {high:g}"


def _is_below(condition: valid.Below, worst: float, *, was: bool) -> tuple[bool, str]:
    said = f"{condition.signal} is {'never' if math.isinf(worst) else f'{worst:g}'}"
    low, high = condition.raise_below, condition.clear_above
    if worst < low:
        return True, f"{said}, below {low:g}"
    if worst > high:
        return False, f"{said}, above {high:g}"
    return was, f"{said}, between {low:g} and {high:g}"
