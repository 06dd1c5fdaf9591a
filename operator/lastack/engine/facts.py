"""What happened or was decided, one statement at a time: a ledger entry before it has a place in the chain.

Made by engine (decisions, absorption) and by the shell (starts, pauses); evolved into incidents by
engine.incidents, chained and stored by runbook and stores.
"""

import dataclasses
import enum
from collections.abc import Mapping

from lastack.engine import actions, instants, outcomes, reasons
from lastack.policy import valid, vocabulary


class FactKind(enum.StrEnum):
    """Every kind of entry, `noun.past_participle` (contracts)."""

    LASTACK_STARTED = "lastack.started"
    LASTACK_STOPPED = "lastack.stopped"
    POLICY_LOADED = "policy.loaded"
    POLICY_REMOVED = "policy.removed"
    POLICY_REJECTED = "policy.rejected"
    TARGET_LOST = "target.lost"
    TARGET_FOUND = "target.found"
    INCIDENT_OPENED = "incident.opened"
    INCIDENT_FIRED = "incident.fired"
    INCIDENT_ESCALATED = "incident.escalated"
    INCIDENT_SETTLED = "incident.settled"
    INCIDENT_RESOLVED = "incident.resolved"
    INCIDENT_EXHAUSTED = "incident.exhausted"
    INCIDENT_ABANDONED = "incident.abandoned"
    MEMBER_SICKENED = "member.sickened"
    MEMBER_JOINED = "member.joined"
    MEMBER_RESTARTED = "member.restarted"
    MEMBER_VERIFIED = "member.verified"
    EVIDENCE_STORED = "evidence.stored"
    EVIDENCE_MISSED = "evidence.missed"
    NOTIFICATION_RAISED = "notification.raised"
    ACTION_PLANNED = "action.planned"
    ACTION_SIMULATED = "action.simulated"
    ACTION_REFUSED = "action.refused"
    ACTION_SUCCEEDED = "action.succeeded"
    ACTION_FAILED = "action.failed"
    ACTION_INTERRUPTED = "action.interrupted"
    SYSCTL_LEASED = "sysctl.leased"
    SYSCTL_RESTORED = "sysctl.restored"
    SYSCTL_YIELDED = "sysctl.yielded"
    OPERATOR_PAUSED = "operator.paused"
    OPERATOR_RESUMED = "operator.resumed"
    CLOCK_STEPPED = "clock.stepped"
    LEDGER_CHECKPOINTED = "ledger.checkpointed"
    LEDGER_RESUMED = "ledger.resumed"


@dataclasses.dataclass(frozen=True, slots=True)
class Fact:
    """One statement. Fields that do not apply are None; `data` holds the rest, by camelCase names, without floats."""

    kind: FactKind
    at: instants.Now
    text: str
    incident: actions.IncidentId | None = None
    policy: valid.PolicyName | None = None
    policy_hash: str | None = None
    mode: vocabulary.Mode | None = None
    target: str | None = None
    member: actions.MemberName | None = None
    stage: valid.StageName | None = None
    action: vocabulary.ActionKind | None = None
    action_id: actions.StepId | None = None
    reason: reasons.Reason | None = None
    counterfactual: bool = False
    data: Mapping[str, outcomes.Json] = dataclasses.field(default_factory=dict)
    actor: str = "lastack"
