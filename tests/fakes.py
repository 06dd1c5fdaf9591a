"""Fakes of the other ports of the loop: a ledger in memory, works in virtual time, requests, policies.

The disk and the ward outlive a lastack that is killed; everything else begins anew with the next one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
from collections.abc import Callable, Iterable, Iterator

from lastack import errors, ports
from lastack.engine import actions, facts, instants, outcomes, probes, reasons, standings
from lastack.policy import valid
from lastack.runbook import chain, entries, folds
from tests import ward_ports, wards


class Killed(BaseException):
    """lastack dies at this very point, as with kill -9."""


@dataclasses.dataclass
class Disk:
    """What survives: the lines of the ledger. `watch` hears `before` and `after` of each commit, and may kill."""

    lines: list[bytes] = dataclasses.field(default_factory=list)
    no_room: str | None = None
    unwritable: bool = False
    watch: Callable[[str], None] = lambda _moment: None
    _read: list[entries.Entry] = dataclasses.field(default_factory=list)

    def entries(self) -> list[entries.Entry]:
        """Everything that is durable, each line read back once."""
        self._read += [entries.from_line(line) for line in self.lines[len(self._read) :]]
        return list(self._read)


class MemoryLedger:
    """A ledger over a disk (ports.Ledger); folds what it finds there."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._folded = folds.fold(disk.entries()).without_closed()
        self._draft: tuple[folds.Folded, list[entries.Entry]] | None = None

    @property
    def folded(self) -> folds.Folded:
        """The sum, with the open transaction."""
        return self._draft[0] if self._draft else self._folded

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        self._draft = (self._folded, [])
        try:
            yield
            folded, news = self._draft
        finally:
            self._draft = None
        if not news:
            return
        if self._disk.unwritable:
            raise errors.StateUnusable("no space left on the disk")
        self._disk.watch("before")
        self._disk.lines += [entries.to_line(entry) for entry in news]
        self._folded = folded.without_closed()
        self._disk.watch("after")

    def append(self, news: Iterable[facts.Fact]) -> None:
        """Add at the end."""
        assert self._draft is not None, "outside of a transaction"
        folded, added = self._draft
        for fact in news:
            entry = chain.link(folded.head, fact)
            folded, added = folded.add(entry), [*added, entry]
        self._draft = (folded, added)

    def checkpoint(self, now: instants.Now) -> object:
        """An entry of its own."""
        with self.transaction():
            self.append([facts.Fact(facts.FactKind.LEDGER_CHECKPOINTED, now, "so far")])
        return self._folded.head

    def standing(self, target: str | None, now: instants.Now) -> standings.Standing:
        """What holds, and the room on the disk."""
        return self.folded.standing(target, now, disk_full=self._disk.no_room)


@dataclasses.dataclass
class Ways:
    """How works go in this world: what a test may turn."""

    dumps_end: bool = True
    dumps_fail: bool = False
    dumps_tell: dict[str, outcomes.Json] | None = None
    """What every dump says of the cause."""
    sysctls_refused: bool = False
    sysctls_fail: bool = False
    restores_fail: bool = False
    restores_refused: bool = False
    """For want of a right."""
    mute: bool = False
    """Members take their time to answer a probe."""
    unhooking_heals: bool = True
    """Threads whose connection is destroyed go on; else they are stuck in the next one at once."""
    unhooking_fails: bool = False
    fog: bool = False
    """After a crash the world does not tell what happened."""


