"""What happens in each scenario, from the first look to the end, as values that tests make claims about.

All of them run at the same time, each on a bed of its own: most of a scenario is waiting for times to pass. Called by
test_systemd through `theatres`.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import signal
import time
from collections.abc import Callable

from lastack.lab import loads
from tests.box import boxes
from tests.e2e.systemd import beds, relays

BUS = "/run/dbus/system_bus_socket"


@dataclasses.dataclass(frozen=True, slots=True)
class Played:
    """What is left of a scenario: the ledger, and the units before and after.

    `marks` are numbers of ledger entries at which something was done to lastack, by a name for what was done;
    `seconds` and `status` tell how lastack ended when it was told to in the middle.
    """

    entries: list[beds.Entry]
    units: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    starts: tuple[int, ...]
    states: tuple[str, ...]
    verdict: str
    evidence: tuple[pathlib.Path, ...]
    record: str = ""
    counts: dict[str, loads.Count] = dataclasses.field(default_factory=dict)
    marks: dict[str, int] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    status: int | None = None

    def where(self, kind: str, **fields: object) -> list[beds.Entry]:
        """The entries of a kind with these values."""
        return [e for e in self.entries if e["kind"] == kind and all(e[f] == v for f, v in fields.items())]

    def since(self, mark: str) -> list[beds.Entry]:
        """The entries after a mark."""
        return [e for e in self.entries if e["seq"] > self.marks[mark]]

    def ends(self, planned: beds.Entry) -> list[beds.Entry]:
        """Every end that the ledger has for a planned act."""
        kinds = {"action.succeeded", "action.failed", "action.interrupted"}
        return [e for e in self.entries if e["kind"] in kinds and e["actionId"] == planned["actionId"]]


Scenario = Callable[[beds.Bed], Played]


def of_kind(kind: str, **fields: object) -> beds.Condition:
    """A condition: an entry of that kind with these values."""
    return lambda entry: entry["kind"] == kind and all(entry[name] == value for name, value in fields.items())


PLANNED = of_kind("action.planned", action="rollingRestart")
RESOLVED = of_kind("incident.resolved")


def clients(bed: beds.Bed) -> boxes.InsideProcess:
    """Clients of every instance of a bed, until it is cleared; those of the first give up soon."""
    wanted = tuple(
        loads.Load(unit, port, clients=2, think_ms=250, patience_ms=2_000 if unit == bed.units[0] else 20_000)
        for unit, port in zip(bed.units, bed.ports, strict=True)
    )
    words = [beds.PYTHON, "-m", "lastack.lab.clients", "--loads", loads.to_argument(wanted)]
    with bed.log.open("a") as log:
        process = bed.box.popen([*words, "--counts", f"{bed.inside_state}.counts"], stdout=log, stderr=log)
    bed.processes.insert(0, process)
    return process


def counted(bed: beds.Bed) -> dict[str, loads.Count]:
    """What became of the requests so far."""
    try:
        return loads.counts_from_json(bed.box.path(f"{bed.inside_state}.counts").read_text())
    except FileNotFoundError:
        return {}


def begin(bed: beds.Bed) -> tuple[str, ...]:
    """Start the units and their clients, and let the first instance fall sick; the lives before."""
    bed.start_units()
    lives = tuple(bed.life(at) for at in range(len(bed.ports)))
    clients(bed)
    bed.fall_sick()
    return lives


def end(
    bed: beds.Bed, before: tuple[str, ...], *, marks: dict[str, int] | None = None, record: str = ""
) -> Played:
    """End lastack in an orderly way, and gather what is left."""
    process = bed.processes[-1]
    process.send_signal(signal.SIGTERM)
    assert 0 == process.wait(beds.WITHIN.total_seconds()), bed.said()
    everybody = range(len(bed.ports))
    exported = bed.ask("ledger", "export", "-o", "jsonl")
    return Played(
        entries=[json.loads(line) for line in exported.splitlines()],
        units=bed.units,
        before=before,
        after=tuple(bed.life(at) for at in everybody),
        starts=tuple(bed.starts(at) for at in everybody),
        states=tuple(bed.show(at, "ActiveState") for at in everybody),
        verdict=bed.ask("ledger", "verify"),
        evidence=tuple(bed.evidence()),
        counts=counted(bed),
        marks=marks or {},
        record=record,
    )


def story(bed: beds.Bed) -> Played:
    """One of two units stalls, and everything goes well."""
    bed.write_policy(beds.text(bed.name, f"{bed.name}@*.service", sampleEvery="500ms"))
    before = begin(bed)
    bed.run_lastack()
    resolved = bed.wait_for(RESOLVED, "the end of the incident")
    record = bed.state / "records" / f"{resolved['incident']}.md"
    return end(bed, before, record=record.read_text())


def ended_before_it_arrives(bed: beds.Bed) -> Played:
    """kill -9 right after the intent is durable: the call for the restart is held back on its way.

    When all is well lastack is killed again, and the unit falls sick in its cooldown.
    """
    before, marks = _with_cut_bus(bed, relays.Cut.BEFORE_IT_ARRIVES, lambda life: bed.life() == life, {})
    marks["healed"] = _fall_sick_again(bed, marks["killed"])
    bed.run_lastack()
    bed.wait_for(of_kind("action.refused", reason="cooldown"), "the cooldown", after=marks["healed"])
    return _recover(bed, before, marks)


def ended_before_the_outcome(bed: beds.Bed) -> Played:
    """kill -9 when the restart has happened, and lastack was never told. Then it falls sick again.

    One restart is allowed, and the one that nobody lived to see counts: also after one more kill -9. The warm-up is
    there to be refused first, so that the other refusal is said again.
    """
    limits = {"cooldown": "1s", "restarts": "{max: 1, per: 1h}", "warmUp": "15s"}
    before, marks = _with_cut_bus(
        bed,
        relays.Cut.BEFORE_IT_IS_ANSWERED,
        lambda life: bed.life() != life and bed.show(0, "ActiveState") == "active",
        limits,
    )
    marks["healed"] = _fall_sick_again(bed, marks["killed"])
    spent = of_kind("action.refused", reason="budget-spent")
    process = bed.run_lastack()
    bed.wait_for(spent, "the budget", after=marks["healed"])
    beds.kill(process)
    marks["killed again"] = bed.last()
    bed.run_lastack()
    bed.wait_for(spent, "the budget after a crash", after=marks["killed again"])
    return _recover(bed, before, marks)


def _fall_sick_again(bed: beds.Bed, after: int) -> int:
    """When the incident has ended, kill lastack and let the unit fall sick again; the entry that ended it."""
    healed = bed.wait_for(RESOLVED, "the end of the incident", after=after)
    beds.kill(bed.processes[-1])
    bed.get_well()
    bed.fall_sick()
    return int(healed["seq"])


def _recover(bed: beds.Bed, before: tuple[str, ...], marks: dict[str, int]) -> Played:
    """Get well without lastack."""
    bed.get_well()
    bed.wait_for(RESOLVED, "the end of the second incident", after=max(marks.values()))
    return end(bed, before, marks=marks)


def _with_cut_bus(
    bed: beds.Bed, cut: relays.Cut, reached: Callable[[str], bool], limits: dict[str, str]
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Run until the cut, kill -9 there, and run again; the lives before, and the last entry of the first run."""
    bed.write_policy(beds.text(bed.name, f"{bed.name}@*.service", **{"minAvailable": "0", **limits}))
    before = begin(bed)
    inside = f"/run/{bed.name}.bus"
    with relays.Relay(bed.box.path(inside), bed.box.path(BUS), cut) as relay:
        process = bed.run_lastack(bus=f"unix:path={inside}")
        assert relay.asked.wait(beds.WITHIN.total_seconds()), f"no restart was asked for: {bed.said()}"
        bed.wait_for_state(lambda: reached(before[0]), str(cut))
        beds.kill(process)
    marks = {"killed": bed.last()}
    bed.run_lastack()
    return before, marks


