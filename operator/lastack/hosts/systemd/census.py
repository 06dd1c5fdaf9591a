"""Who belongs to a systemd target: units by name or glob, each service a member. Called by host.

A unit that is named is a member whether it runs or not; a glob finds the units that systemd has loaded, which are
those that run, failed or are wanted by others (a stopped template instance is forgotten by systemd). The life of
a member is its InvocationID.
"""

from collections.abc import Sequence

from lastack.engine import actions, censuses, samples
from lastack.hosts.systemd import bus, holds, units
from lastack.policy import valid

GLOB_CHARACTERS = frozenset("*?[")
UNIT_SUFFIXES = (
    ".service", ".socket", ".target", ".timer", ".path", ".mount", ".automount", ".swap", ".slice", ".scope", ".device",
)  # fmt: skip


def full_name(unit: str) -> str:
    """The name with its type: systemd's own commands read `device-api` as `device-api.service` too."""
    return unit if unit.endswith(UNIT_SUFFIXES) else f"{unit}.service"


def take(system: bus.SystemBus, target: valid.SystemdTarget) -> censuses.Census:
    """The members now, sorted by name. Raises errors.WorldError when systemd cannot be asked."""
    wanted = [full_name(unit) for unit in target.units]
    patterns = [unit for unit in wanted if GLOB_CHARACTERS & set(unit)]
    names = [unit for unit in wanted if not GLOB_CHARACTERS & set(unit)]
    found = [unit for unit in units.list_units(system, names, patterns) if unit.name.endswith(".service")]
    unknown = [unit.name for unit in found if unit.load == "not-found"]
    known = [unit for unit in found if unit.load != "not-found"]
    missing = None
    if unknown:
        missing = samples.Missing(
            f"systemd knows no unit {', '.join(unknown)}",
            fix="correct target.systemd.units, or install the unit",
        )
    return censuses.Census(members=read_members(system, known), missing=missing)


def read_members(system: bus.SystemBus, found: Sequence[units.Listed]) -> tuple[censuses.Member, ...]:
    """The members behind these units, asked in one round; one that vanishes while we look is left out."""
    replies = system.read([call for unit in found for call in questions(unit)]) if found else []
    size = len(replies) // len(found) if found else 0
    now_us = units.monotonic_us()
    members = (
        member(unit, replies[at * size : (at + 1) * size], now_us=now_us) for at, unit in enumerate(found)
    )
    return tuple(each for each in members if each is not None)


def questions(unit: units.Listed) -> list[bus.Call]:
    """What is asked about one unit; `member` takes the answers in this order.

    Property by property: all properties of a unit and service are 400, and cost systemd and us several times more.
    """
    return [
        units.processes_call(unit.name),
        *(units.property_call(unit.path, units.UNIT, name) for name in units.UNLISTED_UNIT_PROPERTIES),
        *(units.property_call(unit.path, units.SERVICE, name) for name in units.SERVICE_PROPERTIES),
    ]


def member(unit: units.Listed, replies: Sequence[bus.Reply], *, now_us: int) -> censuses.Member | None:
    """One member from the answers to `questions`; None when the unit vanished meanwhile."""
    processes, *properties = replies
    values = [None if isinstance(reply, bus.ErrorReply) else reply[0][1] for reply in properties]
    if None in values:
        return None
    names = (*units.UNLISTED_UNIT_PROPERTIES, *units.SERVICE_PROPERTIES)
    named = dict(zip(names, values, strict=True)) | unit.properties
    state = units.unit_state(named, named, unit.job, now_us=now_us)
    pids = () if isinstance(processes, bus.ErrorReply) else sorted({pid for _, pid, _ in processes[0]})
    return censuses.Member(
        name=actions.MemberName(state.name),
        incarnation=state.invocation if state.runs else None,
        pids=tuple(samples.Pid(pid) for pid in pids),
        main_pid=state.main_pid,
        ready=state.active == "active" and state.sub == "running",
        age=state.main_started if state.runs else None,
        state=f"{state.active} ({state.sub})",
        hold=holds.hold_of(state) if state.runs else None,
    )
