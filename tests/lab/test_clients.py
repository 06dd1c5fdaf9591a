"""What the clients count is what the demo proves: every request is answered or failed, by member."""

from __future__ import annotations

import datetime as dt
import pathlib

from lastack.lab import lifelines, loads, running
from tests import waiting
from tests.lab import patients

SOON = dt.timedelta(seconds=20)


def counts_after(
    tmp_path: pathlib.Path, plan: tuple[loads.Load, ...], *, until: int
) -> dict[str, loads.Count]:
    """Run the clients until each member was sent `until` requests, stop them, and read their last word."""
    counts = tmp_path / "counts.json"
    arguments = ("--loads", loads.to_argument(plan), "--counts", str(counts))

    def enough() -> bool:
        try:
            return all(count.sent >= until for count in running.read_counts(counts).values())
        except FileNotFoundError:
            return False

    with lifelines.child("lastack.lab.clients", arguments, said=tmp_path / "clients.log") as process:
        waiting.wait_until(enough, within=SOON, what=f"{until} requests to each member")
    assert 0 == process.returncode
    return running.read_counts(counts)


def test_a_well_member_loses_no_request(tmp_path: pathlib.Path) -> None:
    """At the end nothing is on its way: all that was sent was answered."""
    with patients.running(tmp_path) as patient:
        plan = loads.Load("a", patient.port, clients=4, think_ms=10)
        count = counts_after(tmp_path, (plan,), until=40)["a"]
    assert (0, 0, {}) == (count.failed, count.waiting, count.failures)
    assert count.answered == count.sent


def test_what_is_lost_is_counted_at_the_member_that_lost_it(tmp_path: pathlib.Path) -> None:
    """A port where nobody listens refuses; the other member does not notice."""
    with patients.running(tmp_path) as patient:
        plan = (
            loads.Load("well", patient.port, clients=2, think_ms=10),
            loads.Load("gone", patients.free_port(), clients=2, think_ms=10),
        )
        counts = counts_after(tmp_path, plan, until=20)
    assert (0, 0) == (counts["well"].failed, counts["well"].waiting)
    assert {"refused": counts["gone"].sent} == counts["gone"].failures


def test_an_impatient_client_gives_up(tmp_path: pathlib.Path) -> None:
    """A slow answer is a failure after patience_ms, and the client goes on."""
    with patients.running(tmp_path, "--work-ms", "2000") as patient:
        plan = loads.Load("slow", patient.port, clients=1, think_ms=10, patience_ms=100)
        count = counts_after(tmp_path, (plan,), until=3)["slow"]
    assert {"timed out": count.sent} == count.failures


def test_a_burst_comes_all_at_once(tmp_path: pathlib.Path) -> None:
    """Beside the steady clients, so many more every so often."""
    with patients.running(tmp_path) as patient:
        plan = loads.Load("bursts", patient.port, clients=0, burst=20, burst_every_ms=100)
        count = counts_after(tmp_path, (plan,), until=40)["bursts"]
    assert (0, 0) == (count.sent % 20, count.failed)


def test_loads_and_counts_survive_being_written() -> None:
    """What is put on a command line or into a file is what is read back."""
    plan = (loads.Load("a", 1, clients=2, burst=3), loads.Load("b", 2, clients=1, path="/health"))
    assert plan == loads.from_argument(loads.to_argument(plan))
    counts = {"a": loads.Count(sent=5, answered=2, failed=2, failures={"timed out": 2})}
    assert counts == loads.counts_from_json(loads.counts_to_json(counts))
    assert 1 == counts["a"].waiting