class FakeWorks:
    """Carries steps out in a ward (ports.Works); what it remembers dies with it."""

    def __init__(self, ward: wards.Ward, ways: Ways) -> None:
        self._ward = ward
        self._ways = ways
        self._host = ward_ports.FakeHost(ward)
        self._running: dict[actions.StepId, tuple[actions.Step, dt.timedelta]] = {}
        self._ended: list[tuple[actions.Step, outcomes.Outcome]] = []
        self._asked: list[ports.ProbeRequest] = []
        self._restored: list[tuple[standings.Lease, ports.Restored]] = []
        self._closed = False

    def begin(self, step: actions.Step) -> bool:
        """Begin; what takes no time is over at once."""
        assert step.id not in self._running, f"{step.id} was begun twice"
        match step.work:
            case actions.DumpSeries():
                self._running[step.id] = (step, self._ward.clock.steady)
            case actions.SysctlWrite() as work:
                self._ended.append((step, self._write(work)))
            case actions.SocketBatch() as batch:
                self._ended.append((step, self._destroy(step, batch)))
            case actions.Replacement():
                begun = self._host.begin_replacement(step.member, step.expected, step.id)
                match begun:
                    case ports.Begun():
                        self._running[step.id] = (step, self._ward.clock.steady)
                    case ports.AlreadyReplaced():
                        text = f"{step.member} lives anew"
                        refused = outcomes.Refused(reasons.Reason.INCARNATION_CHANGED, text)
                        self._ended.append((step, refused))
                    case ports.HostRefused(reason, text):
                        self._ended.append((step, outcomes.Refused(reason, text)))
        return True

    def resume(self, step: actions.Step) -> bool:
        """Follow what runs on."""
        self._running[step.id] = (step, self._ward.clock.steady)
        return True

    def reconcile(self, step: actions.Step) -> outcomes.Reconciled:
        """What the world tells after a crash."""
        if self._ways.fog:
            return outcomes.Unknowable("the world does not tell")
        match step.work:
            case actions.DumpSeries():
                return outcomes.NotHappened("a dump leaves nothing behind")
            case actions.SysctlWrite() as work:
                value = self._ward.sysctls[work.name]
                if value == work.value:
                    return outcomes.Happened(f"{work.name} is {value}")
                return outcomes.NotHappened(f"{work.name} is still {value}")
            case actions.SocketBatch():
                done = any(deed.startswith("destroy") for deed in self._ward.deeds)
                return (
                    outcomes.Unknowable("some connections are gone")
                    if done
                    else outcomes.NotHappened("all connections are there")
                )
            case actions.Replacement():
                if self._host.in_progress(step.member, step.expected):
                    return outcomes.Running(f"{step.member} is being replaced")
                patient = self._ward.patients[step.member]
                if patient.life == step.expected:
                    return outcomes.NotHappened(f"{step.member} still lives its old life")
                return outcomes.Happened(f"{step.member} lives anew", patient.life)

    def running(self) -> dict[actions.StepId, str]:
        """What has not ended."""
        return {step.id: f"{step.kind.value} of {step.member}" for step, _ in self._running.values()}

    def finished(self) -> list[tuple[actions.Step, outcomes.Outcome]]:
        """What ended."""
        for step, since in list(self._running.values()):
            outcome = self._poll(step, self._ward.clock.steady - since)
            if outcome is not None:
                del self._running[step.id]
                self._ended.append((step, outcome))
        ended, self._ended = self._ended, []
        return ended

    def ask(self, request: ports.ProbeRequest) -> bool:
        """Ask; the answer comes with the next call of `answers`."""
        self._asked.append(request)
        return True

    def answers(self) -> list[tuple[ports.ProbeRequest, probes.ProbeResult]]:
        """A patient that serves says 200."""
        asked, self._asked = ([], self._asked) if self._ways.mute else (self._asked, [])
        return [(request, self._answer(request)) for request in asked]

    def restore(self, lease: standings.Lease) -> bool:
        """Give back, by compare and swap."""
        self._restored.append((lease, self._give_back(lease)))
        return True

    def restored(self) -> list[tuple[standings.Lease, ports.Restored]]:
        """What was tried."""
        restored, self._restored = self._restored, []
        return restored

    def close(self, within: dt.timedelta) -> tuple[actions.StepId, ...]:
        """Nothing more is begun."""
        self._closed = True
        return tuple(sorted(self._running))

    def _poll(self, step: actions.Step, lasted: dt.timedelta) -> outcomes.Outcome | None:
        match step.work:
            case actions.DumpSeries(settings=settings):
                return self._dumped(step, settings, lasted)
            case actions.Replacement(settings=restart):
                return self._replaced(step, restart, lasted)
            case actions.SysctlWrite() | actions.SocketBatch():
                return outcomes.Failed("a write never lasts", happened=False)

    def _dumped(
        self, step: actions.Step, settings: valid.ThreadDump, lasted: dt.timedelta
    ) -> outcomes.Outcome | None:
        if not self._ways.dumps_end or lasted < settings.every * (settings.count - 1):
            return None
        if self._ways.dumps_fail:
            return outcomes.Failed("py-spy is not installed", happened=False)
        path = f"evidence/{step.incident}/{step.member}.txt"
        stored = outcomes.EvidenceFile(path, 512, "0" * 64, f"threads of {step.member}, grouped")
        text = f"20 of 20 threads of {step.member} wait in backend (app.py:41)"
        facts: dict[str, outcomes.Json] = {"frame": "backend (app.py:41)"}
        if self._ward[step.member].health is wards.Health.HUNG:
            told: dict[str, outcomes.Json] = {
                "cause": "downstream",
                "peer": wards.DOWNSTREAM,
                "stuck": 4,
                "of": 4,
            }
            facts = {**facts, **told, "dumps": settings.count}
        if self._ways.dumps_tell is not None:
            facts = {**facts, **self._ways.dumps_tell}
        return outcomes.Succeeded(text, step.expected, (stored,), facts)

    def _destroy(self, step: actions.Step, batch: actions.SocketBatch) -> outcomes.Outcome:
        if self._ways.unhooking_fails:
            return outcomes.Refused(reasons.Reason.CANNOT_HELP, "no thread waits any more")
        inodes = frozenset(each.inode for each in batch.sockets)
        count = self._ward.destroy(step.member, inodes, heals=self._ways.unhooking_heals)
        rows: outcomes.Json = tuple({"peer": each.peer, "thread": each.thread} for each in batch.sockets)
        return outcomes.Succeeded(
            f"{count} connections of {step.member} destroyed", facts={"destroyed": rows}
        )

    def _replaced(
        self, step: actions.Step, restart: valid.RollingRestart, lasted: dt.timedelta
    ) -> outcomes.Outcome | None:
        match self._host.progress(step.member, step.expected, step.id):
            case ports.Waiting():
                return None
            case ports.ReplacementFailed(text=text):
                return outcomes.Failed(text, happened=True)
            case ports.Replaced(new=new):
                patient = self._ward.patients.get(step.member)
                if patient is not None and patient.answers:
                    return outcomes.Succeeded(f"{step.member} was replaced and is ready", new)
                if lasted < restart.ready_within:
                    return None
                return outcomes.Failed(f"{step.member} was not ready in time", happened=True, incarnation=new)

    def _write(self, work: actions.SysctlWrite) -> outcomes.Outcome:
        if self._ways.sysctls_refused:
            return outcomes.Refused(reasons.Reason.NOT_PERMITTED, "/proc/sys/net is read-only here")
        if self._ways.sysctls_fail or self._ward.sysctls[work.name] != work.original:
            return outcomes.Failed(f"{work.name} could not be written", happened=False)
        self._ward.sysctls[work.name] = work.value
        self._ward.deeds.append(f"write {work.name} {work.value}")
        return outcomes.Succeeded(f"{work.name} is {work.value} now", facts={"observed": work.value})

    def _give_back(self, lease: standings.Lease) -> ports.Restored:
        if self._ways.restores_fail:
            return outcomes.Failed("the namespace cannot be entered", happened=False)
        if self._ways.restores_refused:
            return outcomes.Refused(reasons.Reason.NOT_PERMITTED, "run as root")
        if self._ward.sysctls[lease.name] != lease.observed:
            return outcomes.Refused(reasons.Reason.ALREADY_DONE, "a later edit wins")
        self._ward.sysctls[lease.name] = lease.original
        self._ward.deeds.append(f"restore {lease.name} {lease.original}")
        return outcomes.Succeeded(f"{lease.name} was given back")

    def _answer(self, request: ports.ProbeRequest) -> probes.ProbeResult:
        patient = self._ward.patients.get(request.member.name)
        passed = (
            patient is not None
            and patient.answers
            and patient.health
            not in {
                wards.Health.STALLED,
                wards.Health.HUNG,
            }
        )
        text = "200 in 3 ms" if passed else "no answer in 1 s"
        return probes.ProbeResult(
            request.member.name, request.incarnation, self._ward.clock.now(), passed=passed, text=text
        )


class FakeControls:
    """Requests that a test makes (ports.Controls), and what was answered."""

    def __init__(self) -> None:
        self._waiting: list[ports.ControlRequest] = []
        self.replies: list[dict[str, outcomes.Json]] = []

    def say(self, verb: str, **arguments: str) -> None:
        """Ask something."""
        self._waiting.append(
            ports.ControlRequest(verb, arguments, "ada", lambda reply: self.replies.append(dict(reply)))
        )

    def pending(self) -> list[ports.ControlRequest]:
        """What was asked."""
        waiting, self._waiting = self._waiting, []
        return waiting


class FakePolicies:
    """Policies that a test puts in force (ports.PolicySource)."""

    def __init__(self, *policies: valid.Policy) -> None:
        self._news: ports.PolicyNews | None = ports.PolicyNews(policies)

    def put(self, *policies: valid.Policy, rejected: str | None = None) -> None:
        """A new set, or one that is refused."""
        self._news = ports.PolicyNews(policies, rejected)

    def news(self) -> ports.PolicyNews | None:
        """Once."""
        news, self._news = self._news, None
        return news
