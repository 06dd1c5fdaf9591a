"""What lastack can do: one table over the closed set of actions, and the step, which is the grain of an act.

A step is one member's replacement, one sysctl name in one namespace, one batch of sockets, or one dump series. Used by
the ladder (what is disruptive), executors (what to do) and runbook (what was meant).
"""

import dataclasses
import datetime as dt
from typing import Literal, NewType

from lastack.engine import samples, stuck_sockets
from lastack.policy import valid, vocabulary

IncidentId = NewType("IncidentId", str)
StepId = NewType("StepId", str)
MemberName = NewType("MemberName", str)
Incarnation = NewType("Incarnation", str)
"""Which life of a member this is: pid + start time, InvocationID, pod UID + container id. Opaque; only compared."""


@dataclasses.dataclass(frozen=True, slots=True)
class Nature:
    """What an action does to the service, whatever its settings."""

    disruptive: bool
    at_suspicion: bool
    """Harmless enough to start while the trigger is still pending."""


NATURES: dict[vocabulary.ActionKind, Nature] = {
    vocabulary.ActionKind.THREAD_DUMP: Nature(disruptive=False, at_suspicion=True),
    vocabulary.ActionKind.SYSCTL: Nature(disruptive=False, at_suspicion=False),
    vocabulary.ActionKind.SOCKET_DESTROY: Nature(disruptive=True, at_suspicion=False),
    vocabulary.ActionKind.ROLLING_RESTART: Nature(disruptive=True, at_suspicion=False),
}


def kind_of(action: valid.Action) -> vocabulary.ActionKind:
    """Name the kind of a stage's action; a new action fails the type check here first."""
    match action:
        case valid.ThreadDump():
            return vocabulary.ActionKind.THREAD_DUMP
        case valid.SysctlTuning():
            return vocabulary.ActionKind.SYSCTL
        case valid.SocketDestroy():
            return vocabulary.ActionKind.SOCKET_DESTROY
        case valid.RollingRestart():
            return vocabulary.ActionKind.ROLLING_RESTART


def rungs_of(policy: valid.Policy) -> tuple[valid.Stage, ...]:
    """The stages that are climbed one after the other: all but evidence, which is taken beside them at suspicion."""
    return tuple(stage for stage in policy.stages if not NATURES[kind_of(stage.action)].at_suspicion)


@dataclasses.dataclass(frozen=True, slots=True)
class DumpSeries:
    """Take dumps of every process of the member."""

    settings: valid.ThreadDump
    pids: tuple[samples.Pid, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class SysctlWrite:
    """Lease one name in the network namespace of `pid`; `namespace` is the inode that it must have.

    `original` is the value that was seen when the step was planned: it is in the ledger before anything is
    written, and the step is refused when the value is another one by then.
    """

    name: str
    value: str
    original: str
    scope: Literal["member", "host"]
    pid: samples.Pid
    namespace: int
    restore_after: dt.timedelta | None = None
    """When the lease ends by itself; None: when somebody ends it, or its policy goes."""


@dataclasses.dataclass(frozen=True, slots=True)
class SocketBatch:
    """Destroy some sockets of the member in the network namespace of `pid`, whose inode must be `namespace`.

    Of stuckOutbound exactly `sockets`, each only while its thread still waits on it. Of the CLOSE_WAIT kinds
    `sockets` is empty: those of the kind that belong to `pids` and `ports` when it is done.
    """

    settings: valid.SocketDestroy
    pid: samples.Pid
    pids: tuple[samples.Pid, ...]
    namespace: int
    ports: frozenset[int]
    sockets: tuple[stuck_sockets.StuckSocket, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Replacement:
    """Replace one member and wait until it is ready again."""

    settings: valid.RollingRestart
    probe: valid.HttpProbe | None
    ports: frozenset[int]


Work = DumpSeries | SysctlWrite | SocketBatch | Replacement


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One act: what to do, to which life of which member, for which incident and stage."""

    id: StepId
    incident: IncidentId
    target: valid.Target
    target_name: str
    member: MemberName
    expected: Incarnation
    stage: valid.StageName
    mode: vocabulary.Mode
    work: Work

    @property
    def kind(self) -> vocabulary.ActionKind:
        """The kind of action that this step is the grain of."""
        match self.work:
            case DumpSeries():
                return vocabulary.ActionKind.THREAD_DUMP
            case SysctlWrite():
                return vocabulary.ActionKind.SYSCTL
            case SocketBatch():
                return vocabulary.ActionKind.SOCKET_DESTROY
            case Replacement():
                return vocabulary.ActionKind.ROLLING_RESTART
