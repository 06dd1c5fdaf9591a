"""A policy as everyone uses it: frozen, complete, every value of its final type.

Made only by policy.loading from a document that policy.schema accepted; read by engine, executors and hosts.
"""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Literal, NewType

from lastack import quantities
from lastack.policy import vocabulary

PolicyName = NewType("PolicyName", str)
StageName = NewType("StageName", str)
TriggerName = NewType("TriggerName", str)


@dataclasses.dataclass(frozen=True, slots=True)
class SystemdTarget:
    """Units by name or glob ("device-api@*.service"); each running unit is a member."""

    units: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class SupervisedTarget:
    """The members of lastack's own small supervisor, found by its control socket's name in the state directory."""

    name: str


Target = SystemdTarget | SupervisedTarget


@dataclasses.dataclass(frozen=True, slots=True)
class HttpProbe:
    """A real request to each listener of a member. Statuses are inclusive ranges."""

    path: str
    expect: tuple[tuple[int, int], ...]
    timeout: dt.timedelta


@dataclasses.dataclass(frozen=True, slots=True)
class Diagnosed:
    """Holds while a member has one of these diagnoses."""

    diagnoses: frozenset[vocabulary.DiagnosisCode]


@dataclasses.dataclass(frozen=True, slots=True)
class Above:
    """Holds once a signal is above `raise_above`, until it is below `clear_below`; in the signal's own unit."""

    signal: vocabulary.SignalName
    raise_above: float
    clear_below: float


@dataclasses.dataclass(frozen=True, slots=True)
class Below:
    """Holds once a signal is below `raise_below`, until it is above `clear_above`; in the signal's own unit."""

    signal: vocabulary.SignalName
    raise_below: float
    clear_above: float


Condition = Diagnosed | Above | Below


@dataclasses.dataclass(frozen=True, slots=True)
class DiagnosisTrigger:
    """Fires when a member has one of these diagnoses."""

    name: TriggerName
    diagnoses: frozenset[vocabulary.DiagnosisCode]
    sustained_for: dt.timedelta
    clear_for: dt.timedelta

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The one that it has."""
        return (Diagnosed(self.diagnoses),)


@dataclasses.dataclass(frozen=True, slots=True)
class SignalTrigger:
    """Fires when a signal is above `raise_above`, clears below `clear_below`; in the signal's own unit."""

    name: TriggerName
    signal: vocabulary.SignalName
    raise_above: float
    clear_below: float
    sustained_for: dt.timedelta
    clear_for: dt.timedelta

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The one that it has."""
        return (Above(self.signal, self.raise_above, self.clear_below),)


@dataclasses.dataclass(frozen=True, slots=True)
class AllTrigger:
    """Fires when all of its conditions hold together, and clears when one of them does not any more."""

    name: TriggerName
    conditions: tuple[Condition, ...]
    sustained_for: dt.timedelta
    clear_for: dt.timedelta


Trigger = DiagnosisTrigger | SignalTrigger | AllTrigger


@dataclasses.dataclass(frozen=True, slots=True)
class ThreadDump:
    """`count` dumps `every` so long; a disruptive stage waits at most `wait_at_most` for them.

    `native_stacks` allows to stop threads for it.
    """

    count: int
    every: dt.timedelta
    max_pause: dt.timedelta
    wait_at_most: dt.timedelta
    native_stacks: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class SysctlTuning:
    """Net sysctls by name and the value as text; each is leased and given back after `restore_after`.

    `scope` "host" allows the host's own network namespace; "member" only a namespace of the member's own.
    """

    values: Mapping[str, str]
    restore_after: dt.timedelta | None
    scope: Literal["member", "host"]


@dataclasses.dataclass(frozen=True, slots=True)
class RollingRestart:
    """Sick members, one after the other: ready within `ready_within`, then watched for `warm_for`."""

    ready_within: dt.timedelta
    warm_for: dt.timedelta


@dataclasses.dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection: an address as the kernel prints it (no brackets), and a port or None for any."""

    address: str
    port: int | None

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return host if self.port is None else f"{host}:{self.port}"

    def matches(self, peer: str) -> bool:
        """Whether "ADDRESS:PORT" (IPv6 in brackets) is this peer."""
        host, _, port = peer.rpartition(":")
        return host.strip("[]") == self.address and self.port in {None, int(port)}


@dataclasses.dataclass(frozen=True, slots=True)
class SocketDestroy:
    """Sockets of sick members, at most `limit` of a member in an incident, `pace` of them a second.

    Of STUCK_OUTBOUND only those to `peers`: none when it is empty. Of the CLOSE_WAIT kinds empty means any.
    """

    sockets: vocabulary.SocketKind
    peers: tuple[Peer, ...]
    limit: int
    pace: quantities.Rate

    def allows(self, peer: str) -> bool:
        """Whether the policy names this peer ("ADDRESS:PORT")."""
        if not self.peers:
            return self.sockets is not vocabulary.SocketKind.STUCK_OUTBOUND
        return any(each.matches(peer) for each in self.peers)


Action = ThreadDump | SysctlTuning | SocketDestroy | RollingRestart


@dataclasses.dataclass(frozen=True, slots=True)
class When:
    """Which sick members a stage is for. An empty set says nothing; what `not_causes` names is never meant.

    `confidence` is the least of the diagnosis and, where `causes` names some, of the cause.
    """

    diagnoses: frozenset[vocabulary.DiagnosisCode] = frozenset()
    causes: frozenset[vocabulary.CauseKind] = frozenset()
    not_causes: frozenset[vocabulary.CauseKind] = frozenset()
    confidence: vocabulary.Confidence = vocabulary.Confidence.LOW

    @property
    def asks_for_cause(self) -> bool:
        """Whether it cannot be told without the cause."""
        return bool(self.causes or self.not_causes)


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """One step of the ladder. `settle` is waited after acting, before judging."""

    name: StageName
    action: Action
    when: When
    settle: dt.timedelta
    mode: vocabulary.Mode


@dataclasses.dataclass(frozen=True, slots=True)
class RestartBudget:
    """At most `maximum` restarts of a target in any span of `per`; restarts by others count."""

    maximum: int
    per: dt.timedelta


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What holds, whatever the diagnosis says."""

    warm_up: dt.timedelta
    min_process_age: dt.timedelta
    cooldown: dt.timedelta
    restarts: RestartBudget
    min_available: int | quantities.Share


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """One RemediationPolicy. `text` is the whole file part that it came from, `digest` "sha256:" + its SHA-256."""

    name: PolicyName
    mode: vocabulary.Mode
    target: Target
    ports: frozenset[int]
    probe: HttpProbe | None
    sample_every: dt.timedelta
    triggers: tuple[Trigger, ...]
    stages: tuple[Stage, ...]
    limits: Limits
    text: str
    digest: str
    source: str
    """FILE:LINE of the document."""

    @property
    def target_name(self) -> str:
        """The name of the target in ledger entries and incident ids: the policy's own name."""
        return self.name
