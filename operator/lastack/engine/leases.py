"""Which leases are to be given back now, and whether one is. Pure; called by loop each tick, and by cli."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import TypeGuard

from lastack.engine import instants, outcomes, reasons, standings
from lastack.policy import valid


@dataclasses.dataclass(frozen=True, slots=True)
class Due:
    """A lease to give back, and why."""

    lease: standings.Lease
    why: str


def due(
    leases: Collection[standings.Lease],
    policies: Mapping[str, valid.Policy],
    now: instants.Now,
) -> Sequence[Due]:
    """The leases whose time is over (also because their incident was abandoned), or whose policy is gone.

    A lease of another boot is due as well: its namespace died with that boot, and the keeper will say so.
    """
    found = []
    for lease in leases:
        if lease.boot_id != now.boot_id:
            found.append(Due(lease, "the host was booted since"))
        elif lease.policy not in policies:
            found.append(Due(lease, "its policy is not in force any more"))
        elif lease.until is not None and now.wall >= lease.until:
            found.append(Due(lease, f"its time is over since {instants.rfc3339(lease.until)}"))
    return found


def is_over(ended: outcomes.Failed | outcomes.Refused) -> TypeGuard[outcomes.Refused]:
    """Whether nothing of ours is left to give back. A missing right is no end: the value still stands, and is owed."""
    gone = {reasons.Reason.ALREADY_DONE, reasons.Reason.NOT_FOUND}
    return isinstance(ended, outcomes.Refused) and ended.reason in gone
