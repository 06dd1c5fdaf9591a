"""An incident: what its facts add up to. `evolve` is the only way to change one.

Decisions are facts; the incident is their sum, in the running process and in a fold over the ledger alike, so the
two can never differ. Called by loop and runbook.folds.
"""

import base64
import dataclasses
import enum
import hashlib
import re
from collections.abc import Mapping

from lastack.engine import actions, facts, instants, ladder, reasons, told_causes
from lastack.policy import valid, vocabulary


class OutcomeCode(enum.StrEnum):
    """How an incident ended."""

    VERIFIED = "verified"
    INCONCLUSIVE = "inconclusive"
    RECOVERED_UNAIDED = "recovered-unaided"
    INEFFECTIVE = "ineffective"
    EXHAUSTED = "exhausted"
    ABANDONED = "abandoned"


class StepState(enum.StrEnum):
    """How far an act is."""

    PLANNED = "planned"
    SIMULATED = "simulated"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclasses.dataclass(frozen=True, slots=True)
class StepRecord:
    """One act of the incident. `expected` is the life it was meant for, `ended` when its outcome was known.

    `happened` is whether the world was changed (None: not known, or not yet).
    """

    id: actions.StepId
    stage: valid.StageName
    member: actions.MemberName
    kind: vocabulary.ActionKind
    expected: actions.Incarnation
    state: StepState
    planned: instants.Now
    ended: instants.Now | None = None
    happened: bool | None = None
    reason: str | None = None
    """Why the executor itself refused it, if it did."""


@dataclasses.dataclass(frozen=True, slots=True)
class Held:
    """The last refusal of one subject: its reason, its sentence, and the stage that it held."""

    reason: str
    text: str
    stage: valid.StageName | None


@dataclasses.dataclass(frozen=True, slots=True)
class Incident:
    """One target's trouble from suspicion to its end.

    `lives` is the life of each member as last known. `sick` are the members that fired, in the order in which they
    did. `stage` is the index of the rung that is being tried (actions.rungs_of). `refusals` is the last refusal per
    subject, so that each is written once per change. `evidence` are the lives whose evidence is stored, or recorded
    as missed.
    """

    id: actions.IncidentId
    policy: valid.PolicyName
    policy_hash: str
    target: str
    mode: vocabulary.Mode
    opened_at: instants.Now
    phase: ladder.Phase
    phase_since: instants.Now
    stage: int
    diagnosis: vocabulary.DiagnosisCode
    cause: vocabulary.CauseKind | None
    lives: Mapping[actions.MemberName, actions.Incarnation]
    sick: tuple[actions.MemberName, ...] = ()
    steps: tuple[StepRecord, ...] = ()
    refusals: Mapping[str, Held] = dataclasses.field(default_factory=dict)
    evidence: Mapping[actions.MemberName, actions.Incarnation] = dataclasses.field(default_factory=dict)
    verified: Mapping[actions.MemberName, actions.Incarnation] = dataclasses.field(default_factory=dict)
    suspects: tuple[actions.MemberName, ...] = ()
    """The members that were raised when the incident was opened."""
    settled: int = -1
    """The highest stage whose acts are over: tried once, it is not tried again."""
    told: Mapping[actions.MemberName, told_causes.ToldCause] = dataclasses.field(default_factory=dict)
    """Causes that dumps have told; never `unknown`."""
    announced: frozenset[str] = frozenset()
    """Peers of which this incident told people that several wait for them."""
    waits: Mapping[actions.MemberName, str] = dataclasses.field(default_factory=dict)
    """The peer that each sick member waits for, as last told from outside or by dumps: other targets may, too."""
    closed_at: instants.Now | None = None
    outcome: OutcomeCode | None = None

    @property
    def acted(self) -> bool:
        """Whether a remedy (not merely evidence) changed the world."""
        return any(step.happened and not actions.NATURES[step.kind].at_suspicion for step in self.steps)

    @property
    def treated(self) -> tuple[actions.MemberName, ...]:
        """The members that a remedy was applied to, in order."""
        names = [s.member for s in self.steps if s.happened and not actions.NATURES[s.kind].at_suspicion]
        return tuple(dict.fromkeys(names))

    def running(self) -> tuple[StepRecord, ...]:
        """Acts without an outcome."""
        return tuple(step for step in self.steps if step.state is StepState.PLANNED)

    def step(self, step_id: actions.StepId) -> StepRecord | None:
        """The act of that id."""
        return next((step for step in self.steps if step.id == step_id), None)


def incident_id(policy: str, target: str, opened: instants.Now, seq: int) -> actions.IncidentId:
    """`<target-slug>-<10 base32>`, a DNS-1123 label of at most 63 characters, derived and never random."""
    slug = re.sub(r"[^a-z0-9]+", "-", target.lower()).strip("-")[:52].rstrip("-") or "target"
    seed = "\x1f".join((policy, target, instants.rfc3339(opened.wall, microseconds=True), str(seq)))
    digest = base64.b32encode(hashlib.sha256(seed.encode()).digest()).decode().lower()[:10]
    return actions.IncidentId(f"{slug}-{digest}")


