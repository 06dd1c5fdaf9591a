"""What may be done: the forms of one item of spec.stages, by its action."""

import datetime as dt
import enum
from typing import Annotated, Literal

import pydantic

from lastack import quantities
from lastack.policy import scalars, valid, vocabulary
from lastack.policy.schema import forms


class When(forms.Form):
    """Which incidents a stage is for; every incident when absent."""

    diagnosis: forms.Diagnoses | None = None
    """The diagnoses that the stage is for."""
    cause: forms.Causes | None = None
    """The causes that the stage is for; it waits for the evidence, which tells the cause."""
    not_cause: forms.Causes | None = None
    """The causes that the stage is not for, however sure they are."""
    confidence: Annotated[vocabulary.Confidence, forms.Read(scalars.choice(vocabulary.Confidence))] = (
        vocabulary.Confidence.LOW
    )
    """How sure the diagnosis has to be at least and, where `cause` is given, the cause."""


class StageFields(forms.Form):
    """What every stage has."""

    name: Annotated[str, forms.Read(scalars.identifier())]
    """The name of the stage in records; unique in the policy."""
    when: When = When()
    """Which incidents the stage is for."""
    mode: forms.ModeWord | None = None
    """How far this stage may go; the policy's mode when absent."""
    approval: Annotated[object, forms.LATER] = None
    """`required`: a person approves each act."""
    until_approved: Annotated[object, forms.LATER] = None
    """So many acts are approved by a person first."""


Settle = Annotated[dt.timedelta, forms.Read(scalars.duration("0s", "1h", "1m"))]


class ThreadDumpSettings(forms.Form):
    """How the evidence is taken."""

    count: Annotated[int, forms.Read(scalars.integer(1, 10, "a number"))] = 3
    """How many dumps: one cannot tell slow from stuck."""
    every: Annotated[dt.timedelta, forms.Read(scalars.duration("100ms", "5m", "5s"))] = dt.timedelta(
        seconds=5
    )
    """Time from one dump to the next."""
    max_pause: Annotated[dt.timedelta, forms.Read(scalars.duration("10ms", "10s", "500ms"))] = dt.timedelta(
        milliseconds=500
    )
    """How long one dump may stop the process, and one thread where native stacks are read."""
    native_stacks: Annotated[bool, forms.Read(scalars.BOOLEAN)] = False
    """Whether threads may be stopped to read native stacks, where a program cannot be asked."""
    inspector: Annotated[object, forms.LATER] = None
    """Whether the inspector of Node.js may be opened on loopback."""
    wait_at_most: Annotated[dt.timedelta, forms.Read(scalars.duration("1s", "1h", "60s"))] = dt.timedelta(
        seconds=60
    )
    """How long a disruptive stage waits for the evidence; when it is over, that goes on record."""


class ThreadDumpStage(StageFields):
    """Takes thread dumps; harmless, starts while the trigger is still pending."""

    action: Literal["threadDump"]
    """threadDump"""
    with_: ThreadDumpSettings = ThreadDumpSettings()
    """How the evidence is taken."""
    settle: Settle = dt.timedelta(0)
    """How long to wait after the act before it is judged."""


class SysctlScope(enum.StrEnum):
    """Whose network namespace may be written."""

    MEMBER = "member"
    HOST = "host"


class SysctlSettings(forms.Form):
    """Which settings are leased."""

    values: Annotated[
        dict[str, Annotated[str, forms.Read(scalars.SYSCTL_VALUE)]], pydantic.Field(min_length=1)
    ]
    """Net sysctls by name, and the value that each gets."""
    scope: Annotated[SysctlScope, forms.Read(scalars.choice(SysctlScope))] = SysctlScope.MEMBER
    """`member`: only in a network namespace of the member's own; `host`: the host's own namespace too."""


class Restore(forms.Form):
    """When leased settings are given back."""

    after: Annotated[dt.timedelta, forms.Read(scalars.duration("1s", "365d", "7d"))]
    """So long after they were written."""


