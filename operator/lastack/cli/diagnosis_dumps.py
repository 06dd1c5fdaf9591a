"""`diagnose --dump`: one thread dump of a sick process, for its cause. Called by cli.diagnose."""

import dataclasses
import datetime as dt
import time

from lastack import errors
from lastack.cli import diagnosis_documents
from lastack.engine import findings, member_causes, samples
from lastack.executors.thread_dump import groups, readers, series
from lastack.kernel import clocks
from lastack.policy import valid, vocabulary

_ONE = valid.ThreadDump(
    count=1,
    every=dt.timedelta(seconds=1),
    max_pause=dt.timedelta(milliseconds=500),
    wait_at_most=dt.timedelta(seconds=30),
)
_LOOK_EVERY_SECONDS = 0.02
_CONFIDENCE = {
    (True, True): vocabulary.Confidence.HIGH,  # stacks and kernel, and the queue that stood still meanwhile
    (True, False): vocabulary.Confidence.MEDIUM,
    (False, True): vocabulary.Confidence.LOW,
    (False, False): vocabulary.Confidence.LOW,
}
"""By whether the dump knows what they wait for, and whether that is half of the workers or more."""


def with_cause(
    item: diagnosis_documents.Diagnosed,
) -> tuple[diagnosis_documents.Diagnosed, samples.Missing | None]:
    """The item with the place where its threads stand, and why it could not be seen if it could not.

    Only where a cause is sought at all: nothing is sent to a process that is not stuck.
    """
    cause, window = item.finding.cause, item.window
    if cause is None or window is None or not window.last.owner.processes:
        return item, None
    try:
        found = _dump([process.pid for process in window.last.owner.processes])
    except errors.WorldError as problem:
        return item, samples.Missing(problem.message, problem.fix)
    return dataclasses.replace(
        item, finding=dataclasses.replace(item.finding, cause=_cause(cause, found))
    ), None


def _cause(seen: findings.Cause, found: groups.Finding) -> findings.Cause:
    """What the dump says; what holds a whole process back (a quota, memory, a signal) no stack can overrule."""
    meaning = found.meaning
    if seen.kind in member_causes.FROM_OUTSIDE:
        return dataclasses.replace(seen, frame=None if found.frame is None else str(found.frame))
    known = meaning.cause is not vocabulary.CauseKind.UNKNOWN
    most = 2 * found.stuck >= found.of
    return findings.Cause(
        kind=meaning.cause,
        source="threadDump",
        confidence=_CONFIDENCE[known, most],
        peer=meaning.peer,
        frame=None if found.frame is None else str(found.frame),
        stuck=found.stuck,
        of=found.of,
    )


def _dump(pids: list[samples.Pid]) -> groups.Finding:
    """One dump of each process; raises WorldError when none of them can be read."""
    clock = clocks.SystemClock()
    taken = series.Series(pids, _ONE, lambda _one, _number: None, readers.all_readers())
    try:
        while not taken.advance(clock.now()):
            time.sleep(_LOOK_EVERY_SECONDS)
    finally:
        taken.close()
    return groups.find(taken.rounds)
