"""A step as the ledger keeps it, and back: enough to reconcile it after a crash without the policy.

`data_of` goes into action.planned and action.simulated; `step_of` reads it again. Called by engine.drafts, loop.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Literal

from lastack import errors, quantities
from lastack.engine import actions, facts, outcomes, samples, stuck_sockets
from lastack.policy import valid, vocabulary

Data = Mapping[str, outcomes.Json]


def data_of(step: actions.Step) -> dict[str, outcomes.Json]:
    """Everything of a step that the entry's own fields do not hold."""
    return {"expected": step.expected, "on": _target_data(step.target), "with": _work_data(step.work)}


def step_of(fact: facts.Fact) -> actions.Step:
    """The step that an action.planned was written for. Raises InvariantBroken when the entry is not whole."""
    if not (fact.action_id and fact.incident and fact.member and fact.stage and fact.mode):
        raise errors.InvariantBroken(f"the plan {fact.action_id} lacks a field")
    try:
        return actions.Step(
            id=fact.action_id,
            incident=fact.incident,
            target=_target_of(_map(fact.data["on"])),
            target_name=fact.target or "",
            member=fact.member,
            expected=actions.Incarnation(str(fact.data["expected"])),
            stage=fact.stage,
            mode=fact.mode,
            work=_work_of(_map(fact.data["with"])),
        )
    except (KeyError, ValueError) as broken:
        raise errors.InvariantBroken(f"the plan {fact.action_id} cannot be read: {broken}") from broken


def _target_data(target: valid.Target) -> Data:
    match target:
        case valid.SystemdTarget(units):
            return {"systemd": tuple(units)}
        case valid.SupervisedTarget(name):
            return {"supervised": name}


def _target_of(data: Data) -> valid.Target:
    units = data.get("systemd")
    if isinstance(units, tuple | list):
        return valid.SystemdTarget(tuple(str(unit) for unit in units))
    return valid.SupervisedTarget(str(data["supervised"]))


def _work_data(work: actions.Work) -> Data:
    match work:
        case actions.DumpSeries(settings, pids):
            return {
                "kind": "dumpSeries",
                "count": settings.count,
                "every": quantities.short(settings.every),
                "maxPause": quantities.short(settings.max_pause),
                "waitAtMost": quantities.short(settings.wait_at_most),
                "nativeStacks": settings.native_stacks,
                "pids": tuple(pids),
            }
        case actions.SysctlWrite():
            return {
                "kind": "sysctlWrite",
                "name": work.name,
                "desired": work.value,
                "original": work.original,
                "scope": work.scope,
                "pid": work.pid,
                "namespace": work.namespace,
                "restoreAfter": None if work.restore_after is None else quantities.short(work.restore_after),
            }
        case actions.SocketBatch():
            return _batch_data(work)
        case actions.Replacement(settings, probe, ports):
            return {
                "kind": "replacement",
                "readyWithin": quantities.short(settings.ready_within),
                "warmFor": quantities.short(settings.warm_for),
                "ports": tuple(sorted(ports)),
                "probe": None if probe is None else _probe_data(probe),
            }


def _batch_data(work: actions.SocketBatch) -> Data:
    settings = work.settings
    return {
        "kind": "socketBatch",
        "kindOfSockets": str(settings.sockets),
        "peers": tuple({"address": peer.address, "port": peer.port} for peer in settings.peers),
        "limit": settings.limit,
        "pacePerSecond": repr(settings.pace.per_second),
        "pid": work.pid,
        "pids": tuple(work.pids),
        "namespace": work.namespace,
        "ports": tuple(sorted(work.ports)),
        "sockets": tuple(
            {
                "pid": each.pid,
                "thread": each.thread,
                "inode": each.inode,
                "peer": each.peer,
                "call": each.call,
            }
            for each in work.sockets
        ),
    }


def _probe_data(probe: valid.HttpProbe) -> Data:
    return {
        "path": probe.path,
        "expect": tuple((low, high) for low, high in probe.expect),
        "timeout": quantities.short(probe.timeout),
    }


def _work_of(data: Data) -> actions.Work:
    match data["kind"]:
        case "dumpSeries":
            settings = valid.ThreadDump(
                count=_int(data["count"]),
                every=_span(data["every"]),
                max_pause=_span(data["maxPause"]),
                wait_at_most=_span(data["waitAtMost"]),
                # Entries of before have no word of what nobody could allow then.
                native_stacks=data.get("nativeStacks") is True,
            )
            return actions.DumpSeries(settings, tuple(samples.Pid(_int(pid)) for pid in _list(data["pids"])))
        case "sysctlWrite":
            return actions.SysctlWrite(
                name=str(data["name"]),
                value=str(data["desired"]),
                original=str(data["original"]),
                scope=_scope(data["scope"]),
                pid=samples.Pid(_int(data["pid"])),
                namespace=_int(data["namespace"]),
                restore_after=None if data["restoreAfter"] is None else _span(data["restoreAfter"]),
            )
        case "socketBatch":
            return _batch_of(data)
        case "replacement":
            restart = valid.RollingRestart(_span(data["readyWithin"]), _span(data["warmFor"]))
            ports = frozenset(_int(port) for port in _list(data["ports"]))
            probe = data["probe"]
            return actions.Replacement(restart, None if probe is None else _probe_of(_map(probe)), ports)
        case unknown:
            raise ValueError(f"no work is called {unknown!r}")


def _batch_of(data: Data) -> actions.SocketBatch:
    peers = [_map(peer) for peer in _list(data["peers"])]
    settings = valid.SocketDestroy(
        vocabulary.SocketKind(str(data["kindOfSockets"])),
        tuple(
            valid.Peer(str(peer["address"]), None if peer["port"] is None else _int(peer["port"]))
            for peer in peers
        ),
        _int(data["limit"]),
        quantities.Rate(float(str(data["pacePerSecond"]))),
    )
    sockets = [_map(each) for each in _list(data["sockets"])]
    return actions.SocketBatch(
        settings=settings,
        pid=samples.Pid(_int(data["pid"])),
        pids=tuple(samples.Pid(_int(pid)) for pid in _list(data["pids"])),
        namespace=_int(data["namespace"]),
        ports=frozenset(_int(port) for port in _list(data["ports"])),
        sockets=tuple(
            stuck_sockets.StuckSocket(
                samples.Pid(_int(each["pid"])),
                _int(each["thread"]),
                _int(each["inode"]),
                str(each["peer"]),
                str(each["call"]),
            )
            for each in sockets
        ),
    )


def _probe_of(data: Data) -> valid.HttpProbe:
    ranges = [_list(pair) for pair in _list(data["expect"])]
    expect = tuple((_int(pair[0]), _int(pair[1])) for pair in ranges)
    return valid.HttpProbe(str(data["path"]), expect, _span(data["timeout"]))


def _scope(value: outcomes.Json) -> Literal["member", "host"]:
    return "host" if value == "host" else "member"


def _span(value: outcomes.Json) -> dt.timedelta:
    return quantities.duration(str(value))


def _int(value: outcomes.Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is not an integer")  # noqa: TRY004 - one error class for a broken entry
    return value


def _list(value: outcomes.Json) -> tuple[outcomes.Json, ...]:
    if not isinstance(value, tuple | list):
        raise ValueError(f"{value!r} is not a list")  # noqa: TRY004 - one error class for a broken entry
    return tuple(value)


def _map(value: outcomes.Json) -> Data:
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not an object")  # noqa: TRY004 - one error class for a broken entry
    return value
