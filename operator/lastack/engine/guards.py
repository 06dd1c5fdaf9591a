"""Guards: the table of everything that can hold an act, tried in order; the first that holds is the refusal.

Pure. Called by engine.decisions for each act that a stage would take. A refusal is a returned value with numbers.
"""

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping

from lastack import quantities
from lastack.engine import (
    actions,
    causes,
    censuses,
    incidents,
    instants,
    judgements,
    member_causes,
    reasons,
    standings,
    thresholds,
)
from lastack.policy import valid, vocabulary

SERVING_NOTHING = frozenset(
    {
        vocabulary.DiagnosisCode.ACCEPT_STALL,
        vocabulary.DiagnosisCode.FD_EXHAUSTION,
        vocabulary.DiagnosisCode.NOT_LISTENING,
        vocabulary.DiagnosisCode.UNKNOWN,
    }
)
"""A member with one of these does not count as available; one that leaks or drops bursts still serves."""


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """No, and why, with the numbers."""

    reason: reasons.Reason
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Situation:
    """All that a guard may look at, for one act on one member."""

    policy: valid.Policy
    stage: valid.Stage
    member: censuses.Member
    census: censuses.Census
    judged: Mapping[actions.MemberName, judgements.Judgement]
    incident: incidents.Incident
    standing: standings.Standing
    now: instants.Now


Guard = Callable[[Situation], Refusal | None]


def _paused(at: Situation) -> Refusal | None:
    pause = at.standing.pause
    if pause is None or not pause.holds(at.now.wall):
        return None
    until = f"until {instants.rfc3339(pause.until)}" if pause.until else "until `lastack resume`"
    return Refusal(reasons.Reason.PAUSED, f"paused by {pause.actor} {until}: {pause.reason}")


def _disk_full(at: Situation) -> Refusal | None:
    full = at.standing.disk_full
    return Refusal(reasons.Reason.DISK_FULL, full) if full else None


def _stale(at: Situation) -> Refusal | None:
    judged = at.judged.get(at.member.name)
    if judged is None or judged.unknown:
        return Refusal(
            reasons.Reason.STALE_SAMPLES, f"nothing certain is known about {at.member.name} right now"
        )
    age = at.now.since(judged.at)
    longest = at.policy.sample_every * thresholds.STALE_SAMPLES
    if age > longest:
        text = f"the last look at {at.member.name} is {quantities.short(age)} old; at most {quantities.short(longest)}"
        return Refusal(reasons.Reason.STALE_SAMPLES, text)
    if judged.incarnation != at.member.incarnation:
        text = f"{at.member.name} was restarted after it was judged; it has to be judged again"
        return Refusal(reasons.Reason.INCARNATION_CHANGED, text)
    return None


def _low_confidence(at: Situation) -> Refusal | None:
    judged = at.judged[at.member.name]
    worst = judged.worst
    if member_causes.confidence(at.incident, judged) is vocabulary.Confidence.LOW:
        said = f"{worst.code} at low confidence" if worst else "nothing"
        return Refusal(reasons.Reason.LOW_CONFIDENCE, f"the diagnosis of {at.member.name} is {said}")
    return None


def _warm_up(at: Situation) -> Refusal | None:
    left = at.policy.limits.warm_up - at.now.since(at.standing.started)
    if left <= dt.timedelta(0):
        return None
    limit = quantities.short(at.policy.limits.warm_up)
    text = f"lastack has watched for less than limits.warmUp ({limit}); it may act after that"
    return Refusal(reasons.Reason.WARM_UP, text)


def _held_by_host(at: Situation) -> Refusal | None:
    hold = at.member.hold
    return Refusal(hold.reason, hold.text) if hold else None


def _young(at: Situation) -> Refusal | None:
    limit = at.policy.limits.min_process_age
    if at.member.age is None or at.member.age >= limit:
        return None
    text = f"{at.member.name} is younger than limits.minProcessAge ({quantities.short(limit)})"
    return Refusal(reasons.Reason.YOUNG_PROCESS, text)


def _cooldown(at: Situation) -> Refusal | None:
    limit = at.policy.limits.cooldown
    ends = [r.at + limit for r in at.standing.remediations if r.member == at.member.name]
    if not ends or max(ends) <= at.now.wall:
        return None
    text = f"{at.member.name} was remediated before; its cooldown of {quantities.short(limit)} ends {_time(max(ends))}"
    return Refusal(reasons.Reason.COOLDOWN, text)


