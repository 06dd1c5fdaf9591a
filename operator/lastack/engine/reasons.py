"""Why something was refused: one table, from which ledger, docs and status render.

A refusal always carries one of these codes and a sentence with numbers.
"""

import enum


class Reason(enum.StrEnum):
    """The code of a refusal (contracts: `reason`)."""

    WARM_UP = "warm-up"
    YOUNG_PROCESS = "young-process"
    COOLDOWN = "cooldown"
    BUDGET_SPENT = "budget-spent"
    MIN_AVAILABLE = "min-available"
    COMMON_CAUSE = "common-cause"
    CAUSE_FORBIDS = "cause-forbids"
    PAUSED = "paused"
    CHANGE_IN_PROGRESS = "change-in-progress"
    EVIDENCE_PENDING = "evidence-pending"
    STALE_SAMPLES = "stale-samples"
    START_LIMIT = "start-limit"
    CANNOT_HELP = "cannot-help"
    LOW_CONFIDENCE = "low-confidence"
    INCARNATION_CHANGED = "incarnation-changed"
    NOT_PERMITTED = "not-permitted"
    NO_FEATURE = "no-feature"
    DISK_FULL = "disk-full"
    NOT_FOUND = "not-found"
    ALREADY_DONE = "already-done"


MEANINGS: dict[Reason, str] = {
    Reason.WARM_UP: "lastack, the host or the clock has just started or resumed: it looks, and does not disrupt",
    Reason.YOUNG_PROCESS: "the process is younger than limits.minProcessAge and may still be starting up",
    Reason.COOLDOWN: "this member was remediated less than limits.cooldown ago",
    Reason.BUDGET_SPENT: "limits.restarts allows no further restart in this span of time",
    Reason.MIN_AVAILABLE: "too few other members would be left to serve (limits.minAvailable)",
    Reason.COMMON_CAUSE: "several members or targets wait for one peer: restarts make its comeback harder",
    Reason.CAUSE_FORBIDS: "the cause is one that this act does not remove, or makes worse",
    Reason.PAUSED: "somebody paused lastack; the pause has a reason and may have an end",
    Reason.CHANGE_IN_PROGRESS: "somebody is changing this member right now: a queued job, or daemon-reload is due",
    Reason.EVIDENCE_PENDING: "nothing disruptive before the evidence is stored, or its bounded wait is over",
    Reason.STALE_SAMPLES: "samples are missing or too old; what is not seen is not acted on",
    Reason.START_LIMIT: "one more start would exceed the unit's StartLimit and leave it failed and stopped",
    Reason.CANNOT_HELP: "this remedy does not act on what is wrong",
    Reason.LOW_CONFIDENCE: "a diagnosis of low confidence never starts a disruptive act",
    Reason.INCARNATION_CHANGED: "the member is not the process that was diagnosed any more",
    Reason.NOT_PERMITTED: "lastack lacks a right that the act needs",
    Reason.NO_FEATURE: "this system lacks what the act needs",
    Reason.DISK_FULL: "an act that cannot be recorded is not begun",
    Reason.NOT_FOUND: "the member or thing to act on is not there",
    Reason.ALREADY_DONE: "the world is already as the act would leave it",
}
