"""Replace one member of a supervisor, and follow it. Called by `host`.

Every answer is made from the member's state alone, so any instance can follow what another began.
"""

import pathlib

from lastack import errors, ports
from lastack.engine import actions, reasons
from lastack.hosts.supervised import messages


def begin(
    socket: pathlib.Path, member: actions.MemberName, expected: actions.Incarnation, step: actions.StepId
) -> ports.Begun | ports.AlreadyReplaced | ports.HostRefused:
    """Ask for one replacement. Raises WorldError when the supervisor does not answer."""
    said = messages.ask(socket, "replace", member=member, expected=expected, step=step)
    match said["result"]:
        case "begun":
            return ports.Begun()
        case "already":
            now = said["incarnation"]
            return ports.AlreadyReplaced(actions.Incarnation(now) if now else None)
        case "refused":
            return ports.HostRefused(reasons.Reason.CHANGE_IN_PROGRESS, said["text"])
        case "unknown":
            return ports.HostRefused(reasons.Reason.NOT_FOUND, said["text"])
        case other:
            raise errors.NotReachable(f"the supervisor answered {other!r}, which this lastack does not know")


def follow(
    socket: pathlib.Path, member: actions.MemberName, expected: actions.Incarnation
) -> ports.Waiting | ports.Replaced | ports.ReplacementFailed:
    """How far the replacement of `expected` is. Raises WorldError when the supervisor does not answer."""
    said = messages.ask(socket, "progress", member=member, expected=expected)
    match said["result"]:
        case "waiting":
            return ports.Waiting(said["text"])
        case "replaced":
            return ports.Replaced(expected, actions.Incarnation(said["incarnation"]))
        case "failed" | "untouched" | "unknown":
            return ports.ReplacementFailed(said["text"])
        case other:
            raise errors.NotReachable(f"the supervisor answered {other!r}, which this lastack does not know")
