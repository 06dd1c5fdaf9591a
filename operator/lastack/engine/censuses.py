"""Who belongs to a target right now: its members, each in one life. Made by hosts, read by the engine."""

import dataclasses
import datetime as dt

from lastack.engine import actions, samples


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One member: a unit instance, a supervised process, later a pod.

    `ready` is the host's own word (active and running), not a probe. `age` is the time since this life began, None
    when it does not run. `changing` says what somebody else is doing to it right now, if anything.
    """

    name: actions.MemberName
    incarnation: actions.Incarnation | None
    pids: tuple[samples.Pid, ...]
    main_pid: samples.Pid | None
    ready: bool
    age: dt.timedelta | None
    state: str
    changing: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Census:
    """The members of a target, sorted by name; `missing` says why the list may be incomplete."""

    members: tuple[Member, ...]
    missing: samples.Missing | None = None

    def member(self, name: actions.MemberName) -> Member | None:
        """The member of that name, if it is there."""
        return next((member for member in self.members if member.name == name), None)
