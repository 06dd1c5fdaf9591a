"""`diagnose --dump`: one thread dump of a sick process, for its cause. Called by cli.diagnose.

What the threads wait for is not told from a dump yet: the cause stays unknown, but says where they stand.
"""

import dataclasses
import datetime as dt
import time

from lastack import errors
from lastack.cli import diagnosis_documents
from lastack.engine import findings, samples
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
    frame = None if found.frame is None else str(found.frame)
    seen = findings.Cause(
        kind=cause.kind,
        source="threadDump",
        confidence=vocabulary.Confidence.LOW,
        frame=frame,
        stuck=found.stuck,
        of=found.of,
    )
    return dataclasses.replace(item, finding=dataclasses.replace(item.finding, cause=seen)), None


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
