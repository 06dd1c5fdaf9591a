"""How an incident ends: verified, unaided, inconclusive, in vain, or handed to a human. Pure.

Called by engine.decisions. Nothing ends while an act runs, and nothing that lastack cannot see is called well.
"""

import datetime as dt

from lastack import quantities
from lastack.engine import actions, commons, drafts, facts, incidents, ladder, outcomes
from lastack.policy import valid, vocabulary


def exhaust(draft: drafts.Draft, why: str) -> None:
    """The ladder ends: hand the incident to a human, and say so."""
    draft.say(
        facts.FactKind.INCIDENT_EXHAUSTED,
        f"the ladder ends here, handed to a human: {why}",
        data={"why": why},
    )
    shared = commons.found(draft)
    for common in shared:
        commons.announce(draft, common)
    replaced = any(step.kind is vocabulary.ActionKind.ROLLING_RESTART for step in draft.incident.steps)
    sick = [judged for judged in draft.at.living() if judged.firing]
    if shared and not replaced and all(commons.holding(draft, shared, judged) for judged in sick):
        # The peer is all that people have to look at: told once, and not by every target that waits for it.
        return
    what = f"{draft.at.policy.target_name} needs a human: {draft.incident.diagnosis}, {why}"
    draft.say(facts.FactKind.NOTIFICATION_RAISED, what, data={"why": why})


def resolve_if_quiet(draft: drafts.Draft, outcome: incidents.OutcomeCode, text: str) -> bool:
    """Close the incident when nothing was raised for `clearFor` on any member, and nothing runs any more."""
    quiet = quiet_for(draft)
    if quiet is None or quiet < clear_for(draft.at.policy) or draft.incident.running():
        return False
    _resolve(draft, outcome, text)
    return True


def _resolve(draft: drafts.Draft, outcome: incidents.OutcomeCode, text: str) -> None:
    unknown = [m.name for m in draft.at.census.members if _calm(draft, m.name) is None]
    if unknown:
        text = f"{text}; nothing is known of {', '.join(unknown)}"
    lasted = quantities.short(
        dt.timedelta(seconds=round(draft.at.now.since(draft.incident.opened_at).total_seconds()))
    )
    treated: tuple[str, ...] = draft.incident.treated
    data: dict[str, outcomes.Json] = {"outcome": str(outcome), "treated": treated, "lasted": lasted}
    draft.say(facts.FactKind.INCIDENT_RESOLVED, f"{text}; the incident lasted {lasted}", data=data)


def end_if_down(draft: drafts.Draft) -> bool:
    """End what would wait for ever: a member of this incident does not run, by its host's word, and nobody is sick.

    A human is called when lastack had acted on it. A change in progress, as a restart by somebody else, is awaited.
    """
    involved = [member for member in draft.at.census.members if member.name in _involved(draft)]
    down = [member.name for member in involved if member.incarnation is None and member.hold is None]
    seen = [member for member in involved if _calm(draft, member.name) is not None]
    waited = draft.at.now.since(draft.incident.phase_since)
    if (
        not down
        or len(down) + len(seen) < len(involved)
        or draft.at.census.missing is not None
        or draft.incident.running()
        or waited < clear_for(draft.at.policy)
    ):
        return False
    why = f"{', '.join(down)} {'does' if len(down) == 1 else 'do'} not run any more"
    if not set(down) & set(draft.incident.treated):
        if draft.incident.phase is ladder.Phase.SETTLING:
            text = f"{why}: there is nothing left to settle"
            draft.say(facts.FactKind.INCIDENT_SETTLED, text, data={"settling": False})
        _resolve(draft, incidents.OutcomeCode.INCONCLUSIVE, f"{why}; what ailed it cannot be told")
        return True
    if draft.incident.phase is not ladder.Phase.REMEDIATING:
        draft.say(facts.FactKind.INCIDENT_FIRED, f"{why}, after lastack acted")
    exhaust(draft, why)
    return True


def quiet_for(draft: drafts.Draft) -> dt.timedelta | None:
    """How long nothing has been raised on any member, None while something is, or cannot be told.

    A member that had no part in this and cannot be told about holds nothing: it may be stopped, or never be seen.
    """
    if any(judged.pending for judged in draft.at.living()):
        return None
    spans = {member.name: _calm(draft, member.name) for member in draft.at.census.members}
    if any(span is None and name in _involved(draft) for name, span in spans.items()):
        return None
    return min((span for span in spans.values() if span is not None), default=None)


def _calm(draft: drafts.Draft, name: actions.MemberName) -> dt.timedelta | None:
    """How long nothing has been raised on one member."""
    found = (judged for judged in draft.at.living() if judged.member == name)
    return next((judged.quiet_for(draft.at.now) for judged in found), None)


def _involved(draft: drafts.Draft) -> set[actions.MemberName]:
    return {*draft.incident.suspects, *draft.incident.sick, *draft.incident.treated}


def clear_for(policy: valid.Policy) -> dt.timedelta:
    """How long every trigger has to stay quiet."""
    return max(trigger.clear_for for trigger in policy.triggers)


def probed(draft: drafts.Draft) -> str:
    """What the probe says of the treated members, as the end of a sentence."""
    if draft.at.policy.probe is None:
        return ", and connections are being accepted"
    said = [
        f"{name} {draft.at.answers[name].text}" for name in draft.incident.treated if name in draft.at.answers
    ]
    return f", and the probe answers ({', '.join(said)})"
