"""Units in the box for tests of the systemd host: each bed has names of its own and is taken away after its test."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools

from lastack.engine import actions, censuses
from lastack.hosts.systemd import host
from lastack.policy import valid
from tests.box import boxes

NUMBERS = itertools.count(1)
MOST_CONNECTIONS = 16
"""The bus allows 256 for each user, and tests look often."""

SETTLE = dt.timedelta(milliseconds=400)

UNLIMITED = "[Unit]\nStartLimitIntervalSec=0\n"
"""A contract restarts its members more often than the default limit allows."""

QUICK = "[Service]\nExecStart=/bin/sleep 1000\n"
SLOW_TO_STOP = "[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/sleep 0.8\n"


def unused_name() -> str:
    """A prefix for unit names that no other test of the session has."""
    return f"bed{next(NUMBERS)}"


@dataclasses.dataclass
class SystemdBed:
    """Some units in a real systemd, and adapters that talk to it over its own system bus."""

    box: boxes.Box
    prefix: str = dataclasses.field(default_factory=unused_name)
    names: list[str] = dataclasses.field(default_factory=list)
    hosts: list[host.SystemdHost] = dataclasses.field(default_factory=list)

    @property
    def target(self) -> valid.Target:
        """Every unit of this bed."""
        return valid.SystemdTarget(units=(f"{self.prefix}-*.service",))

    @property
    def member(self) -> actions.MemberName:
        """The quick one of the contract."""
        return self.name("quick")

    @property
    def slow_member(self) -> actions.MemberName:
        """Its ExecStop takes 0.8 s."""
        return self.name("slow")

    def name(self, short: str) -> actions.MemberName:
        """The unit's full name."""
        return actions.MemberName(f"{self.prefix}-{short}.service")

    @property
    def address(self) -> str:
        """The box's system bus, as the machine reaches it."""
        return f"unix:path={self.box.path('/run/dbus/system_bus_socket')}"

    def add(self, short: str, text: str, *, start: bool = True, reload: bool = True) -> actions.MemberName:
        """Write a unit and start it."""
        name = self.name(short)
        self.names.append(name)
        self.box.write_unit(name, text, reload=reload)
        if start:
            self.box.run(["systemctl", "start", name])
        return name

    def host(self) -> host.SystemdHost:
        """A new adapter, that knows nothing of the others; old ones give their connections back."""
        made = host.SystemdHost(self.address, settle=SETTLE)
        for old in self.hosts[-MOST_CONNECTIONS : -MOST_CONNECTIONS + 1]:
            old.close()
        self.hosts.append(made)
        return made

    def end_by_itself(self, member: actions.MemberName) -> None:
        """Kill its processes, as a crash would."""
        self.box.run(["systemctl", "kill", "--signal=SIGKILL", member])

    def look(self, name: actions.MemberName) -> censuses.Member:
        """The member as a new adapter sees it."""
        found = self.host().members(self.target).member(name)
        assert found is not None, name
        return found

    def life(self, name: actions.MemberName) -> actions.Incarnation:
        """Its life, which must be there."""
        incarnation = self.look(name).incarnation
        assert incarnation is not None, name
        return incarnation

    def show(self, name: actions.MemberName, what: str) -> str:
        """What systemctl says, as an oracle."""
        return self.box.run(["systemctl", "show", "--value", f"--property={what}", name]).stdout.strip()

    def remove(self) -> None:
        """Stop and forget everything; names are never used again, so nobody waits for the slow ones."""
        for made in self.hosts:
            made.close()
        self.box.run(["systemctl", "stop", "--no-block", f"{self.prefix}-*"])
        for name in self.names:
            self.box.path(f"/etc/systemd/system/{name}").unlink(missing_ok=True)
        self.box.run(["systemctl", "daemon-reload"])
        self.box.run(["systemctl", "reset-failed"])
