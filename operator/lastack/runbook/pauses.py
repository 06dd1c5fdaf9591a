"""A pause as a fact, and back. Called by loop and cli (somebody says stop), and by folds."""

import datetime as dt

from lastack.engine import facts, instants, standings


def paused(now: instants.Now, actor: str, reason: str, lasting: dt.timedelta | None) -> facts.Fact:
    """Nothing new begins until `lasting` is over (None: until resumed)."""
    until = None if lasting is None else instants.rfc3339(now.wall + lasting)
    end = "until resumed" if until is None else f"until {until}"
    return facts.Fact(
        kind=facts.FactKind.OPERATOR_PAUSED,
        at=now,
        text=f"paused by {actor} {end}: {reason}",
        data={"reason": reason, "until": until},
        actor=actor,
    )


def resumed(now: instants.Now, actor: str, pause: standings.Pause | None) -> facts.Fact:
    """Acts may begin again; `pause` is what held until now, if anything did."""
    if pause is None:
        text = f"resumed by {actor}; nothing was paused"
    else:
        text = f"resumed by {actor}, after a pause since {instants.rfc3339(pause.since)}: {pause.reason}"
    return facts.Fact(kind=facts.FactKind.OPERATOR_RESUMED, at=now, text=text, actor=actor)


def pause_of(fact: facts.Fact) -> standings.Pause:
    """The pause that an operator.paused began."""
    until = fact.data.get("until")
    return standings.Pause(
        since=fact.at.wall,
        until=instants.from_rfc3339(until) if isinstance(until, str) else None,
        reason=str(fact.data.get("reason", fact.text)),
        actor=fact.actor,
    )
