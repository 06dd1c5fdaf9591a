"""The service host whose members are systemd units (ports.ServiceHost). Made by bootstrap."""

import datetime as dt

from lastack import errors, ports
from lastack.engine import actions, censuses
from lastack.hosts.systemd import bus, census, replacements
from lastack.policy import valid


class SystemdHost:
    """Units of one systemd, over its system bus. Safe to use from several threads.

    `address` is a D-Bus address (DBUS_SYSTEM_BUS_ADDRESS or the standard one if None). `within` bounds each
    exchange with systemd; `settle` is how long a new life must be active before it counts.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        within: dt.timedelta = dt.timedelta(seconds=1),
        settle: dt.timedelta = replacements.SETTLE,
    ) -> None:
        self._system = bus.SystemBus(address, signal=replacements.JOB_REMOVED, within=within)
        self._replacements = replacements.Replacements(self._system, settle=settle)

    def members(self, target: valid.Target) -> censuses.Census:
        """The units of the target, each running one with its InvocationID as incarnation."""
        if not isinstance(target, valid.SystemdTarget):
            raise errors.InvariantBroken(f"the systemd host was asked for {target!r}")
        return census.take(self._system, target)

    def begin_replacement(
        self, member: actions.MemberName, expected: actions.Incarnation, step: actions.StepId
    ) -> ports.Begun | ports.AlreadyReplaced | ports.HostRefused:
        """Restart the unit while `expected` is its InvocationID."""
        return self._replacements.begin(member, expected, step)

    def progress(
        self, member: actions.MemberName, expected: actions.Incarnation, step: actions.StepId
    ) -> ports.Waiting | ports.Replaced | ports.ReplacementFailed:
        """How far the restart is."""
        return self._replacements.progress(member, expected, step)

    def in_progress(self, member: actions.MemberName, expected: actions.Incarnation) -> bool:
        """Whether systemd is restarting the unit right now, whoever asked."""
        return self._replacements.in_progress(member, expected)

    def close(self) -> None:
        """Give the connection back."""
        self._system.close()
