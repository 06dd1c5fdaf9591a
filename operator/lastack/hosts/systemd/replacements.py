"""One member's replacement: a restart of its unit, only while the expected InvocationID is its life. Called by host.

Nothing that matters is kept: how far a replacement is can be told from the unit alone (its InvocationID, its job,
since when it is active). What an instance remembers of its own jobs only tells more (that one was cancelled).
TryRestartUnit is used and not RestartUnit: it never starts what somebody has stopped in between; mode `fail` lets
systemd itself refuse when another change is queued.
"""

import collections
import dataclasses
import datetime as dt

import jeepney

from lastack import ports
from lastack.engine import actions, reasons
from lastack.hosts.systemd import bus, holds, units

SETTLE = dt.timedelta(seconds=1)
"""How long a new life must be active before it counts: a job of Type=simple is done before the program can fail."""

JOBS_REMEMBERED = 256

JOB_REMOVED = jeepney.MatchRule(
    type="signal", interface=units.MANAGER, member="JobRemoved", path=units.MANAGER_PATH
)

_SYSTEMD_REFUSALS = {
    "org.freedesktop.systemd1.NoSuchUnit": reasons.Reason.NOT_FOUND,
    "org.freedesktop.systemd1.LoadFailed": reasons.Reason.NOT_FOUND,
    "org.freedesktop.systemd1.TransactionIsDestructive": reasons.Reason.CHANGE_IN_PROGRESS,
    "org.freedesktop.systemd1.TransactionJobsConflicting": reasons.Reason.CHANGE_IN_PROGRESS,
    "org.freedesktop.systemd1.ShuttingDown": reasons.Reason.CHANGE_IN_PROGRESS,
}
"""Every other refusal (masked, only by dependency, access denied, authorization required) is not-permitted."""


@dataclasses.dataclass(slots=True)
class _OwnJob:
    """A job that this instance asked for; `result` is systemd's word when it ended (done, failed, canceled, ...)."""

    id: int
    result: str | None = None


class Replacements:
    """Begins restarts and tells how far they are."""

    def __init__(self, system: bus.SystemBus, *, settle: dt.timedelta = SETTLE) -> None:
        self._system = system
        self._settle = settle
        self._jobs: collections.OrderedDict[actions.StepId, _OwnJob | None] = collections.OrderedDict()

    def begin(
        self, member: actions.MemberName, expected: actions.Incarnation, step: actions.StepId
    ) -> ports.Begun | ports.AlreadyReplaced | ports.HostRefused:
        """Restart the unit if `expected` still is its life and nothing forbids it; the same step again is once."""
        unit = units.read_unit(self._system, member)
        if unit is None:
            return ports.HostRefused(reasons.Reason.NOT_FOUND, f"systemd knows no service unit {member}")
        if unit.invocation != expected:
            return ports.AlreadyReplaced(unit.invocation if unit.runs else None)
        if step in self._jobs:
            return ports.Begun()
        if not unit.runs and unit.job is None:
            return ports.AlreadyReplaced(None)
        hold = holds.hold_of(unit)
        return self._restart(member, step) if hold is None else ports.HostRefused(hold.reason, hold.text)

    def progress(
        self, member: actions.MemberName, expected: actions.Incarnation, step: actions.StepId
    ) -> ports.Waiting | ports.Replaced | ports.ReplacementFailed:
        """How far it is: what its own job came to, then what the unit is."""
        self._hear_of_jobs()
        own = self._jobs.get(step)
        unit = units.read_unit(self._system, member)
        if own is not None and own.result not in {None, "done"}:
            state = "unknown to systemd" if unit is None else f"{unit.active} ({unit.sub}, {unit.result})"
            return ports.ReplacementFailed(
                f"systemd ended the restart job {own.id} of {member} as {own.result}; the unit is {state}"
            )
        if unit is None:
            return ports.ReplacementFailed(f"systemd knows no service unit {member} any more")
        return advance(unit, expected, self._settle)

    def in_progress(self, member: actions.MemberName, expected: actions.Incarnation) -> bool:
        """Whether the unit is on its way from `expected` to a new life, whoever asked for it."""
        unit = units.read_unit(self._system, member)
        if unit is None or (unit.invocation != expected and unit.active == "active"):
            return False
        if unit.job is not None:
            return unit.job.kind in {"restart", "try-restart", "start"}
        return unit.active == "activating"

    def _restart(self, member: actions.MemberName, step: actions.StepId) -> ports.Begun | ports.HostRefused:
        """Ask for the restart, once. Without an answer it counts as begun: `progress` finds out from the unit."""
        call = bus.Call(units.MANAGER_PATH, units.MANAGER, "TryRestartUnit", "ss", (member, "fail"))
        reply = self._system.act(call)
        if isinstance(reply, bus.ErrorReply):
            reason = _SYSTEMD_REFUSALS.get(reply.name, reasons.Reason.NOT_PERMITTED)
            return ports.HostRefused(reason, f"systemd refused to restart {member}: {reply.text}")
        job_path = "" if isinstance(reply, bus.NoAnswer) else str(reply[0])
        number = job_path.rpartition("/")[2]
        self._jobs[step] = _OwnJob(int(number)) if number.isdigit() else None
        while len(self._jobs) > JOBS_REMEMBERED:
            self._jobs.popitem(last=False)
        return ports.Begun()

    def _hear_of_jobs(self) -> None:
        """Take in which jobs have ended: JobRemoved(id, path, unit, result)."""
        ended = {signal[0]: signal[3] for signal in self._system.signals()}
        for job in self._jobs.values():
            if job is not None and job.id in ended:
                job.result = ended[job.id]


def advance(
    unit: units.UnitState, expected: actions.Incarnation, settle: dt.timedelta
) -> ports.Waiting | ports.Replaced | ports.ReplacementFailed:
    """How far the unit is on its way from `expected` to a life that holds. Pure.

    systemd itself ends every way up (TimeoutStartSec) and down (TimeoutStopSec); both are waited for.
    """
    if unit.job is not None or unit.active in {"activating", "deactivating", "reloading"}:
        return ports.Waiting(f"{unit.name} is {unit.active} ({unit.sub})")
    if not unit.runs:
        how = f"{unit.result}, exit status {unit.exit_status}"
        return ports.ReplacementFailed(f"{unit.name} is {unit.active} after the restart: {how}")
    if unit.invocation is None or unit.invocation == expected:
        return ports.ReplacementFailed(
            f"{unit.name} was not restarted: it still runs in the same life, and systemd has no job for it"
        )
    active_for = unit.active_for or dt.timedelta(0)
    if active_for < settle:
        seconds = f"{active_for.total_seconds():.1f} of {settle.total_seconds():g} s"
        return ports.Waiting(f"{unit.name} runs again; whether it stays is watched for {seconds}")
    return ports.Replaced(old=expected, new=unit.invocation)
