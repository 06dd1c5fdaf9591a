"""A whole lastack in virtual time: told what befalls a ward, it writes its ledger; killed, it is started again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from lastack import errors, loop, ports
from lastack.engine import facts, incidents, standings
from lastack.policy import valid
from lastack.runbook import chain, entries, folds
from tests import fakes, ward_ports, wards
from tests.engine import makers

Kind = facts.FactKind
ASIDE = frozenset({Kind.LASTACK_STARTED, Kind.POLICY_LOADED})


class Story:
    """One world and the lastack that watches it, a tick each second."""

    def __init__(
        self, *names: str, policy: valid.Policy | None = None, clock: wards.FakeClock | None = None
    ) -> None:
        self.clock = clock or wards.FakeClock()
        self.ward = wards.Ward(self.clock, *(names or ("a", "b")))
        self.disk = fakes.Disk()
        self.ways = fakes.Ways()
        self.controls = fakes.FakeControls()
        self.policies = [policy or makers.policy()]
        self.told: list[facts.Fact] = []
        self._history: tuple[folds.Told, ...] = ()
        self._told_of = 0
        self.unfound: str | None = None
        """Why the target's host cannot be found at all."""
        self.boot()

    def boot(self) -> None:
        """A new lastack over what is on the disk; the one before is forgotten, as a killed process is."""
        self.source = fakes.FakePolicies(*self.policies)
        self.works = fakes.FakeWorks(self.ward, self.ways)
        self.sampler = ward_ports.FakeSampler(self.ward)
        self.ledger = fakes.MemoryLedger(self.disk)
        self.loop = loop.Loop(
            loop.World(
                clock=self.clock,
                sampler=self.sampler,
                hosts=self._host,
                works=self.works,
                ledger=self.ledger,
                controls=self.controls,
                policies=self.source,
                told=self.told.extend,
                about={"build": "0.1.0"},
            )
        )
        self.loop.start("root")

    def _host(self, target: valid.Target) -> ports.ServiceHost:
        if self.unfound is not None:
            raise errors.NotReachable(self.unfound)
        return ward_ports.FakeHost(self.ward)

    def put(self, *policies: valid.Policy) -> None:
        """Put another set in force."""
        self.policies = list(policies)
        self.source.put(*policies)

    def tick(self, times: int = 1) -> None:
        """A tick, and a second passes."""
        for _ in range(times):
            self.loop.tick()
            self.clock.advance(wards.SECOND)

    def until(self, reached: Callable[[], bool], within: int = 300) -> None:
        """Tick until it is so."""
        for _ in range(within):
            if reached():
                return
            self.tick()
        raise AssertionError("\n".join(["this was never reached:", *self.lines()]))

    def until_kind(self, kind: facts.FactKind, times: int = 1, within: int = 300) -> entries.Entry:
        """Tick until an entry of that kind was written so often; gives the last of them."""
        self.until(lambda: len(self.of(kind)) >= times, within)
        return self.of(kind)[times - 1]

    def until_closed(self, times: int = 1, within: int = 400) -> incidents.Incident:
        """Tick until the incident of that number has ended, and give it."""
        self.until(lambda: len(self.closed()) >= times, within)
        return self.closed()[times - 1]

    def closed(self) -> list[incidents.Incident]:
        """The incidents that have ended."""
        return [told.incident for told in self.history() if told.incident.closed_at is not None]

    def history(self) -> tuple[folds.Told, ...]:
        """Every incident."""
        if len(self.disk.lines) != self._told_of:
            self._history, self._told_of = folds.history(self.disk.entries()), len(self.disk.lines)
        return self._history

    @property
    def incident(self) -> incidents.Incident:
        """The last incident."""
        return self.history()[-1].incident

    def of(self, *kinds: facts.FactKind, member: str | None = None) -> list[entries.Entry]:
        """The entries of these kinds."""
        return [
            entry
            for entry in self.disk.entries()
            if entry.fact.kind in kinds and member in {None, entry.fact.member}
        ]

    def kinds(self) -> list[str]:
        """What was written, without starts and policies."""
        return [str(entry.fact.kind) for entry in self.disk.entries() if entry.fact.kind not in ASIDE]

    def refusals(self) -> list[tuple[str, str | None, str | None]]:
        """Who was refused what and why: (stage, member, reason), in order."""
        return [(str(e.fact.stage), e.fact.member, e.fact.reason) for e in self.of(Kind.ACTION_REFUSED)]

    def leases(self) -> list[standings.Lease]:
        """The leases that are open."""
        return list(self.ledger.folded.leases.values())

    def lines(self) -> list[str]:
        """The ledger for a person."""
        return [
            f"{entry.seq:3} {entry.fact.at.wall - wards.EPOCH} {entry.fact.kind} "
            f"{entry.fact.stage or '-'} {entry.fact.member or '-'} {entry.fact.reason or ''} {entry.fact.text}"
            for entry in self.disk.entries()
        ]

    def assert_whole(self) -> None:
        """The chain holds, each act has one end, nothing was done twice, folds agree."""
        intact = chain.verify(self.disk.lines, chain.Head())
        assert isinstance(intact, chain.Intact), intact
        planned = [e.fact.action_id for e in self.of(Kind.ACTION_PLANNED)]
        ends = [
            e.fact.action_id
            for e in self.of(Kind.ACTION_SUCCEEDED, Kind.ACTION_FAILED, Kind.ACTION_INTERRUPTED)
        ]
        assert len(set(planned)) == len(planned)
        assert len(set(ends)) == len(ends)
        assert set(ends) <= set(planned)
        assert set(planned) - set(ends) == set(self.ledger.folded.planned)
        replaced = [deed for deed in self.ward.deeds if deed.startswith("replace")]
        assert len(set(replaced)) == len(replaced)
        assert folds.fold(self.disk.entries()).without_closed() == self.ledger.folded


def sick(
    health: wards.Health, *names: str, policy: valid.Policy | None = None, ago: dt.timedelta | None = None
) -> Story:
    """A story in which `a` (or the first of these members) falls sick, long after lastack began to look."""
    story = Story(*names, policy=policy)
    story.tick(10)
    story.ward.fall_sick(names[0] if names else "a", health, ago=ago or dt.timedelta(0))
    return story
