"""A cause as a sentence: what the code waits for, how many of its threads, and how far that can be trusted.

Called by cli.diagnosis_texts; pure.
"""

from collections.abc import Mapping

from lastack.engine import findings
from lastack.policy import vocabulary

_Kind = vocabulary.CauseKind
_WAITS: Mapping[_Kind, str] = {
    _Kind.LOCK: "it waits for a lock",
    _Kind.DOWNSTREAM: "it waits for a server that it calls",
    _Kind.POOL: "it waits for a connection of its own pool",
    _Kind.CPU: "it is busy on the processor",
    _Kind.THROTTLED: "the processor quota of its control group runs out",
    _Kind.MEMORY: "its control group waits for memory",
    _Kind.STOPPED: "it is stopped, by a signal or a debugger",
    _Kind.CLIENT: "it sends to clients that do not read",
    _Kind.UNKNOWN: "unknown",
}
_SOURCES: Mapping[str, str] = {
    "processState": "from the states of its processes",
    "cpuTime": "from the processor time of its processes",
    "cgroup": "from the counters of its control group",
    "threadStands": "from where its threads stand",
    "threadDump": "from a thread dump",
}


def sentence(cause: findings.Cause, *, recorded: bool = False) -> str:
    """The cause with its numbers and its source, such as "(low confidence, from where its threads stand)".

    Of a `recorded` process no dump can be taken: where it runs one can.
    """
    if cause.kind is _Kind.UNKNOWN and cause.frame is None:
        if recorded:
            return "unknown: nothing shows from outside; where it was recorded, diagnose --dump shows its threads"
        return "unknown: nothing shows from outside; see where its threads stand with --dump"
    source = "" if cause.source is None else f", {_SOURCES.get(cause.source, cause.source)}"
    peer = f", {cause.peer}" if cause.peer else ""
    return f"{_WAITS[cause.kind]}{peer}{_counted(cause)} ({cause.confidence} confidence{source})"


def _counted(cause: findings.Cause) -> str:
    where = f" in {cause.frame}" if cause.frame else ""
    if cause.stuck is None:
        return f",{where}" if where else ""
    what = "worker process" if cause.source == "processState" else "thread"
    if cause.of is None:
        return f": {cause.stuck} {what}{_plural(what, cause.stuck)}{where}"
    return f": {cause.stuck} of {cause.of} {what}{_plural(what, cause.of)}{where}"


def _plural(what: str, count: int) -> str:
    if count == 1:
        return ""
    return "es" if what.endswith("s") else "s"
