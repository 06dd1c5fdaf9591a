"""What the entries add up to: incidents, budgets, cooldowns, leases, pauses. Called by stores and cli.

`Folded` takes one entry after the other, so that a tick costs its new entries only, and is the same value after a
rebuild from the first entry. Its size does not grow with the ledger: of each target the newest KEPT_RESTARTS count
(a budget can ask for no more, and no clock that was wrong can make them old), closed incidents leave once saved.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from lastack.engine import actions, facts, incidents, instants, standings
from lastack.policy import valid, vocabulary
from lastack.runbook import chain, entries, pauses

KEPT_RESTARTS = 1000
"""Of one target, real and shadow ones apart. limits.restarts.max may not be larger."""

LeaseKey = tuple[int, str, str]
"""Network namespace, boot id and name of the sysctl."""


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """An incident and the first and last entry that name it. Its end is final: later entries do not evolve it."""

    incident: incidents.Incident
    first_seq: int
    last_seq: int


@dataclasses.dataclass(frozen=True, slots=True)
class Folded:
    """The sum of all entries up to `head`.

    `told` are the incidents that are open, and the closed ones until `without_closed`. `planned` are the acts
    without an outcome, as they were planned: what a crash leaves to be reconciled.
    """

    head: chain.Head = dataclasses.field(default_factory=chain.Head)
    started: instants.Now | None = None
    pause: standings.Pause | None = None
    restarts: Mapping[tuple[str, bool], tuple[standings.Restart, ...]] = dataclasses.field(
        default_factory=dict
    )
    remediations: Mapping[tuple[str, actions.MemberName], standings.Remediation] = dataclasses.field(
        default_factory=dict
    )
    leases: Mapping[LeaseKey, standings.Lease] = dataclasses.field(default_factory=dict)
    texts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    planned: Mapping[actions.StepId, facts.Fact] = dataclasses.field(default_factory=dict)
    told: Mapping[actions.IncidentId, Told] = dataclasses.field(default_factory=dict)

    def add(self, entry: entries.Entry) -> "Folded":
        """The sum with one more entry, which follows `head`."""
        change = _CHANGES.get(entry.fact.kind)
        changed = self if change is None else change(self, entry.fact)
        evolved = _evolved(changed, entry)
        return dataclasses.replace(evolved, head=chain.head_of(entry))

    def without_closed(self) -> "Folded":
        """The same without the incidents that have ended."""
        kept = {key: told for key, told in self.told.items() if told.incident.closed_at is None}
        return self if len(kept) == len(self.told) else dataclasses.replace(self, told=kept)

    def standing(
        self, target: str | None, now: instants.Now, *, disk_full: str | None = None
    ) -> standings.Standing:
        """What holds now, of one target or of all; `disk_full` is what the store says about its room."""
        restarts = [r for key, kept in self.restarts.items() if target in (None, key[0]) for r in kept]
        remediations = [r for key, r in self.remediations.items() if target in (None, key[0])]
        others = [
            told.incident
            for told in self.told.values()
            if told.incident.closed_at is None and told.incident.target != target
        ]
        return standings.Standing(
            started=self.started or now,
            restarts=tuple(restarts),
            remediations=tuple(remediations),
            pause=self.pause if self.pause and self.pause.holds(now.wall) else None,
            leases=tuple(self.leases.values()),
            waits=tuple(
                standings.PeerWait(incident.target, member, peer)
                for incident in others
                for member, peer in incident.waits.items()
            ),
            announced=frozenset[str]().union(*(incident.announced for incident in others)),
            texts=self.texts,
            disk_full=disk_full,
        )


def fold(news: Iterable[entries.Entry], folded: Folded | None = None) -> Folded:
    """Everything that the entries add up to, from the first or on top of `folded`."""
    folded = folded or Folded()
    for entry in news:
        folded = folded.add(entry)
    return folded


def history(news: Iterable[entries.Entry]) -> tuple[Told, ...]:
    """Every incident that these entries tell of, open or closed, in the order in which they were opened."""
    return tuple(fold(news).told.values())


def _evolved(folded: Folded, entry: entries.Entry) -> Folded:
    """Let the entry's incident evolve, and remember its end for the cooldown of the members that were treated."""
    name = entry.fact.incident
    if name is None:
        return folded
    before = folded.told.get(name)
    if before is not None and before.incident.closed_at is not None:
        later = dataclasses.replace(before, last_seq=entry.seq)
        return dataclasses.replace(folded, told={**folded.told, name: later})
    incident = incidents.evolve(before.incident if before else None, entry.fact)
    if incident is None:
        return folded
    told = Told(incident, before.first_seq if before else entry.seq, entry.seq)
    remediations = folded.remediations
    if entry.fact.kind in _ENDS:
        ended = {
            (incident.target, member): standings.Remediation(incident.target, member, entry.fact.at.wall)
            for member in incident.treated
        }
        remediations = {**remediations, **ended}
    return dataclasses.replace(folded, told={**folded.told, name: told}, remediations=remediations)


_ENDS = frozenset(
    {
        facts.FactKind.INCIDENT_RESOLVED,
        facts.FactKind.INCIDENT_EXHAUSTED,
        facts.FactKind.INCIDENT_ABANDONED,
    }
)


def _abandoned(folded: Folded, fact: facts.Fact) -> Folded:
    """What an abandoned incident leased ends with it."""
    ended = {
        key: dataclasses.replace(lease, until=fact.at.wall) if lease.incident == fact.incident else lease
        for key, lease in folded.leases.items()
    }
    return dataclasses.replace(folded, leases=ended)


def _looking_since(folded: Folded, fact: facts.Fact) -> Folded:
    return dataclasses.replace(folded, started=fact.at)


