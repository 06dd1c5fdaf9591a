"""What is left for a human after an incident, by diagnosis; one table. Called by render.

What lastack can do ends at the process and the kernel: these sentences say where the fault itself is.
"""

from collections.abc import Mapping

from lastack.engine import incidents
from lastack.policy import vocabulary

_Code = vocabulary.DiagnosisCode
_Cause = vocabulary.CauseKind

TASKS: Mapping[_Code, tuple[str, ...]] = {
    _Code.ACCEPT_STALL: (
        "Find out what the stuck threads above wait for, and give that call a time-out.",
        "A restart frees the workers; it does not mend what they wait for.",
        "Count the workers against the slowest call: as many slow calls at once stop the service.",
    ),
    _Code.FD_LEAK: (
        "Find the code path that does not close its connection, usually an error path or an early return.",
        "A restart gives the open files back once; without the fix the leak fills them again.",
    ),
    _Code.BACKLOG_TOO_SMALL: (
        "Make the limit permanent: net.core.somaxconn in sysctl.d, and the backlog of the application itself.",
        "The smaller of the two counts, from the next listen() on.",
        "Ask whether the bursts are meant: many clients that connect in the same second can be spread.",
    ),
    _Code.NOT_LISTENING: (
        "Read the log of the service: it ended, never started, or listens somewhere else.",
    ),
    _Code.OVERLOAD: (
        "Add capacity or shed load: a larger queue only makes clients wait longer for the same answer.",
    ),
    _Code.HANDLER_STALL: ("Find out what the stuck handlers wait for, and give that call a time-out.",),
    _Code.FD_EXHAUSTION: (
        "Find out whether the files leaked or the limit is too small for the load (LimitNOFILE).",
    ),
    _Code.SYN_PRESSURE: ("Find out who sends the handshakes, and whether they are meant.",),
    _Code.OUTBOUND_LEAK: (
        "Give the connection pool an eviction setting: it keeps connections that its peer has closed.",
    ),
    _Code.HALF_CLOSE_IN_USE: (),
    _Code.HEALTHY: (),
    _Code.UNKNOWN: ("Look at the missing signals first: what could not be seen could not be judged.",),
}

BY_OUTCOME: Mapping[incidents.OutcomeCode | None, str | None] = {
    incidents.OutcomeCode.VERIFIED: None,
    incidents.OutcomeCode.INCONCLUSIVE: "Send the service a real request: nobody has proven that it serves.",
    incidents.OutcomeCode.RECOVERED_UNAIDED: "It went by itself, so it can come back; lastack claims nothing.",
    incidents.OutcomeCode.INEFFECTIVE: "**Act now**: what lastack did has not made the service well.",
    incidents.OutcomeCode.EXHAUSTED: "What lastack may do did not end it; what ended it is not known.",
    incidents.OutcomeCode.ABANDONED: "**Look at the service**: lastack stopped in the middle.",
    None: "The incident is still open.",
}


BY_CAUSE: Mapping[_Cause, str | None] = {
    _Cause.LOCK: "Find out who holds the lock for so long: the dumps name the owner where the runtime tells it.",
    _Cause.DOWNSTREAM: "Look at the service that they wait for: the sickness is over there, and comes back from there.",
    _Cause.POOL: "Find out who keeps the connections of the pool: a larger pool helps only when they come back.",
    _Cause.CPU: "Profile the place above: it computes, and waits for nobody.",
    _Cause.THROTTLED: "Raise the processor quota of its control group, or take work away: a restart keeps the quota.",
    _Cause.MEMORY: "Raise the memory limit of its control group, or find what grows: a restart keeps the limit.",
    _Cause.STOPPED: "Find out who stopped the process (a signal, a debugger), and whether it is meant.",
    _Cause.CLIENT: "Give answers to slow clients a time-out, or put a proxy that buffers in front.",
    _Cause.UNKNOWN: None,
}


def tasks(
    diagnosis: _Code,
    cause: _Cause | None,
    outcome: incidents.OutcomeCode | None,
    frames: tuple[str, ...],
) -> list[str]:
    """Sentences for a human, the most urgent first; Markdown, with `frames` escaped already."""
    first = BY_OUTCOME[outcome]
    found = [first] if first else []
    if frames:
        found.append(f"Begin at {', '.join(frames)}: that is where the threads stood still.")
    why = BY_CAUSE[cause] if cause is not None else None
    return [*found, *([why] if why else []), *TASKS[diagnosis]]
