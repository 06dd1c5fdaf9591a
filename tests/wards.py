"""A small world of members in virtual time, whose looks are samples: what the fakes of the ports stand on.

A patient is healthy, stalled, leaking or dropping bursts; a replacement ends its life and begins another one, as well
as the test says. The world outlives a lastack that is killed: whatever was done to it is in `deeds`.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from array import array

from lastack import errors
from lastack.engine import actions, censuses, instants, reasons, samples

SECOND = dt.timedelta(seconds=1)
LONG_AGO = dt.timedelta(hours=1)
NAMESPACE = 4026532000
BOOT = "b0071d00-0000-4000-8000-000000000001"
DOWNSTREAM = "10.9.0.7:7000"
WORKERS = 4
SOMAXCONN = "net.core.somaxconn"
EPOCH = dt.datetime(2026, 11, 22, 10, 0, tzinfo=dt.UTC)


class FakeClock:
    """Tells the time that the test says it is."""

    def __init__(self, up: dt.timedelta = dt.timedelta(days=1), boot_id: str = BOOT) -> None:
        self.wall = EPOCH
        self.steady = up
        self.boot_id = boot_id

    def now(self) -> instants.Now:
        """The instant."""
        return instants.Now(self.wall, self.steady, self.boot_id)

    def advance(self, span: dt.timedelta) -> None:
        """Let time pass, on both clocks."""
        self.wall += span
        self.steady += span

    def step(self, span: dt.timedelta) -> None:
        """Set the wall clock, as a person or NTP does."""
        self.wall += span


class Health(enum.Enum):
    """What ails a patient; each but the first shows as what its name says."""

    HEALTHY = enum.auto()
    STALLED = enum.auto()
    HUNG = enum.auto()
    """Stalled, and its threads stand on connections to the downstream of the ward."""
    LEAKING = enum.auto()
    DROPPING = enum.auto()
    NOT_LISTENING = enum.auto()
    UNSEEN = enum.auto()


class Cure(enum.Enum):
    """What a replacement leads to."""

    WELL = enum.auto()
    SICK_AGAIN = enum.auto()
    NEVER_READY = enum.auto()
    FAILS = enum.auto()
    REFUSED = enum.auto()


@dataclasses.dataclass
class Patient:
    """One member. `since` is when its present health began, `listening` when its listener was made."""

    name: actions.MemberName
    pid: int
    born: dt.timedelta
    health: Health = Health.HEALTHY
    since: dt.timedelta = dt.timedelta(0)
    lives: int = 1
    up: bool = True
    answers: bool = True
    traffic: bool = True
    limit: int = 128
    backlog: int = 4096
    cures: list[Cure] = dataclasses.field(default_factory=list)
    hold: censuses.Hold | None = None
    looks: int = 0

    @property
    def life(self) -> actions.Incarnation | None:
        """Its present life, None while it is down."""
        return actions.Incarnation(f"{self.pid}@{self.lives}") if self.up else None


@dataclasses.dataclass
class Job:
    """A replacement that the host was asked for."""

    step: actions.StepId
    member: actions.MemberName
    expected: actions.Incarnation
    begun: dt.timedelta
    cure: Cure
    ended: bool = False
    new: actions.Incarnation | None = None


class Ward:
    """Everything that is true of the world; time passes with its clock."""

    RESTART_TAKES = 2 * SECOND

    def __init__(self, clock: FakeClock, *names: str) -> None:
        self.clock = clock
        self.patients = {
            actions.MemberName(name): Patient(
                actions.MemberName(name), 1000 + at, clock.steady - LONG_AGO, since=clock.steady - LONG_AGO
            )
            for at, name in enumerate(names)
        }
        self.sysctls = {
            SOMAXCONN: "128",
            "net.ipv4.tcp_syncookies": "1",
            "net.ipv4.tcp_max_syn_backlog": "128",
        }
        self.unreachable: str | None = None
        self.namespaces_seen = True
        self.jobs: dict[actions.StepId, Job] = {}
        self.deeds: list[str] = []
        """Every change to the world that lastack made, once per change."""
        self._drops_of_the_dead = 0

    def __getitem__(self, name: str) -> Patient:
        return self.patients[actions.MemberName(name)]

    def fall_sick(self, name: str, health: Health, *, ago: dt.timedelta = dt.timedelta(0)) -> None:
        """Change the health of a patient, now or some time ago."""
        patient = self[name]
        self._drops_of_the_dead += self._drops(patient)
        patient.health, patient.since = health, self.clock.steady - ago

    def hung(self) -> list[Patient]:
        """Those that wait for the downstream."""
        return [patient for patient in self.patients.values() if patient.health is Health.HUNG]

    def answer_downstream(self) -> None:
        """The downstream is there again: whoever waited for it goes on."""
        for patient in self.hung():
            self.fall_sick(str(patient.name), Health.HEALTHY)

    def destroy(self, name: str, inodes: frozenset[int], *, heals: bool) -> int:
        """Destroy connections under the threads of a patient; how many were there."""
        patient = self[name]
        stands = _stands(patient)
        there = (
            frozenset[int]()
            if isinstance(stands, samples.Missing)
            else frozenset(stand.inode for stand in stands) & inodes
        )
        self.deeds.append(f"destroy {len(there)} of {patient.name} {patient.life}")
        if heals and len(there) == WORKERS:
            self.fall_sick(name, Health.HEALTHY)
        return len(there)

    def restart(self, name: str, health: Health = Health.HEALTHY) -> None:
        """Somebody restarts the member at once."""
        self._end(self[name])
        self._begin(self[name], health)

    def stop(self, name: str) -> None:
        """The member ends and stays down."""
        self._end(self[name])

    def start(self, name: str) -> None:
        """A member that is down begins a new life."""
        self._begin(self[name], Health.HEALTHY)

    def replace(self, job: Job) -> None:
        """Take a replacement on."""
        self.jobs[job.step] = job
        self.deeds.append(f"replace {job.member} {job.expected}")

    def pass_time(self) -> None:
        """Let every replacement come as far as it is by now."""
        for job in self.jobs.values():
            if job.ended or self.clock.steady - job.begun < self.RESTART_TAKES:
                continue
            job.ended = True
            patient = self.patients.get(job.member)
            if patient is None:
                continue
            sick = patient.health
            self._end(patient)
            if job.cure is not Cure.FAILS:
                self._begin(patient, sick if job.cure is Cure.SICK_AGAIN else Health.HEALTHY)
                patient.answers = job.cure is not Cure.NEVER_READY
                job.new = patient.life

    def census(self) -> censuses.Census:
        """Who is there. Raises NotReachable while nobody can be asked."""
        self.pass_time()
        if self.unreachable is not None:
            raise errors.NotReachable(self.unreachable)
        return censuses.Census(tuple(self._member(self.patients[name]) for name in sorted(self.patients)))

    def _member(self, patient: Patient) -> censuses.Member:
        pids = (samples.Pid(patient.pid),) if patient.up else ()
        return censuses.Member(
            name=patient.name,
            incarnation=patient.life,
            pids=pids,
            main_pid=pids[0] if pids else None,
            ready=patient.up,
            age=self.clock.steady - patient.born if patient.up else None,
            state="running" if patient.up else "stopped",
            hold=patient.hold or self._busy(patient),
        )

    def job_of(self, member: actions.MemberName) -> Job | None:
        """The replacement that is under way."""
        return next((job for job in self.jobs.values() if job.member == member and not job.ended), None)

    def _busy(self, patient: Patient) -> censuses.Hold | None:
        if self.job_of(patient.name) is None:
            return None
        return censuses.Hold(reasons.Reason.CHANGE_IN_PROGRESS, f"{patient.name} is being replaced")

    def looks(self, pids: frozenset[int]) -> tuple[samples.Look, ...]:
        """What can be seen of these processes."""
        self.pass_time()
        counters = {"ListenDrops": self._all_drops(), "ListenOverflows": self._all_drops()}
        space = samples.NamespaceSample(NAMESPACE, counters, dict(self.sysctls))
        return tuple(
            samples.Look(
                self.clock.now(), self._listener(patient), self._owner(patient), space, _stands(patient)
            )
            for patient in self.patients.values()
            if patient.up
            and patient.pid in pids
            and patient.health not in {Health.NOT_LISTENING, Health.UNSEEN}
        )

    def missing(self, pids: frozenset[int]) -> tuple[tuple[str, samples.Missing], ...]:
        """What cannot be seen of them."""
        return tuple(
            (f"pid/{patient.pid}", samples.Missing("not permitted: needs CAP_SYS_PTRACE", "run as root"))
            for patient in self.patients.values()
            if patient.pid in pids and patient.health is Health.UNSEEN
        )

    def _listener(self, patient: Patient) -> samples.ListenerSample:
        queued, ill = _queued(patient, self._ill_for(patient)), self._ill_for(patient)
        return samples.ListenerSample(
            address=samples.ListenerAddress("127.0.0.1", 8080 + patient.pid % 10, "inet"),
            cookie=patient.pid * 100 + patient.lives,
            depth=len(queued.cookies),
            limit=patient.limit,
            drops=self._drops(patient),
            queued=queued,
            close_wait=_held(patient, ill),
            vanished_open=0,
            established=0,
            syn_received=0,
            reuseport=False,
            peers=(),
            peers_omitted=0,
        )

    def _owner(self, patient: Patient) -> samples.Owner:
        held = len(_held(patient, self._ill_for(patient)).cookies)
        process = samples.ProcessSample(
            pid=samples.Pid(patient.pid),
            parent=samples.Pid(1),
            command="server",
            started=patient.born,
            open_files=20 + held,
            open_files_limit=1024,
            threads=4,
        )
        return samples.Owner(samples.Pid(patient.pid), (process,))

    def _ill_for(self, patient: Patient) -> dt.timedelta:
        return self.clock.steady - patient.since

    def _drops(self, patient: Patient) -> int:
        if patient.health is not Health.DROPPING or patient.limit >= 1000:
            return 0
        return int(self._ill_for(patient).total_seconds()) * 5

    def _all_drops(self) -> int:
        return self._drops_of_the_dead + sum(self._drops(patient) for patient in self.patients.values())

    def _end(self, patient: Patient) -> None:
        self._drops_of_the_dead += self._drops(patient)
        patient.up, patient.health = False, Health.HEALTHY

    def _begin(self, patient: Patient, health: Health) -> None:
        patient.up, patient.lives, patient.pid = True, patient.lives + 1, patient.pid + 10
        patient.born, patient.since = self.clock.steady, self.clock.steady
        patient.health, patient.answers = health, True
        patient.limit = min(patient.backlog, int(self.sysctls[SOMAXCONN]))


def _stands(patient: Patient) -> tuple[samples.ThreadStand, ...] | samples.Missing:
    """Where threads stand: of one that is hung, on a connection to the downstream each."""
    if patient.health is not Health.HUNG:
        return samples.NOTHING_WAITS
    return tuple(
        samples.ThreadStand(
            samples.Pid(patient.pid),
            patient.pid * 10 + at,
            running=False,
            call="read",
            inode=patient.pid * 100 + at,
            side="outbound",
            peer=DOWNSTREAM,
        )
        for at in range(1, WORKERS + 1)
    )


def _queued(patient: Patient, ill: dt.timedelta) -> samples.QueuedRows:
    """Who waits to be accepted: the same five in a stall, one new arrival per look in traffic."""
    if patient.health in {Health.STALLED, Health.HUNG}:
        ages = [int(ill / SECOND * 1000) - 100 * at for at in range(5)]
        waiting = [(at + 1, age) for at, age in enumerate(ages) if age >= 0]
        return samples.QueuedRows(
            array("Q", [cookie for cookie, _ in waiting]), array("Q", [age for _, age in waiting])
        )
    if not patient.traffic:
        return samples.QueuedRows(array("Q"), array("Q"))
    patient.looks += 1
    return samples.QueuedRows(array("Q", [1_000_000 + patient.looks]), array("Q", [1]))


def _held(patient: Patient, ill: dt.timedelta) -> samples.CloseWaitRows:
    """What a leak holds: one more connection each second."""
    count = min(400, int(ill / SECOND)) if patient.health is Health.LEAKING else 0
    ages = [int(ill / SECOND - at) * 1000 for at in range(count)]
    rows = array("Q", range(1, count + 1))
    return samples.CloseWaitRows(rows, rows, array("Q", [0] * count), array("Q", ages), array("Q", ages))
