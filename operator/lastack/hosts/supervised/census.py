"""The members of a supervisor as a census. Called by `host`."""

import datetime as dt
import pathlib
from typing import Any

import psutil

from lastack.engine import actions, censuses, reasons, samples
from lastack.hosts.supervised import messages


def take(socket: pathlib.Path) -> censuses.Census:
    """Ask the supervisor and look at the process trees. Raises WorldError when it does not answer."""
    found = messages.ask(socket, "members")
    members = sorted((_member(entry) for entry in found["members"]), key=lambda member: member.name)
    return censuses.Census(tuple(members))


def _member(entry: dict[str, Any]) -> censuses.Member:
    pid, incarnation, age_ms = entry["pid"], entry["incarnation"], entry["ageMs"]
    return censuses.Member(
        name=actions.MemberName(entry["name"]),
        incarnation=actions.Incarnation(incarnation) if incarnation else None,
        pids=_tree(pid) if pid else (),
        main_pid=samples.Pid(pid) if pid else None,
        ready=entry["running"],
        age=dt.timedelta(milliseconds=age_ms) if age_ms is not None else None,
        state=entry["text"],
        hold=censuses.Hold(reasons.Reason.CHANGE_IN_PROGRESS, entry["changing"])
        if entry["changing"]
        else None,
    )


def _tree(pid: int) -> tuple[samples.Pid, ...]:
    """The process and its descendants, itself first; empty when it has just ended."""
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return ()
    return (samples.Pid(pid), *(samples.Pid(child.pid) for child in children))
