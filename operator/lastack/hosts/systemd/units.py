"""What systemd says about units, given types: the only place that knows names of systemd's D-Bus properties.

Called by census and replacements. Interface: https://www.freedesktop.org/wiki/Software/systemd/dbus, measured
with systemd 252. Times are the unit's own CLOCK_MONOTONIC stamps, turned into ages.
"""

import dataclasses
import datetime as dt
import time
from collections.abc import Mapping, Sequence
from typing import Any

from lastack import errors
from lastack.engine import actions, samples
from lastack.hosts.systemd import bus

MANAGER_PATH = "/org/freedesktop/systemd1"
MANAGER = "org.freedesktop.systemd1.Manager"
UNIT = "org.freedesktop.systemd1.Unit"
SERVICE = "org.freedesktop.systemd1.Service"
JOB = "org.freedesktop.systemd1.Job"
PROPERTIES = "org.freedesktop.DBus.Properties"
INFINITY_US = 2**64 - 1
NO_SUCH_UNIT = "org.freedesktop.systemd1.NoSuchUnit"

UNLISTED_UNIT_PROPERTIES = (
    "InvocationID",
    "NeedDaemonReload",
    "RefuseManualStart",
    "RefuseManualStop",
    "ActiveEnterTimestampMonotonic",
    "InactiveEnterTimestampMonotonic",
    "InactiveExitTimestampMonotonic",
    "StartLimitBurst",
    "StartLimitIntervalUSec",
)
"""What `unit_state` reads and systemd's list of units does not hold."""

SERVICE_PROPERTIES = ("ExecMainStartTimestampMonotonic", "MainPID", "Result", "ExecMainStatus")

AUTO_RESTART = frozenset({"auto-restart", "auto-restart-queued"})
"""Sub-states of `activating` in which nothing runs: the old life is over, systemd waits to start a new one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """What systemd is doing or about to do with a unit."""

    id: int
    kind: str

    def __str__(self) -> str:
        return f"systemd has a {self.kind} job for it (job {self.id})"


@dataclasses.dataclass(frozen=True, slots=True)
class Listed:
    """One line of systemd's list of loaded units."""

    name: str
    load: str
    active: str
    sub: str
    path: str
    job: Job | None

    @property
    def properties(self) -> dict[str, str]:
        """What the line says, by the names of the properties that say the same."""
        return {
            "Id": self.name,
            "LoadState": self.load,
            "ActiveState": self.active,
            "SubState": self.sub,
        }


@dataclasses.dataclass(frozen=True, slots=True)
class UnitState:
    """One service unit at one instant. Ages count back from now.

    `invocation` is the life that runs or ran last; None when it never ran.
    """

    name: str
    load: str
    active: str
    sub: str
    invocation: actions.Incarnation | None
    job: Job | None
    needs_reload: bool
    may_be_restarted: bool
    active_for: dt.timedelta | None
    """None when it is not active."""
    started: dt.timedelta | None
    """Age of the latest start, None when it never started."""
    stopped: dt.timedelta | None
    """Age of the latest stop, None when it never stopped since systemd loaded the unit."""
    main_started: dt.timedelta | None
    """Age of the main process, None when there never was one."""
    start_limit_burst: int
    start_limit_interval: dt.timedelta | None
    """None is no end."""
    main_pid: samples.Pid | None
    result: str
    exit_status: int

    @property
    def runs(self) -> bool:
        """Whether a life is there: running, on its way up or on its way down."""
        return is_alive(self.active, self.sub)


def is_alive(active: str, sub: str) -> bool:
    """Whether a unit in this state has a life (processes of an invocation that has not ended)."""
    return active not in {"inactive", "failed", "maintenance"} and sub not in AUTO_RESTART


def listed(line: Sequence[Any]) -> Listed:
    """Read one line of ListUnitsByPatterns or ListUnitsByNames."""
    name, _, load, active, sub, _, path, job_id, job_kind, _ = line
    return Listed(name, load, active, sub, path, Job(job_id, job_kind) if job_id else None)


def list_units(system: bus.SystemBus, names: Sequence[str], patterns: Sequence[str]) -> list[Listed]:
    """The units of these names (also such as systemd does not know) and the loaded ones that match the patterns."""
    calls = [bus.Call(MANAGER_PATH, MANAGER, "ListUnitsByNames", "as", (list(names),))] if names else []
    if patterns:
        calls.append(bus.Call(MANAGER_PATH, MANAGER, "ListUnitsByPatterns", "asas", ([], list(patterns))))
    found = (listed(line) for reply in system.read(calls) for line in answer(reply)[0])
    return sorted({unit.name: unit for unit in found}.values(), key=lambda unit: unit.name)