def killed_during_the_job(bed: beds.Bed) -> Played:
    """kill -9 while systemd stops the old life, which lasts until the next lastack follows it."""
    return _during_the_job(bed, signal.SIGKILL)


def terminated_during_the_job(bed: beds.Bed) -> Played:
    """SIGTERM while systemd stops the old life."""
    return _during_the_job(bed, signal.SIGTERM)


def _during_the_job(bed: beds.Bed, ending: signal.Signals) -> Played:
    bed.write_policy(beds.text(bed.name, f"{bed.name}@*.service", minAvailable="0"))
    before = begin(bed)
    hold = bed.hold_stops()
    process = bed.run_lastack()
    bed.wait_for(PLANNED, "the plan of a restart")
    bed.wait_for_state(lambda: bed.show(0, "ActiveState") == "deactivating", "the stop")
    began = time.monotonic()
    process.send_signal(ending)
    process.wait(beds.WITHIN.total_seconds())
    seconds = time.monotonic() - began
    marks = {"killed": bed.last()}
    bed.run_lastack()
    bed.wait_for(of_kind("lastack.started"), "the next start", after=marks["killed"])
    hold.unlink()
    bed.wait_for(RESOLVED, "the end of the incident", after=marks["killed"])
    return dataclasses.replace(end(bed, before, marks=marks), seconds=seconds, status=process.returncode)