def evolve(incident: Incident | None, fact: facts.Fact) -> Incident | None:
    """The incident after one more fact; a fact of another kind or incident changes nothing.

    `incident` None and `incident.opened` begins one. Raises InvariantBroken when the ladder has no such move.
    """
    if fact.kind is facts.FactKind.INCIDENT_OPENED:
        return _opened(fact)
    if incident is None or fact.incident != incident.id:
        return incident
    change = _CHANGES.get(fact.kind)
    return incident if change is None else change(incident, fact)


def _opened(fact: facts.Fact) -> Incident | None:
    if fact.incident is None or fact.policy is None or fact.mode is None:
        return None
    cause = fact.data.get("cause")
    return Incident(
        id=fact.incident,
        policy=fact.policy,
        policy_hash=fact.policy_hash or "",
        target=fact.target or "",
        mode=fact.mode,
        opened_at=fact.at,
        phase=ladder.move(ladder.Phase.QUIET, ladder.Event.RAISED),
        phase_since=fact.at,
        stage=0,
        diagnosis=vocabulary.DiagnosisCode(str(fact.data["diagnosis"])),
        cause=vocabulary.CauseKind(cause) if isinstance(cause, str) else None,
        lives=_lives(fact),
        suspects=_suspects(fact),
    )


def _lives(fact: facts.Fact) -> dict[actions.MemberName, actions.Incarnation]:
    lives = fact.data.get("lives")
    if not isinstance(lives, Mapping):
        return {}
    return {actions.MemberName(name): actions.Incarnation(str(life)) for name, life in lives.items()}


def _suspects(fact: facts.Fact) -> tuple[actions.MemberName, ...]:
    names = fact.data.get("members")
    return tuple(actions.MemberName(str(name)) for name in names) if isinstance(names, tuple) else ()


def _moved(incident: Incident, fact: facts.Fact, event: ladder.Event) -> Incident:
    return dataclasses.replace(incident, phase=ladder.move(incident.phase, event), phase_since=fact.at)


def _fired(incident: Incident, fact: facts.Fact) -> Incident:
    event = ladder.Event.FIRED if incident.phase is ladder.Phase.SUSPECTED else ladder.Event.RELAPSED
    return _moved(incident, fact, event)


def _sickened(incident: Incident, fact: facts.Fact) -> Incident:
    if fact.member is None:
        return incident
    code = vocabulary.DiagnosisCode(str(fact.data["diagnosis"]))
    lives = {**incident.lives, fact.member: actions.Incarnation(str(fact.data["life"]))}
    sick = (*incident.sick, fact.member) if fact.member not in incident.sick else incident.sick
    changed = dataclasses.replace(incident, sick=sick, lives=lives, diagnosis=code)
    return _caused(changed, fact)


def _caused(incident: Incident, fact: facts.Fact) -> Incident:
    """The incident with the cause and the peer that a fact of one member names, if it names them."""
    cause, peer = fact.data.get("cause"), fact.data.get("peer")
    if not isinstance(cause, str) or cause == vocabulary.CauseKind.UNKNOWN:
        return incident
    waits = {name: each for name, each in incident.waits.items() if name != fact.member}
    if isinstance(peer, str) and fact.member is not None:
        waits[fact.member] = peer
    return dataclasses.replace(incident, cause=vocabulary.CauseKind(cause), waits=waits)


def _restarted(incident: Incident, fact: facts.Fact) -> Incident:
    if fact.member is None:
        return incident
    lives = {**incident.lives, fact.member: actions.Incarnation(str(fact.data["life"]))}
    return dataclasses.replace(incident, lives=lives)


def _escalated(incident: Incident, fact: facts.Fact) -> Incident:
    moved = _moved(incident, fact, ladder.Event.ESCALATED)
    return dataclasses.replace(moved, stage=int(str(fact.data["to"])))


def _acted(incident: Incident, fact: facts.Fact) -> Incident:
    """incident.settled: the stage's acts are over, or the settle time is."""
    if incident.phase is not ladder.Phase.REMEDIATING:
        return _moved(incident, fact, ladder.Event.SETTLED)
    return dataclasses.replace(_moved(incident, fact, ladder.Event.ACTED), settled=incident.stage)


def _closed(incident: Incident, fact: facts.Fact) -> Incident:
    abandoned = fact.kind is facts.FactKind.INCIDENT_ABANDONED
    moved = _moved(incident, fact, ladder.Event.ABANDONED if abandoned else ladder.Event.CLEARED)
    outcome = OutcomeCode.ABANDONED if abandoned else OutcomeCode(str(fact.data["outcome"]))
    return dataclasses.replace(moved, closed_at=fact.at, outcome=outcome)