def _paused(folded: Folded, fact: facts.Fact) -> Folded:
    return dataclasses.replace(folded, pause=pauses.pause_of(fact))


def _resumed(folded: Folded, _fact: facts.Fact) -> Folded:
    return dataclasses.replace(folded, pause=None)


def _loaded(folded: Folded, fact: facts.Fact) -> Folded:
    text = fact.data.get("text")
    if fact.policy_hash is None or not isinstance(text, str):
        return folded
    return dataclasses.replace(folded, texts={**folded.texts, fact.policy_hash: text})


def _planned(folded: Folded, fact: facts.Fact) -> Folded:
    if fact.action_id is None:
        return folded
    return dataclasses.replace(folded, planned={**folded.planned, fact.action_id: fact})


def _ended(folded: Folded, fact: facts.Fact) -> Folded:
    """An act is over. A restart counts unless it is known not to have happened: a budget errs on the safe side."""
    planned = {key: plan for key, plan in folded.planned.items() if key != fact.action_id}
    folded = dataclasses.replace(folded, planned=planned)
    happened = fact.kind is facts.FactKind.ACTION_SUCCEEDED or fact.data.get("happened") != "no"
    if not happened:
        return folded
    return _restart_counted(_cooled(folded, fact), fact, shadow=False, ours=True)


def _cooled(folded: Folded, fact: facts.Fact) -> Folded:
    """An act that outlives its incident, which was abandoned: the member's cooldown runs from the act's end."""
    told = folded.told.get(fact.incident) if fact.incident else None
    remedy = fact.action is not None and not actions.NATURES[fact.action].at_suspicion
    if not remedy or fact.target is None or fact.member is None:
        return folded
    if told is not None and told.incident.closed_at is None:
        return folded
    late = standings.Remediation(fact.target, fact.member, fact.at.wall)
    return dataclasses.replace(folded, remediations={**folded.remediations, (fact.target, fact.member): late})


def _simulated(folded: Folded, fact: facts.Fact) -> Folded:
    return _restart_counted(folded, fact, shadow=True, ours=True)


def _restart_counted(folded: Folded, fact: facts.Fact, *, shadow: bool, ours: bool) -> Folded:
    restart = fact.action is vocabulary.ActionKind.ROLLING_RESTART
    return _restarted(folded, fact, shadow=shadow, ours=ours) if restart else folded


def _by_others(folded: Folded, fact: facts.Fact) -> Folded:
    return _restarted(folded, fact, shadow=False, ours=False)


def _restarted(folded: Folded, fact: facts.Fact, *, shadow: bool, ours: bool) -> Folded:
    if fact.target is None or fact.member is None:
        return folded
    restart = standings.Restart(fact.target, fact.member, fact.at.wall, shadow=shadow, ours=ours)
    kept = (*folded.restarts.get((fact.target, shadow), ()), restart)[-KEPT_RESTARTS:]
    return dataclasses.replace(folded, restarts={**folded.restarts, (fact.target, shadow): kept})


def _lease_key(fact: facts.Fact) -> LeaseKey:
    namespace = fact.data.get("namespace")
    number = namespace if isinstance(namespace, int) else 0
    return number, str(fact.data.get("bootId", fact.at.boot_id)), str(fact.data.get("name"))


def _given_back(folded: Folded, fact: facts.Fact) -> Folded:
    kept = {key: lease for key, lease in folded.leases.items() if key != _lease_key(fact)}
    return dataclasses.replace(folded, leases=kept)


def _leased(folded: Folded, fact: facts.Fact) -> Folded:
    """One more lease. The original of a name that is leased already stays what it was before the first lease."""
    key = _lease_key(fact)
    before, data = folded.leases.get(key), fact.data
    pid, until = data.get("pid"), data.get("until")
    lease = standings.Lease(
        namespace=key[0],
        boot_id=key[1],
        name=key[2],
        original=before.original if before else str(data.get("original")),
        desired=str(data.get("desired")),
        observed=str(data.get("observed")),
        pid=pid if isinstance(pid, int) else 0,
        scope=str(data.get("scope")),
        policy=fact.policy or valid.PolicyName(""),
        incident=fact.incident or actions.IncidentId(""),
        step=fact.action_id or actions.StepId(""),
        since=fact.at.wall,
        until=instants.from_rfc3339(until) if isinstance(until, str) else None,
    )
    return dataclasses.replace(folded, leases={**folded.leases, key: lease})


_CHANGES: Mapping[facts.FactKind, Callable[[Folded, facts.Fact], Folded]] = {
    facts.FactKind.LASTACK_STARTED: _looking_since,
    facts.FactKind.CLOCK_STEPPED: _looking_since,
    facts.FactKind.OPERATOR_PAUSED: _paused,
    facts.FactKind.OPERATOR_RESUMED: _resumed,
    facts.FactKind.POLICY_LOADED: _loaded,
    facts.FactKind.INCIDENT_ABANDONED: _abandoned,
    facts.FactKind.SYSCTL_LEASED: _leased,
    facts.FactKind.SYSCTL_RESTORED: _given_back,
    facts.FactKind.SYSCTL_YIELDED: _given_back,
    facts.FactKind.ACTION_PLANNED: _planned,
    facts.FactKind.ACTION_SUCCEEDED: _ended,
    facts.FactKind.ACTION_FAILED: _ended,
    facts.FactKind.ACTION_INTERRUPTED: _ended,
    facts.FactKind.ACTION_SIMULATED: _simulated,
    facts.FactKind.MEMBER_RESTARTED: _by_others,
}
"""What each kind changes, besides its incident."""
