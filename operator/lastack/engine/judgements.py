"""What is true of one member right now: a value that can be sent from an agent to a controller.

`judge` is the first half of the engine; decisions.decide is the second. Called by loop, once per member and tick.
"""

import dataclasses
import datetime as dt
from collections.abc import Sequence

from lastack.engine import actions, censuses, diagnoses, findings, instants, samples, stuck_sockets, verdicts
from lastack.policy import valid, vocabulary


@dataclasses.dataclass(frozen=True, slots=True)
class Judgement:
    """One member, one instant.

    `found` is worst first, one per listener and per process with connections that it made itself; empty when nothing
    could be seen.

    `traffic` is whether connections were accepted in the window (None: unknown). `namespace` is the network
    namespace of the member's listeners with the sysctls read there.
    """

    member: actions.MemberName
    incarnation: actions.Incarnation | None
    at: instants.Now
    found: tuple[findings.Finding, ...]
    verdicts: tuple[verdicts.Verdict, ...]
    traffic: bool | None
    namespace: samples.NamespaceSample | None
    ports: frozenset[int] = frozenset()
    """Where the member listens, as seen in the last look."""
    stuck: tuple[stuck_sockets.StuckSocket, ...] = ()
    """Connections of its own on which its threads stand in every look."""

    @property
    def worst(self) -> findings.Finding | None:
        """The finding that matters most."""
        return self.found[0] if self.found else None

    @property
    def firing(self) -> bool:
        """Whether a trigger fires and its condition holds at this instant."""
        return any(v.state is verdicts.VerdictState.FIRING and v.raised for v in self.verdicts)

    @property
    def pending(self) -> bool:
        """Whether a trigger is raised, sustained or not."""
        return any(v.raised for v in self.verdicts)

    @property
    def unknown(self) -> bool:
        """Whether any trigger cannot be told; such a member is never acted on."""
        return any(v.state is verdicts.VerdictState.UNKNOWN for v in self.verdicts)

    def quiet_for(self, now: instants.Now) -> dt.timedelta | None:
        """How long nothing has been raised, None while something is or cannot be told."""
        spans = [now.since(v.quiet_since) if v.quiet_since else None for v in self.verdicts]
        known = [span for span in spans if span is not None]
        return min(known) if len(known) == len(spans) and known else None


def judge(
    member: censuses.Member,
    windows: Sequence[samples.Window],
    policy: valid.Policy,
    before: Judgement | None,
    now: instants.Now,
    *,
    clients: Sequence[samples.OutboundWindow] = (),
    unseen: samples.Missing | None = None,
) -> Judgement:
    """Judge one member from its windows, one per listener; `before` carries how long its triggers have stood.

    `clients` are its processes that have connections of their own whose other side has closed.

    A judgement of another life of the member is worth nothing: a restart by anybody resets every count. `unseen`
    says why there may be no windows although the member listens; then nothing is concluded from their absence.
    """
    if before is not None and before.incarnation != member.incarnation:
        before = None
    found = [diagnoses.diagnose(window) for window in windows]
    if not windows and member.ready and unseen is None:
        found = [diagnoses.not_listening(policy.ports)]
    found += [diagnoses.diagnose_outbound(window) for window in clients]
    found.sort(key=diagnoses.rank)
    earlier = {v.trigger: v for v in before.verdicts} if before else {}
    stands = tuple(verdicts.assess(t, found, earlier.get(t.name), now) for t in policy.triggers)
    progress = [
        f.signals.get(vocabulary.SignalName.ACCEPT_PROGRESS, samples.Missing("not measured")) for f in found
    ]
    counted = [value for value in progress if not isinstance(value, samples.Missing)]
    return Judgement(
        member=member.name,
        incarnation=member.incarnation,
        at=now,
        found=tuple(found),
        verdicts=stands,
        traffic=any(value > 0 for value in counted) if counted else None,
        namespace=windows[0].last.namespace if windows else None,
        ports=frozenset(window.last.listener.address.port for window in windows),
        stuck=stuck_sockets.of(windows),
    )
