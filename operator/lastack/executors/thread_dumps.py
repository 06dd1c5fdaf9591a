"""Take a series of thread dumps and keep it as evidence: the executor of actions.DumpSeries. Wired by bootstrap."""

import datetime as dt
import re
import threading
from collections.abc import Mapping

from lastack import errors, ports, quantities
from lastack.engine import actions, instants, outcomes
from lastack.executors import incarnations
from lastack.executors.thread_dump import groups, readers, series, stacks

_MOST_TOP = 4000
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")


class ThreadDumper:
    """Executor of DumpSeries; each begin and poll takes at most half a second."""

    def __init__(
        self,
        host_of: incarnations.HostOf,
        evidence: ports.EvidenceStore,
        clock: ports.Clock,
        of: readers.Readers,
    ) -> None:
        """`of` reads each runtime's threads."""
        self._host_of = host_of
        self._evidence = evidence
        self._clock = clock
        self._readers = of
        self._running: dict[actions.StepId, _Recording] = {}
        self._lock = threading.Lock()

    def begin(self, step: actions.Step) -> outcomes.Running | outcomes.Outcome:
        """Begin the first round, only while the expected life is there."""
        work = step.work
        if not isinstance(work, actions.DumpSeries):
            raise errors.InvariantBroken(f"{step.kind} was brought to the executor of thread dumps")
        changed = incarnations.refusal(self._host_of, step)
        if changed is not None:
            return changed
        try:
            recording = _Recording(step, work, self._evidence, self._readers)
        except errors.WorldError as problem:
            return outcomes.Failed(problem.sentence, happened=False)
        with self._lock:
            self._running[step.id] = recording
        return self._advance(step, recording)

    def poll(self, step: actions.Step) -> outcomes.Running | outcomes.Outcome:
        """Go on with it."""
        with self._lock:
            recording = self._running.get(step.id)
        if recording is None:
            return outcomes.Failed(
                "the series was not begun by this process; nothing goes on", happened=False
            )
        return self._advance(step, recording)

    def reconcile(self, step: actions.Step) -> outcomes.Reconciled:
        """A dump changes nothing in the world, and its series ends with the process that takes it."""
        with self._lock:
            if step.id in self._running:
                return outcomes.Running("the series goes on")
        return outcomes.NotHappened("a series of dumps leaves nothing behind but evidence files")

    def _advance(self, step: actions.Step, recording: "_Recording") -> outcomes.Running | outcomes.Outcome:
        try:
            found: outcomes.Running | outcomes.Outcome = recording.advance(self._clock.now())
        except errors.WorldError as problem:
            found = recording.cut_short(problem.sentence, self._clock.now())
        if not isinstance(found, outcomes.Running):
            recording.series.close()
            with self._lock:
                self._running.pop(step.id, None)
        return found


class _Recording:
    """One series on its way into the evidence store."""

    def __init__(
        self,
        step: actions.Step,
        work: actions.DumpSeries,
        evidence: ports.EvidenceStore,
        of: readers.Readers,
    ) -> None:
        self._step = step
        self._work = work
        self._evidence = evidence
        self._files: list[outcomes.EvidenceFile] = []
        self.series = series.Series(work.pids, work.settings, self._keep, of)

    def advance(self, now: instants.Now) -> outcomes.Running | outcomes.Succeeded:
        """Go on; Succeeded with the summary stored when it is over."""
        settings = self._work.settings
        if not self.series.advance(now):
            left = max(self.series.due(now) - now.steady, dt.timedelta(0))
            done = len(self.series.rounds)
            next_one = f", the next in {left.total_seconds():.0f} s" if left else ""
            return outcomes.Running(
                f"{done} of {settings.count} dumps of {self._step.member} taken{next_one}"
            )
        finding = groups.find(self.series.rounds)
        self._summarize(finding, now, None)
        return outcomes.Succeeded(
            finding.text,
            incarnation=self._step.expected,
            evidence=tuple(self._files),
            facts=_facts(finding),
        )

    def cut_short(self, why: str, now: instants.Now) -> outcomes.Failed:
        """It cannot go on: keep what there is, and say what it says."""
        finding = self.series.finding()
        text = (
            f"the series of dumps ended after {len(self.series.rounds)} of {self._work.settings.count}: {why}"
        )
        if finding is None:
            return outcomes.Failed(why, happened=bool(self._files), evidence=tuple(self._files))
        try:
            self._summarize(finding, now, why)
        except errors.WorldError as problem:
            text = f"{text}; {problem.sentence}"
        return outcomes.Failed(text, happened=True, evidence=tuple(self._files), facts=_facts(finding))

    def _keep(self, dump: stacks.ProcessDump, number: int) -> None:
        name = f"{_stamp(dump.at)}-{_for_a_name(dump.command)}-{dump.pid}-dump-{number}.{dump.suffix}"
        what = f"threads of {dump.command} ({dump.pid}), dump {number} of {self._work.settings.count}"
        self._files.append(self._evidence.keep(self._step.incident, name, dump.raw, what))

    def _summarize(self, finding: groups.Finding, now: instants.Now, why: str | None) -> None:
        text = summary(str(self._step.member), finding, self.series.missing, now.wall, why)
        name = f"{_stamp(now.wall)}-{_for_a_name(self._step.member)}-threads.txt"
        what = f"threads of {self._step.member}, grouped"
        self._files.append(self._evidence.keep(self._step.incident, name, text.encode(), what))


def summary(
    member: str,
    finding: groups.Finding,
    missing: Mapping[int, errors.WorldError],
    at: dt.datetime,
    why: str | None = None,
) -> str:
    """The whole finding as a page of text."""
    lines = [f"Threads of {member}, {instants.rfc3339(at)}", "", finding.text]
    if why:
        lines.append(f"The series was cut short: {why}")
    lines += [f"Missing: {problem.message}" for problem in missing.values()]
    return "\n".join([*lines, "", groups.listing(finding), ""])


def _facts(finding: groups.Finding) -> dict[str, outcomes.Json]:
    return {
        "top": groups.listing(finding)[:_MOST_TOP],
        "frame": str(finding.frame) if finding.frame else None,
        "cause": finding.meaning.cause.value if finding.frame else None,
        "peer": finding.meaning.peer,
        "stuck": finding.stuck,
        "of": finding.of,
        "dumps": finding.rounds,
        "span": quantities.short(finding.span),
    }


def _stamp(at: dt.datetime) -> str:
    return at.strftime("%Y%m%dT%H%M%SZ")


def _for_a_name(text: str) -> str:
    return _NOT_IN_A_NAME.sub("-", text)[:64]