def _exhausted(incident: Incident, fact: facts.Fact) -> Incident:
    return _moved(incident, fact, ladder.Event.ENDED)


def _evidenced(incident: Incident, fact: facts.Fact) -> Incident:
    if fact.member is None:
        return incident
    record = incident.step(fact.action_id) if fact.action_id else None
    life = record.expected if record else incident.lives.get(fact.member, actions.Incarnation(""))
    changed = dataclasses.replace(incident, evidence={**incident.evidence, fact.member: life})
    cause = told_causes.of(fact)
    if cause is None:
        return changed
    told = {**incident.told, fact.member: told_causes.ToldCause(life, cause)}
    return _caused(dataclasses.replace(changed, told=told), fact)


def _verified(incident: Incident, fact: facts.Fact) -> Incident:
    if fact.member is None:
        return incident
    life = actions.Incarnation(str(fact.data["life"]))
    return dataclasses.replace(incident, verified={**incident.verified, fact.member: life})


def _planned(incident: Incident, fact: facts.Fact) -> Incident:
    simulated = fact.kind is facts.FactKind.ACTION_SIMULATED
    if fact.action_id is None or fact.stage is None or fact.member is None or fact.action is None:
        return incident
    record = StepRecord(
        id=fact.action_id,
        stage=fact.stage,
        member=fact.member,
        kind=fact.action,
        expected=actions.Incarnation(str(fact.data.get("expected", ""))),
        state=StepState.SIMULATED if simulated else StepState.PLANNED,
        planned=fact.at,
        ended=fact.at if simulated else None,
        happened=False if simulated else None,
    )
    held = f"{fact.stage}/{fact.member}"
    refusals = {subject: refusal for subject, refusal in incident.refusals.items() if subject != held}
    return dataclasses.replace(incident, steps=(*incident.steps, record), refusals=refusals)


_ENDINGS = {
    facts.FactKind.ACTION_SUCCEEDED: StepState.SUCCEEDED,
    facts.FactKind.ACTION_FAILED: StepState.FAILED,
    facts.FactKind.ACTION_INTERRUPTED: StepState.INTERRUPTED,
}
_HAPPENED = {"yes": True, "no": False}


def _ended(incident: Incident, fact: facts.Fact) -> Incident:
    record = incident.step(fact.action_id) if fact.action_id else None
    if record is None:
        return incident
    succeeded = fact.kind is facts.FactKind.ACTION_SUCCEEDED
    happened = True if succeeded else _HAPPENED.get(str(fact.data.get("happened")))
    ended = dataclasses.replace(
        record, state=_ENDINGS[fact.kind], ended=fact.at, happened=happened, reason=fact.reason
    )
    steps = tuple(ended if step.id == record.id else step for step in incident.steps)
    life = fact.data.get("life")
    lives = incident.lives
    if isinstance(life, str) and record.kind is vocabulary.ActionKind.ROLLING_RESTART:
        lives = {**lives, record.member: actions.Incarnation(life)}
    return dataclasses.replace(incident, steps=steps, lives=lives)


def _refused(incident: Incident, fact: facts.Fact) -> Incident:
    subject = fact.data.get("subject")
    if not isinstance(subject, str):
        return incident
    held = Held(str(fact.data["refusal"]), fact.text, fact.stage)
    return dataclasses.replace(incident, refusals={**incident.refusals, subject: held})


def _announced(incident: Incident, fact: facts.Fact) -> Incident:
    peer = fact.data.get("peer")
    if fact.data.get("why") != reasons.Reason.COMMON_CAUSE or not isinstance(peer, str):
        return incident
    return dataclasses.replace(incident, announced=incident.announced | {peer})


_CHANGES = {
    facts.FactKind.INCIDENT_FIRED: _fired,
    facts.FactKind.INCIDENT_ESCALATED: _escalated,
    facts.FactKind.INCIDENT_SETTLED: _acted,
    facts.FactKind.INCIDENT_RESOLVED: _closed,
    facts.FactKind.INCIDENT_ABANDONED: _closed,
    facts.FactKind.INCIDENT_EXHAUSTED: _exhausted,
    facts.FactKind.MEMBER_SICKENED: _sickened,
    facts.FactKind.MEMBER_JOINED: _restarted,
    facts.FactKind.MEMBER_RESTARTED: _restarted,
    facts.FactKind.MEMBER_VERIFIED: _verified,
    facts.FactKind.NOTIFICATION_RAISED: _announced,
    facts.FactKind.EVIDENCE_STORED: _evidenced,
    facts.FactKind.EVIDENCE_MISSED: _evidenced,
    facts.FactKind.ACTION_PLANNED: _planned,
    facts.FactKind.ACTION_SIMULATED: _planned,
    facts.FactKind.ACTION_SUCCEEDED: _ended,
    facts.FactKind.ACTION_FAILED: _ended,
    facts.FactKind.ACTION_INTERRUPTED: _ended,
    facts.FactKind.ACTION_REFUSED: _refused,
}
