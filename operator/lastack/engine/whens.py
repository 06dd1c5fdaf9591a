"""Whether a stage is meant for what ails a member: its diagnosis, its cause, and how sure they are. Pure.

Called by rungs. What does not fit is a refusal with the reason; what cannot be told yet is one to wait for.
"""

from lastack.engine import findings, guards, member_causes, reasons, remedies, samples
from lastack.policy import valid, vocabulary

_ORDER = tuple(vocabulary.Confidence)


def mismatch(
    stage: valid.Stage,
    finding: findings.Finding,
    confidence: vocabulary.Confidence,
    cause: findings.Cause | None,
    namespace: samples.NamespaceSample | None,
) -> guards.Refusal | None:
    """Why the stage is not for this finding, of that confidence and with this cause; None when it is."""
    when = stage.when
    if when.diagnoses and finding.code not in when.diagnoses:
        text = remedies.why_not(stage, finding.code, namespace, finding)
        return guards.Refusal(reasons.Reason.CANNOT_HELP, text)
    if cause is not None and cause.kind in when.not_causes:
        text = f"the cause is {member_causes.words(cause)}; stage {stage.name} is not for {_words(when.not_causes)}"
        return guards.Refusal(reasons.Reason.CAUSE_FORBIDS, text)
    if when.causes and (cause is None or cause.kind not in when.causes):
        found = (
            f"the cause is {member_causes.words(cause)}"
            if cause
            else f"no cause is sought for {finding.code}"
        )
        text = f"{found}; stage {stage.name} is for {_words(when.causes)}"
        return guards.Refusal(reasons.Reason.CANNOT_HELP, text)
    unsure = [f"the diagnosis {finding.code}"] if _below(confidence, when.confidence) else []
    if when.causes and cause is not None and _below(cause.confidence, when.confidence):
        unsure.append(f"the cause {cause.kind}")
    if unsure:
        text = (
            f"{' and '.join(unsure)} is below {when.confidence} confidence, which stage {stage.name} asks for"
        )
        return guards.Refusal(reasons.Reason.LOW_CONFIDENCE, text)
    return None


def _below(found: vocabulary.Confidence, least: vocabulary.Confidence) -> bool:
    return _ORDER.index(found) < _ORDER.index(least)


def _words(kinds: frozenset[vocabulary.CauseKind]) -> str:
    return ", ".join(sorted(kinds))