def killed_during_the_dumps(bed: beds.Bed) -> Played:
    """kill -9 when the first of three dumps is stored; the warm-up is longer than the way to a restart."""
    bed.write_policy(beds.text(bed.name, f"{bed.name}@*.service", minAvailable="0", warmUp="15s"))
    before = begin(bed)
    process = bed.run_lastack()
    bed.wait_for_state(lambda: bool(bed.evidence()), "the first dump")
    beds.kill(process)
    marks = {"killed": bed.last()}
    bed.run_lastack()
    bed.wait_for(RESOLVED, "the end of the incident", after=marks["killed"])
    return end(bed, before, marks=marks)


def at_the_start_limit(bed: beds.Bed) -> Played:
    """Both of its two starts were used a moment ago."""
    bed.write_policy(beds.text(bed.name, f"{bed.name}@*.service", minAvailable="0"))
    bed.start_units()
    bed.box.run(["systemctl", "restart", *bed.units])
    before = begin(bed)
    bed.run_lastack()
    bed.wait_for(RESOLVED, "the end of the incident")
    return end(bed, before)


def under_other_policies(bed: beds.Bed) -> Played:
    """Two policies, two sick units. A set that is invalid comes, then one with the first lowered, and no second."""
    kept, gone = (policy_of(bed, at) for at in (0, 1))
    for name, unit in (kept, gone):
        held = beds.text(name, unit, minAvailable="0", minProcessAge="1h", warmUp="15s")
        bed.write_policy(held, as_name=name)
    before = begin(bed)
    bed.fall_sick(1)
    process = bed.run_lastack()
    _wait_until_both_are_young(bed, 0)
    beds.kill(process)
    marks = {"killed": bed.last()}
    process = bed.run_lastack()
    _wait_until_both_are_young(bed, marks["killed"])
    bed.write_policy("kind: RemediationPolicy\nmode: enforced\n", as_name="broken")
    process.send_signal(signal.SIGHUP)
    rejected = bed.wait_for(of_kind("policy.rejected"), "the refusal of the set", after=marks["killed"])
    marks["rejected"] = rejected["seq"]
    before_reload = bed.evidence()
    (bed.policies / "broken.yaml").unlink()
    (bed.policies / f"{gone[0]}.yaml").unlink()
    bed.write_policy(beds.text(*kept, mode="default", minAvailable="0"), as_name=kept[0])
    process.send_signal(signal.SIGHUP)
    bed.wait_for(of_kind("policy.removed"), "the removal of a policy", after=marks["rejected"])
    bed.wait_for(
        of_kind("action.simulated", action="rollingRestart"), "a simulated restart", after=marks["rejected"]
    )
    assert before_reload == bed.evidence(), "evidence was taken by a policy that only observes"
    return end(bed, before, marks=marks)


def policy_of(bed: beds.Bed, at: int) -> tuple[str, str]:
    """The name of the policy for one instance, and the instance."""
    return f"{bed.name}-{bed.ports[at]}", bed.units[at]


def _wait_until_both_are_young(bed: beds.Bed, after: int) -> None:
    for unit in bed.units:
        young = of_kind("action.refused", reason="young-process", member=unit)
        bed.wait_for(young, f"the refusal to restart {unit}", after=after)