def property_call(path: str, interface: str, name: str) -> bus.Call:
    """The question for one property."""
    return bus.Call(path, PROPERTIES, "Get", "ss", (interface, name))


def processes_call(unit: str) -> bus.Call:
    """The question for the processes in the unit's cgroup, whatever the version of the cgroup tree."""
    return bus.Call(MANAGER_PATH, MANAGER, "GetUnitProcesses", "s", (unit,))


def read_unit(system: bus.SystemBus, name: str) -> UnitState | None:
    """All about one unit, None when systemd does not know it. Raises errors.WorldError when it cannot be asked.

    The unit's own part is one answer, so state, life and job belong together; its service part is read before it.
    """
    loaded = system.read([bus.Call(MANAGER_PATH, MANAGER, "LoadUnit", "s", (name,))])[0]
    if isinstance(loaded, bus.ErrorReply):
        return None
    replies = system.read(
        [bus.Call(loaded[0], PROPERTIES, "GetAll", "s", (interface,)) for interface in (SERVICE, UNIT)]
    )
    if any(isinstance(reply, bus.ErrorReply) for reply in replies):
        return None
    service, unit = (plain(answer(reply)[0]) for reply in replies)
    if unit["LoadState"] not in {"loaded", "masked"}:
        return None
    job_id = unit["Job"][0]
    job = Job(job_id, read_job_kind(system, job_id)) if job_id else None
    return unit_state(unit, service, job, now_us=monotonic_us())


def read_job_kind(system: bus.SystemBus, job_id: int) -> str:
    """What the job does (restart, start, stop, ...)."""
    reply = system.read([property_call(f"{MANAGER_PATH}/job/{job_id}", JOB, "JobType")])[0]
    return "finished" if isinstance(reply, bus.ErrorReply) else str(reply[0][1])


def monotonic_us() -> int:
    """The clock of systemd's monotonic time stamps, in microseconds."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def unit_state(
    unit: Mapping[str, Any], service: Mapping[str, Any], job: Job | None, *, now_us: int
) -> UnitState:
    """Give types to the properties of one unit."""
    latest_start_us = max(
        unit["InactiveExitTimestampMonotonic"],
        unit["ActiveEnterTimestampMonotonic"],
        service["ExecMainStartTimestampMonotonic"],
    )
    active = unit["ActiveState"] in {"active", "reloading"}
    return UnitState(
        name=unit["Id"],
        load=unit["LoadState"],
        active=unit["ActiveState"],
        sub=unit["SubState"],
        invocation=incarnation(unit["InvocationID"]),
        job=job,
        needs_reload=unit["NeedDaemonReload"],
        may_be_restarted=not (unit["RefuseManualStart"] or unit["RefuseManualStop"]),
        active_for=age(unit["ActiveEnterTimestampMonotonic"], now_us) if active else None,
        started=age(latest_start_us, now_us),
        stopped=age(unit["InactiveEnterTimestampMonotonic"], now_us),
        main_started=age(service["ExecMainStartTimestampMonotonic"], now_us),
        start_limit_burst=unit["StartLimitBurst"],
        start_limit_interval=span(unit["StartLimitIntervalUSec"]),
        main_pid=samples.Pid(service["MainPID"]) if service["MainPID"] else None,
        result=service["Result"],
        exit_status=service["ExecMainStatus"],
    )


def incarnation(invocation: bytes | Sequence[int]) -> actions.Incarnation | None:
    """The InvocationID as systemd prints it; None when the unit never ran."""
    return actions.Incarnation(bytes(invocation).hex()) if any(invocation) else None


def age(stamp_us: int, now_us: int) -> dt.timedelta | None:
    """How long ago a CLOCK_MONOTONIC stamp was; None for 0, which is never."""
    return dt.timedelta(microseconds=max(now_us - stamp_us, 0)) if stamp_us else None


def span(microseconds: int) -> dt.timedelta | None:
    """A time span of systemd; None for infinity (and for what is longer than a timedelta can be)."""
    try:
        return None if microseconds == INFINITY_US else dt.timedelta(microseconds=microseconds)
    except OverflowError:
        return None


def plain(variants: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
    """D-Bus variants (signature, value) as values."""
    return {name: value for name, (_, value) in variants.items()}


def answer(reply: bus.Reply) -> tuple[Any, ...]:
    """The values of an answer; an error that nobody expects here is told as it is."""
    if isinstance(reply, bus.ErrorReply):
        raise errors.NotReachable(f"systemd refused to answer: {reply.text} ({reply.name})")
    return reply