def _budget(at: Situation) -> Refusal | None:
    budget = at.policy.limits.restarts
    shadow = at.stage.mode is not vocabulary.Mode.ENFORCE
    since = at.now.wall - budget.per
    counted = [r for r in at.standing.restarts if r.at > since and (shadow or not r.shadow)]
    if len(counted) < budget.maximum:
        return None
    others = sum(1 for restart in counted if not restart.ours)
    by_others = f", {others} of them by others" if others else ""
    oldest = min((restart.at for restart in counted), default=at.now.wall)
    restarts = "1 restart" if len(counted) == 1 else f"{len(counted)} restarts"
    text = (
        f"{restarts} of {at.policy.target_name} in the last {quantities.short(budget.per)}{by_others}; "
        f"limits.restarts allows {budget.maximum}, the next at {_time(oldest + budget.per)}"
    )
    if budget.maximum == 0:
        text = "limits.restarts.max is 0: lastack never restarts this target"
    return Refusal(reasons.Reason.BUDGET_SPENT, text)


def available(census: censuses.Census, judged: Mapping[actions.MemberName, judgements.Judgement]) -> set[str]:
    """The members that serve: running by the host's word, seen, and without a disease that serves nothing."""
    serving = set()
    for member in census.members:
        judgement = judged.get(member.name)
        if not member.ready or judgement is None or judgement.worst is None:
            continue
        if judgement.incarnation == member.incarnation and judgement.worst.code not in SERVING_NOTHING:
            serving.add(str(member.name))
    return serving


def _min_available(at: Situation) -> Refusal | None:
    limit = at.policy.limits.min_available
    whole = len(at.census.members)
    needed = limit.of(whole) if isinstance(limit, quantities.Share) else limit
    left = len(available(at.census, at.judged) - {str(at.member.name)})
    if left >= needed:
        return None
    text = (
        f"without {at.member.name} {left} of {whole} members would serve; limits.minAvailable is {limit}"
        f"{f', that is {needed}' if isinstance(limit, quantities.Share) else ''}"
    )
    return Refusal(reasons.Reason.MIN_AVAILABLE, text)


def _evidence(at: Situation) -> Refusal | None:
    life = at.incident.evidence.get(at.member.name)
    if life is not None and life == at.member.incarnation:
        return None
    text = f"the evidence of {at.member.name} is not stored yet; the act waits for it"
    return Refusal(reasons.Reason.EVIDENCE_PENDING, text)


def _cause_forbids(at: Situation) -> Refusal | None:
    cause = member_causes.of(at.incident, at.judged[at.member.name])
    why = causes.RESTART_NEVER_HELPS.get(cause.kind) if cause is not None else None
    if cause is None or why is None:
        return None
    return Refusal(reasons.Reason.CAUSE_FORBIDS, f"the cause is {member_causes.words(cause)}: {why}")


def _time(wall: dt.datetime) -> str:
    return instants.rfc3339(wall)


LOOKING: tuple[Guard, ...] = (_disk_full,)
"""For evidence: harmless, so that only a full disk holds it."""

TUNING: tuple[Guard, ...] = (_paused, _disk_full, _stale, _low_confidence, _warm_up)
"""For what changes settings but disturbs no process."""

UNHOOKING: tuple[Guard, ...] = (
    _paused,
    _disk_full,
    _stale,
    _low_confidence,
    _warm_up,
    _held_by_host,
    _young,
    _cooldown,
    _evidence,
)
"""For what takes connections from a process that goes on; the order is as below."""

DISRUPTING: tuple[Guard, ...] = (
    _paused,
    _disk_full,
    _stale,
    _low_confidence,
    _warm_up,
    _cause_forbids,
    _held_by_host,
    _young,
    _cooldown,
    _budget,
    _min_available,
    _evidence,
)
"""For what ends a process; the order is from what concerns everything to what concerns this act."""

GUARDS: dict[vocabulary.ActionKind, tuple[Guard, ...]] = {
    vocabulary.ActionKind.THREAD_DUMP: LOOKING,
    vocabulary.ActionKind.SYSCTL: TUNING,
    vocabulary.ActionKind.SOCKET_DESTROY: UNHOOKING,
    vocabulary.ActionKind.ROLLING_RESTART: DISRUPTING,
}


def refusal(at: Situation) -> Refusal | None:
    """The first guard that holds the act, or None when it may be done."""
    for guard in GUARDS[actions.kind_of(at.stage.action)]:
        found = guard(at)
        if found is not None:
            return found
    return None
