"""Every seam of the shell: what the loop needs from the world, as small Protocols.

The adapters are in sensors, executors, hosts and stores; bootstrap names them. Each fake is in tests/fakes.py, and
one contract suite runs on the fake and on the real thing.
"""

import contextlib
import dataclasses
import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from lastack.engine import actions, censuses, facts, instants, outcomes, probes, reasons, samples, standings
from lastack.policy import valid
from lastack.runbook import folds


class Clock(Protocol):
    """Tells the time, and nothing else; waiting belongs to the shell."""

    def now(self) -> instants.Now:
        """The instant, by wall and by steady clock."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Selection:
    """What to look at.

    Listeners on these ports (empty: all) held by these processes (None: any), in the network
    namespace of `netns_pid`, else at `netns_path` (both None: the caller's own).

    `deep` also counts accepted ESTABLISHED rows, the SYN queue and outbound CLOSE_WAIT, which cost a walk over every
    socket; `run` does without. `stands` asks where the threads of every owner stand, also while nobody waits.
    """

    pids: frozenset[samples.Pid] | None = None
    ports: frozenset[int] = frozenset()
    netns_pid: samples.Pid | None = None
    netns_path: str | None = None
    deep: bool = False
    stands: bool = False


class Sampler(Protocol):
    """Looks. Never raises for what it cannot see: it says Missing."""

    def look(self, selection: Selection) -> samples.Sample:
        """One look at everything selected; within tens of milliseconds, never blocking on a target."""
        ...

    def glance(self, selection: Selection) -> None:
        """Between two looks: keep the extremes of each listener's queue for the next look's peak and trough.

        Walks over no connection; says nothing about what cannot be seen, which the next look does.
        """
        ...

    def namespace_of(self, pid: samples.Pid) -> int | None:
        """The inode of the process's network namespace; None where it cannot be seen or the process is gone."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Begun:
    """The replacement was asked for."""


@dataclasses.dataclass(frozen=True, slots=True)
class AlreadyReplaced:
    """The expected life is over already; `incarnation` is the one that is there now, if any."""

    incarnation: actions.Incarnation | None


@dataclasses.dataclass(frozen=True, slots=True)
class HostRefused:
    """The host will not or must not do it; nothing was changed."""

    reason: reasons.Reason
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Waiting:
    """The replacement goes on; `text` says what it waits for."""

    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Replaced:
    """The old life ended and a new one is active and running (not yet: ready to serve)."""

    old: actions.Incarnation
    new: actions.Incarnation


@dataclasses.dataclass(frozen=True, slots=True)
class ReplacementFailed:
    """The replacement ended without a running member."""

    text: str


class ServiceHost(Protocol):
    """Where members live: systemd, the small supervisor, later commands, containers, workloads.

    Any instance can go on with what another instance began: nothing that matters is kept in memory. Methods raise
    errors.WorldError when the host cannot be asked at all.
    """

    def members(self, target: valid.Target) -> censuses.Census:
        """Who belongs to the target now."""
        ...

    def begin_replacement(
        self, member: actions.MemberName, expected: actions.Incarnation, step: actions.StepId
    ) -> Begun | AlreadyReplaced | HostRefused:
        """Ask for one replacement, only while `expected` is the member's life. Twice with one step id is once."""
        ...

    def progress(
        self, member: actions.MemberName, expected: actions.Incarnation, step: actions.StepId
    ) -> Waiting | Replaced | ReplacementFailed:
        """How far the replacement of `expected` is."""
        ...

    def in_progress(self, member: actions.MemberName, expected: actions.Incarnation) -> bool:
        """Whether `expected` is being replaced right now, by anybody; for reconciling after a crash."""
        ...


class Executor(Protocol):
    """Does one kind of step. Called from a worker thread; begin and poll return within a second."""

    def begin(self, step: actions.Step) -> outcomes.Running | outcomes.Outcome:
        """Begin the step, only while its expected incarnation holds."""
        ...

    def poll(self, step: actions.Step) -> outcomes.Running | outcomes.Outcome:
        """How far it is."""
        ...

    def reconcile(self, step: actions.Step) -> outcomes.Reconciled:
        """After a crash: what the world says about a step whose outcome was never written."""
        ...


class LeaseKeeper(Protocol):
    """Gives a leased sysctl back, by compare and swap."""

    def restore(self, lease: standings.Lease) -> outcomes.Succeeded | outcomes.Failed | outcomes.Refused:
        """Write the original if the value is still ours.

        Refused(already-done) when somebody else's value is there, Refused(not-found) when the namespace is gone.
        """
        ...


class Prober(Protocol):
    """Asks a member a real question."""

    def ask(
        self, member: censuses.Member, probe: valid.HttpProbe, listeners: Sequence[samples.ListenerAddress]
    ) -> tuple[bool, str]:
        """(passed, what it answered in how long); every listener must pass. Blocks at most probe.timeout each."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class ProbeRequest:
    """A question to one member of one target; `incarnation` is the life that is asked. One at a time per member."""

    target: str
    member: censuses.Member
    incarnation: actions.Incarnation
    probe: valid.HttpProbe
    listeners: tuple[samples.ListenerAddress, ...]


Restored = outcomes.Succeeded | outcomes.Failed | outcomes.Refused


class Works(Protocol):
    """What runs beside the tick thread: begins at once, gives results later. Nothing here blocks."""

    def begin(self, step: actions.Step) -> bool:
        """Carry the step out, at most once per step id."""
        ...

    def resume(self, step: actions.Step) -> bool:
        """Follow a step that runs since before a crash."""
        ...

    def reconcile(self, step: actions.Step) -> outcomes.Reconciled:
        """Ask the world about a step whose outcome was never written; called on start only, may take a second."""
        ...

    def running(self) -> dict[actions.StepId, str]:
        """What each step that has not ended waits for."""
        ...

    def finished(self) -> list[tuple[actions.Step, outcomes.Outcome]]:
        """Steps that ended since the last call."""
        ...

    def ask(self, request: ProbeRequest) -> bool:
        """Ask a member; False while it is being asked."""
        ...

    def answers(self) -> list[tuple[ProbeRequest, probes.ProbeResult]]:
        """Answers since the last call."""
        ...

    def restore(self, lease: standings.Lease) -> bool:
        """Give a lease back; False while that is going on."""
        ...

    def restored(self) -> list[tuple[standings.Lease, Restored]]:
        """Leases that were tried to be given back since the last call."""
        ...

    def close(self, within: dt.timedelta) -> tuple[actions.StepId, ...]:
        """Begin nothing more and wait; returns the steps that had not ended."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class ControlRequest:
    """What a person asked through the control socket; `reply` is called once, from the tick thread."""

    verb: str
    arguments: Mapping[str, str]
    actor: str
    reply: Callable[[Mapping[str, outcomes.Json]], None]


class EvidenceStore(Protocol):
    """Keeps evidence files, readable by root (or the running user) only."""

    def keep(self, incident: str, name: str, content: bytes, what: str) -> outcomes.EvidenceFile:
        """Store one file durably. Raises errors.StateUnusable when there is no room."""
        ...


class Controls(Protocol):
    """What people ask through the control socket."""

    def pending(self) -> list[ControlRequest]:
        """Requests since the last call."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class PolicyNews:
    """A policy set that was read anew: the set, or why it was refused whole (the old one stays in force)."""

    policies: tuple[valid.Policy, ...]
    rejected: str | None = None


class PolicySource(Protocol):
    """Where policies come from."""

    def news(self) -> PolicyNews | None:
        """A set that was read since the last call; None when nothing changed. Never blocks."""
        ...


class Ledger(Protocol):
    """The authority over what happened: append-only, one writer."""

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        """Everything appended inside is durable together when the block ends, or not at all."""
        ...

    def append(self, news: Iterable[facts.Fact]) -> None:
        """Add facts at the end of the chain, inside a transaction."""
        ...

    @property
    def folded(self) -> folds.Folded:
        """What all entries add up to, those appended in the open transaction included."""
        ...

    def checkpoint(self, now: instants.Now) -> object:
        """Write a checkpoint, so that a ledger that was cut or rolled back shows."""
        ...

    def standing(self, target: str | None, now: instants.Now) -> standings.Standing:
        """What holds now, of one target or of all: `folded` and whether there is room for a new act."""
        ...