class SysctlStage(StageFields):
    """Leases net sysctls: the value before is recorded first, and restored unless somebody else changed it since."""

    action: Literal["sysctl"]
    """sysctl"""
    with_: SysctlSettings
    """Which settings are leased."""
    restore: Restore | None = None
    """When they are given back; only by `lastack sysctl restore` when absent."""
    settle: Settle = dt.timedelta(minutes=1)
    """How long to wait after the act before it is judged."""


class RestartScope(enum.StrEnum):
    """Which members a restart replaces."""

    SICK = "sick"


class RollingRestartSettings(forms.Form):
    """How members are replaced."""

    scope: Annotated[RestartScope, forms.Read(scalars.choice(RestartScope, later=("all",)))] = (
        RestartScope.SICK
    )
    """Which members are replaced: the sick ones only."""
    ready_within: Annotated[dt.timedelta, forms.Read(scalars.duration("1s", "1h", "2m"))] = dt.timedelta(
        minutes=2
    )
    """How long a new process may take until it is ready; the rollout stops at the first that does not make it."""
    warm_for: Annotated[dt.timedelta, forms.Read(scalars.duration("0s", "1h", "30s"))] = dt.timedelta(
        seconds=30
    )
    """How long a ready member is watched before the next one is replaced."""


class RollingRestartStage(StageFields):
    """Replaces sick members one after the other; only after evidence, and within limits."""

    action: Literal["rollingRestart"]
    """rollingRestart"""
    with_: RollingRestartSettings = RollingRestartSettings()
    """How members are replaced."""
    settle: Settle = dt.timedelta(minutes=5)
    """How long to wait after the act before it is judged."""


class BacklogRaiseSettings(forms.Form):
    """How a backlog is raised on a running process."""

    backlog: object = None
    """The backlog that listen() is called with."""


class BacklogRaiseStage(StageFields):
    """Calls listen() again on the running listener, with a larger backlog."""

    action: Annotated[Literal["backlogRaise"], forms.LATER]
    """backlogRaise"""
    with_: BacklogRaiseSettings | None = None
    """How the backlog is raised."""
    settle: object = None
    """How long to wait after the act before it is judged."""


class SocketDestroySettings(forms.Form):
    """Which sockets are destroyed."""

    sockets: Annotated[vocabulary.SocketKind, forms.Read(scalars.choice(vocabulary.SocketKind))]
    """`stuckOutbound`: connections of the member's own on which its threads wait in vain. `closeWait.*`: those of a
    class, which wipes the symptom and frees neither files nor places in the queue."""
    peers: list[Annotated[valid.Peer, forms.Read(scalars.PEER)]] = pydantic.Field(default=[])
    """Only connections to these; without any, no stuckOutbound is ever destroyed."""
    limit: Annotated[int, forms.Read(scalars.integer(1, 1000, "a number"))] = 20
    """At most so many of a member in one incident."""
    pace: Annotated[quantities.Rate, forms.Read(scalars.PACE)] = quantities.Rate(5.0)
    """So many in a span of time."""


class SocketDestroyStage(StageFields):
    """Destroys sockets, for instance those on which stuck threads wait; only after evidence, and within limits."""

    action: Literal["socketDestroy"]
    """socketDestroy"""
    with_: SocketDestroySettings
    """Which sockets are destroyed."""
    settle: Settle = dt.timedelta(seconds=30)
    """How long to wait after the act before it is judged."""


class QuarantineSettings(forms.Form):
    """What happens to a pod in quarantine."""

    keep_for: object = None
    """How long it is kept for a look."""
    max: object = None
    """At most so many are kept."""


class QuarantineStage(StageFields):
    """Takes a sick pod out of its workload and keeps it for a look."""

    action: Annotated[Literal["quarantine"], forms.LATER]
    """quarantine"""
    with_: QuarantineSettings | None = None
    """What happens to the pod."""
    settle: object = None
    """How long to wait after the act before it is judged."""


Stage = ThreadDumpStage | SysctlStage | SocketDestroyStage | RollingRestartStage
"""The stages that this version has."""

AnyStage = Annotated[
    ThreadDumpStage
    | SysctlStage
    | SocketDestroyStage
    | RollingRestartStage
    | BacklogRaiseStage
    | QuarantineStage,
    pydantic.Field(discriminator="action"),
]
