"""The supervisor as a ServiceHost; named by bootstrap, one per supervised target."""

import pathlib

from lastack import errors, ports
from lastack.engine import actions, censuses
from lastack.hosts.supervised import census, replacements
from lastack.policy import valid


class SupervisedHost:
    """The host of one SupervisedTarget; `socket` is where its supervisor listens."""

    def __init__(self, name: str, socket: pathlib.Path) -> None:
        """Nothing is opened: each question is a connection of its own."""
        self._name = name
        self._socket = socket

    def members(self, target: valid.Target) -> censuses.Census:
        """Who belongs to the target now. Raises WorldError when the supervisor does not answer."""
        if not isinstance(target, valid.SupervisedTarget) or target.name != self._name:
            raise errors.InvariantBroken(f"{target} was brought to the supervisor {self._name!r}")
        return census.take(self._socket)

    def begin_replacement(
        self, member: actions.MemberName, expected: actions.Incarnation, step: actions.StepId
    ) -> ports.Begun | ports.AlreadyReplaced | ports.HostRefused:
        """Ask for one replacement, only while `expected` is the member's life."""
        return replacements.begin(self._socket, member, expected, step)

    def progress(
        self,
        member: actions.MemberName,
        expected: actions.Incarnation,
        step: actions.StepId,  # noqa: ARG002 - the supervisor tells from the member's state alone
    ) -> ports.Waiting | ports.Replaced | ports.ReplacementFailed:
        """How far the replacement of `expected` is."""
        return replacements.follow(self._socket, member, expected)

    def in_progress(self, member: actions.MemberName, expected: actions.Incarnation) -> bool:
        """Whether `expected` is being replaced right now, by anybody."""
        return isinstance(replacements.follow(self._socket, member, expected), ports.Waiting)
