"""A decision in the making: the facts said so far, the incident as they leave it, and the steps to begin.

Local to one call of decisions.decide, so that the decision stays a pure function of its arguments.
"""

import dataclasses
import hashlib
from collections.abc import Mapping

from lastack.engine import (
    actions,
    censuses,
    facts,
    findings,
    guards,
    incidents,
    instants,
    judgements,
    outcomes,
    plans,
    probes,
    standings,
)
from lastack.policy import valid, vocabulary


@dataclasses.dataclass(frozen=True, slots=True)
class Circumstances:
    """Everything that a decision about one target may rest on, at one instant. `seq` is the next of the ledger."""

    policy: valid.Policy
    census: censuses.Census
    judged: Mapping[actions.MemberName, judgements.Judgement]
    standing: standings.Standing
    answers: Mapping[actions.MemberName, probes.ProbeResult]
    now: instants.Now
    seq: int

    def living(self) -> list[judgements.Judgement]:
        """The judgements of the members that are there, in the life that they are in."""
        return [
            self.judged[member.name]
            for member in self.census.members
            if member.name in self.judged and self.judged[member.name].incarnation == member.incarnation
        ]


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """What is to be written, then begun, then asked. Written first, durably; begun after."""

    news: tuple[facts.Fact, ...] = ()
    steps: tuple[actions.Step, ...] = ()
    asked: tuple[actions.MemberName, ...] = ()


class Draft:
    """Says facts and evolves the incident with each."""

    def __init__(self, incident: incidents.Incident, at: Circumstances) -> None:
        self.incident = incident
        self.at = at
        self.rungs = actions.rungs_of(at.policy)
        self._facts: list[facts.Fact] = []
        self._steps: list[actions.Step] = []
        self._probes: dict[actions.MemberName, None] = {}

    def decision(self) -> Decision:
        """What has been said."""
        return Decision(tuple(self._facts), tuple(self._steps), tuple(self._probes))

    def say(
        self,
        kind: facts.FactKind,
        text: str,
        *,
        member: actions.MemberName | None = None,
        stage: valid.Stage | None = None,
        data: Mapping[str, outcomes.Json] | None = None,
        of: facts.Fact | None = None,
    ) -> None:
        """Add one fact with the incident's own fields filled in; `of` gives further fields (reason, action id)."""
        fact = dataclasses.replace(
            of or facts.Fact(kind, self.at.now, text),
            kind=kind,
            at=self.at.now,
            text=text,
            incident=self.incident.id,
            policy=self.at.policy.name,
            policy_hash=self.at.policy.digest,
            mode=stage.mode if stage else self.at.policy.mode,
            target=self.at.policy.target_name,
            member=member,
            stage=stage.name if stage else None,
            action=actions.kind_of(stage.action) if stage else None,
            counterfactual=self._counterfactual(kind),
            data=data or {},
        )
        self._facts.append(fact)
        self.incident = incidents.evolve(self.incident, fact) or self.incident

    def plan(self, stage: valid.Stage, step: actions.Step, text: str) -> None:
        """Plan one act: on record first; in observe mode it is simulated, and no process is touched."""
        real = stage.mode is vocabulary.Mode.ENFORCE
        kind = facts.FactKind.ACTION_PLANNED if real else facts.FactKind.ACTION_SIMULATED
        verb = text if real else f"observe: would {text[0].lower()}{text[1:]}"
        of = facts.Fact(kind, self.at.now, verb, action_id=step.id)
        self.say(kind, verb, member=step.member, stage=stage, data=plans.data_of(step), of=of)
        if real:
            self._steps.append(step)

    def refuse(
        self, stage: valid.Stage, refusal: guards.Refusal, *, subject: str, member: actions.MemberName | None
    ) -> None:
        """Write a refusal once per change: again only when its reason is another one than before."""
        key = f"{stage.name}/{subject}"
        before = self.incident.refusals.get(key)
        if before is not None and before.reason == refusal.reason:
            return
        of = facts.Fact(facts.FactKind.ACTION_REFUSED, self.at.now, refusal.text, reason=refusal.reason)
        data = {"subject": key, "refusal": str(refusal.reason)}
        self.say(of.kind, refusal.text, member=member, stage=stage, data=data, of=of)

    def probe(self, member: actions.MemberName) -> None:
        """Ask for a probe of the member; the answer comes with a later tick."""
        self._probes[member] = None

    def step_id(self, stage: valid.Stage, *about: str) -> actions.StepId:
        """An id derived from what the step is about: the same act has the same id after a crash."""
        digest = hashlib.sha256("\x1f".join((self.incident.id, stage.name, *about)).encode()).hexdigest()
        return actions.StepId(f"{stage.name}-{digest[:16]}")

    def step(
        self, stage: valid.Stage, step_id: actions.StepId, member: censuses.Member, work: actions.Work
    ) -> actions.Step:
        """The step, with everything that an executor needs."""
        return actions.Step(
            id=step_id,
            incident=self.incident.id,
            target=self.at.policy.target,
            target_name=self.at.policy.target_name,
            member=member.name,
            expected=member.incarnation or actions.Incarnation(""),
            stage=stage.name,
            mode=stage.mode,
            work=work,
        )

    def situation(self, stage: valid.Stage, member: censuses.Member) -> guards.Situation:
        """What the guards look at."""
        at = self.at
        return guards.Situation(
            at.policy, stage, member, at.census, at.judged, self.incident, at.standing, at.now
        )

    def _counterfactual(self, kind: facts.FactKind) -> bool:
        if kind not in _AFTER_AN_ACT:
            return False
        return any(
            step.state is incidents.StepState.SIMULATED and not actions.NATURES[step.kind].at_suspicion
            for step in self.incident.steps
        )


_AFTER_AN_ACT = frozenset(
    {
        facts.FactKind.INCIDENT_ESCALATED,
        facts.FactKind.INCIDENT_EXHAUSTED,
        facts.FactKind.INCIDENT_SETTLED,
        facts.FactKind.ACTION_SIMULATED,
        facts.FactKind.ACTION_REFUSED,
        facts.FactKind.NOTIFICATION_RAISED,
    }
)
"""What enforce might have said otherwise, once an act was only simulated."""


def finding_data(finding: findings.Finding) -> dict[str, outcomes.Json]:
    """A finding as an entry holds it: codes, and each number with what it was held against, fractions as text."""
    return {
        "diagnosis": str(finding.code),
        "severity": str(finding.severity),
        "confidence": str(finding.confidence),
        "cause": None if finding.cause is None else str(finding.cause.kind),
        "peer": None if finding.cause is None else finding.cause.peer,
        "evidence": tuple(
            {"signal": str(e.signal), "value": _number(e.value), "limit": _number(e.limit), "text": e.text}
            for e in finding.evidence
        ),
    }


def _number(value: float | None) -> outcomes.Json:
    if value is None or isinstance(value, int):
        return value
    return f"{value:.3f}".rstrip("0").rstrip(".")
