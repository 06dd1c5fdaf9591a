"""What holds right now, from the history alone: budgets, cooldowns, leases, pauses.

Computed by runbook.folds from the entries, once per tick; read by engine.guards. Survives every restart because it
is never kept anywhere else.
"""

import dataclasses
import datetime as dt
from collections.abc import Mapping

from lastack.engine import actions, instants
from lastack.policy import valid


@dataclasses.dataclass(frozen=True, slots=True)
class Restart:
    """One restart of a member, ours or somebody else's; `shadow` ones were only simulated."""

    target: str
    member: actions.MemberName
    at: dt.datetime
    shadow: bool
    ours: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Remediation:
    """The end of an incident in which a member was acted on; its cooldown runs from there."""

    target: str
    member: actions.MemberName
    at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Pause:
    """Somebody said stop: nothing new begins until `until` (None: until resumed)."""

    since: dt.datetime
    until: dt.datetime | None
    reason: str
    actor: str

    def holds(self, wall: dt.datetime) -> bool:
        """Whether the pause is in force at `wall`."""
        return self.until is None or wall < self.until


@dataclasses.dataclass(frozen=True, slots=True)
class Lease:
    """A sysctl that lastack changed and will give back.

    One per namespace, boot and name. `pid` is a process that was in that namespace when it was written.
    """

    namespace: int
    boot_id: str
    name: str
    original: str
    desired: str
    observed: str
    pid: int
    scope: str
    policy: valid.PolicyName
    incident: actions.IncidentId
    step: actions.StepId
    since: dt.datetime
    until: dt.datetime | None


@dataclasses.dataclass(frozen=True, slots=True)
class PeerWait:
    """A member of an open incident and the peer that its threads wait for."""

    target: str
    member: actions.MemberName
    peer: str


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """All of it. `started` is when this run of lastack began to look (also after a resume or a gap)."""

    started: instants.Now
    restarts: tuple[Restart, ...] = ()
    remediations: tuple[Remediation, ...] = ()
    pause: Pause | None = None
    leases: tuple[Lease, ...] = ()
    waits: tuple[PeerWait, ...] = ()
    """Of the other targets: who waits for whom."""
    announced: frozenset[str] = frozenset()
    """Peers of which people were told that several wait for them, by incidents of other targets that are open."""
    texts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Policy texts already in the ledger, by hash."""
    disk_full: str | None = None
    """Why no new act may begin: what is full and how much is left."""
