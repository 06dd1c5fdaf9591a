"""What the demo is waiting for right now, in a line with numbers from the live judgements. Pure; for cli.demo_story."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping

from lastack import quantities
from lastack.engine import actions, facts, judgements, signals, thresholds
from lastack.lab import pairs
from lastack.policy import valid, vocabulary

_Kind = facts.FactKind
_Signal = vocabulary.SignalName
Judged = Mapping[actions.MemberName, judgements.Judgement]


@dataclasses.dataclass(frozen=True, slots=True)
class Reached:
    """How far the story is, as the facts so far tell it."""

    fallen_sick: bool = False
    kinds: tuple[tuple[facts.FactKind, vocabulary.ActionKind | None], ...] = ()

    def after(self, news: Iterable[facts.Fact]) -> Reached:
        """The same after more facts."""
        return dataclasses.replace(self, kinds=(*self.kinds, *((fact.kind, fact.action) for fact in news)))

    def has(self, kind: facts.FactKind, action: vocabulary.ActionKind | None = None) -> bool:
        """Whether such a fact was among them."""
        return any(seen == kind and action in (None, done) for seen, done in self.kinds)


def healthy(judged: Judged, pair: pairs.Pair) -> bool:
    """Whether both members were seen, and are well."""
    found = [judged.get(actions.MemberName(member.name)) for member in pair.members]
    worst = [judgement.worst for judgement in found if judgement is not None]
    return len(worst) == len(pair.members) and all(
        finding is not None and finding.code is vocabulary.DiagnosisCode.HEALTHY for finding in worst
    )


def words(reached: Reached, judged: Judged, pair: pairs.Pair, policy: valid.Policy) -> str:
    """The line."""
    sick = judged.get(actions.MemberName(pair.sick.name))
    name, queue = pair.sick.name, queue_words(sick)
    if not reached.fallen_sick:
        return f"{name} {queue}; both are looked at while they are well"
    if not reached.has(_Kind.INCIDENT_OPENED):
        return f"{name} {queue}; a stall from {quantities.short(thresholds.STALL_HEAD_AGE)} on"
    if not reached.has(_Kind.INCIDENT_FIRED):
        return f"{name} {queue}; has to last {_sustained(policy)}"
    if not reached.has(_Kind.ACTION_PLANNED, vocabulary.ActionKind.ROLLING_RESTART):
        return f"{name} {queue}; not replaced yet"
    if not reached.has(_Kind.ACTION_SUCCEEDED, vocabulary.ActionKind.ROLLING_RESTART):
        return f"{name} is being replaced, then probed until it answers"
    return f"the new {name} {queue}; quiet for {_quiet(sick)}, over after {_cleared(policy)}"


def queue_words(judged: judgements.Judgement | None) -> str:
    """How the queue stands by the worst finding, as in: queue 24 of 50, head waits 8.1 s."""
    worst = judged.worst if judged else None
    if worst is None:
        return "not seen yet"
    depth = signals.known(worst.signals.get(_Signal.ACCEPT_QUEUE_DEPTH))
    limit = signals.known(worst.signals.get(_Signal.ACCEPT_QUEUE_LIMIT))
    age = signals.known(worst.signals.get(_Signal.ACCEPT_QUEUE_HEAD_AGE))
    if depth is None or limit is None:
        return str(worst.code)
    waits = f", head waits {age:.1f} s" if depth and age is not None else ""
    return f"queue {depth:.0f} of {limit:.0f}{waits}"


def _quiet(judged: judgements.Judgement | None) -> str:
    span = judged.quiet_for(judged.at) if judged else None
    return "0s" if span is None else quantities.short(dt.timedelta(seconds=int(span.total_seconds())))


def _sustained(policy: valid.Policy) -> str:
    return quantities.short(max(trigger.sustained_for for trigger in policy.triggers))


def _cleared(policy: valid.Policy) -> str:
    return quantities.short(max(trigger.clear_for for trigger in policy.triggers))
