"""A service host and a sampler over a ward: what the loop asks, and what it looks through. Fakes of two ports."""

from __future__ import annotations

import datetime as dt

from lastack import ports
from lastack.engine import actions, censuses, reasons, samples
from lastack.policy import valid
from tests import wards


class FakeHost:
    """A service host over a ward (ports.ServiceHost); every instance sees the same world."""

    def __init__(self, ward: wards.Ward) -> None:
        self._ward = ward

    def members(self, target: valid.Target) -> censuses.Census:
        """Who is there."""
        return self._ward.census()

    def begin_replacement(
        self, member: actions.MemberName, expected: actions.Incarnation, step: actions.StepId
    ) -> ports.Begun | ports.AlreadyReplaced | ports.HostRefused:
        """Ask for a replacement; twice with one step is once."""
        self._ward.pass_time()
        patient = self._ward.patients.get(member)
        if patient is None:
            return ports.HostRefused(reasons.Reason.NOT_FOUND, f"no member is called {member}")
        running = self._ward.job_of(member)
        if running is not None:
            busy = ports.HostRefused(reasons.Reason.CHANGE_IN_PROGRESS, f"{member} is being replaced")
            return ports.Begun() if running.step == step else busy
        if patient.life != expected:
            return ports.AlreadyReplaced(patient.life)
        cure = patient.cures.pop(0) if patient.cures else wards.Cure.WELL
        if cure is wards.Cure.REFUSED:
            return ports.HostRefused(
                reasons.Reason.START_LIMIT, "5 starts in 10 s are all that systemd allows"
            )
        self._ward.replace(wards.Job(step, member, expected, self._ward.clock.steady, cure))
        return ports.Begun()

    def progress(
        self, member: actions.MemberName, expected: actions.Incarnation, step: actions.StepId
    ) -> ports.Waiting | ports.Replaced | ports.ReplacementFailed:
        """How far it is."""
        self._ward.pass_time()
        job = self._ward.jobs.get(step)
        if job is None:
            return ports.ReplacementFailed(f"{step} was never begun")
        if not job.ended:
            return ports.Waiting(f"{member} is stopping")
        if job.new is None:
            return ports.ReplacementFailed(f"{member} did not come up again")
        return ports.Replaced(expected, job.new)

    def in_progress(self, member: actions.MemberName, expected: actions.Incarnation) -> bool:
        """Whether it is being replaced."""
        self._ward.pass_time()
        return any(
            not job.ended and (job.member, job.expected) == (member, expected)
            for job in self._ward.jobs.values()
        )


class FakeSampler:
    """Looks at a ward (ports.Sampler)."""

    def __init__(self, ward: wards.Ward) -> None:
        self._ward = ward
        self.glances: list[tuple[dt.timedelta, ports.Selection]] = []

    def look(self, selection: ports.Selection) -> samples.Sample:
        """What can be seen of the processes that are asked for."""
        pids = frozenset(int(pid) for pid in selection.pids or ())
        return samples.Sample(self._ward.clock.now(), self._ward.looks(pids), self._ward.missing(pids))

    def glance(self, selection: ports.Selection) -> None:
        """The queues of a ward do not change between two looks; that somebody asked is kept."""
        self.glances.append((self._ward.clock.steady, selection))

    def namespace_of(self, pid: samples.Pid) -> int | None:
        """One namespace for all, where it can be seen."""
        return wards.NAMESPACE if self._ward.namespaces_seen else None
