"""Who belongs to a target right now: its members, each in one life. Made by hosts, read by the engine."""

import dataclasses
import datetime as dt

from lastack.engine import actions, reasons, samples


@dataclasses.dataclass(frozen=True, slots=True)
class Hold:
    """Why the host itself must not replace a member now (a queued job, its StartLimit, masked); seen, not tried."""

    reason: reasons.Reason
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One member: a unit instance, a supervised process, later a pod.

    `ready` is the host's own word (active and running), not a probe. `age` is the time since this life began, None
    when it does not run. `hold` says why the host would refuse a replacement right now, if it would.
    """

    name: actions.MemberName
    incarnation: actions.Incarnation | None
    pids: tuple[samples.Pid, ...]
    main_pid: samples.Pid | None
    ready: bool
    age: dt.timedelta | None
    state: str
    hold: Hold | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Census:
    """The members of a target, sorted by name; `missing` says why the list may be incomplete."""

    members: tuple[Member, ...]
    missing: samples.Missing | None = None

    def member(self, name: actions.MemberName) -> Member | None:
        """The member of that name, if it is there."""
        return next((member for member in self.members if member.name == name), None)
