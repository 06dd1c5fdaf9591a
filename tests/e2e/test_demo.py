"""The demo, run once for real and looked at from many sides; then as an ordinary user, and interrupted."""

from __future__ import annotations

import datetime as dt
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from tests import waiting
from tests.e2e import demos, ordinary_users
from tests.lab import leftovers

SICK, WELL = "warehouse-2", "warehouse-1"

pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(150)]


@pytest.fixture(scope="session")
def demo() -> Iterator[demos.Demo]:
    """One run for all."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lastack-e2e-"))
    yield demos.run(folder / "state")
    shutil.rmtree(folder)


def test_the_demo_succeeds_within_ninety_seconds(demo: demos.Demo) -> None:
    """Exit 0 means: healed, verified, and nobody else lost a request."""
    assert (0, "") == (demo.status, demo.err)
    assert demo.seconds < 90


def test_piped_output_is_plain(demo: demos.Demo) -> None:
    """No escape codes, no carriage returns, nothing wider than 80 columns but paths and commands."""
    assert re.findall(r"[\x1b\r\x08]", demo.out) == []
    wide = [line for line in demo.lines if len(line) > 80 and str(demo.state_dir) not in line]
    assert [] == wide


def test_the_header_names_the_policy_and_what_differs(demo: demos.Demo) -> None:
    """Whoever watches knows what is real."""
    head = " ".join(demo.lines[:9])
    assert "policies/demo.yaml" in head
    assert "times alone" in head


def test_every_ledger_fact_of_the_incident_is_on_the_timeline(demo: demos.Demo) -> None:
    """One line each, in order, by the past participle of its kind."""
    words = [match[1] for line in demo.lines if (match := re.match(r" *\d+\.\d s  (\w+)", line))]
    expected = [entry["kind"].partition(".")[2] for entry in demo.entries if entry["incident"]]
    shown = iter(words)
    assert all(word in shown for word in expected), f"{expected} is not in this order in {words}"


def test_the_ledger_verifies(demo: demos.Demo) -> None:
    """Nothing in the chain is missing or changed."""
    assert f"ok {len(demo.entries)} entries from seq 1\n" == demos.ask("ledger", "verify", at=demo.state_dir)


def test_the_story_is_told_in_its_order(demo: demos.Demo) -> None:
    """Opened, evidence, refused, planned, done, verified, resolved."""
    story = [
        ("incident.opened", None),
        ("action.planned", "threadDump"),
        ("incident.fired", None),
        ("action.refused", "sysctl"),
        ("action.planned", "rollingRestart"),
        ("action.succeeded", "rollingRestart"),
        ("member.verified", "rollingRestart"),
        ("incident.resolved", None),
    ]
    told = iter([(entry["kind"], entry["action"]) for entry in demo.entries])
    assert all(step in told for step in story), f"{story} is not in this order in {demo.entries}"


def test_the_diagnosis_is_the_disease(demo: demos.Demo) -> None:
    """accept-stall, of the one member that was made sick."""
    sickened = demo.where("member.sickened")
    assert [(SICK, "accept-stall")] == [(entry["member"], entry["data"]["diagnosis"]) for entry in sickened]


def test_three_dumps_name_the_stuck_function_before_anything_is_disturbed(demo: demos.Demo) -> None:
    """The evidence is stored, and it says what all eight workers wait for."""
    entries = demo.entries
    stored = demo.where("evidence.stored")
    assert [(SICK, 3, 8, 8)] == [
        (entry["member"], entry["data"]["dumps"], entry["data"]["stuck"], entry["data"]["of"])
        for entry in stored
    ]
    assert "wait_for_inventory_lock" in stored[0]["data"]["frame"]
    disturbed = next(
        e["seq"] for e in entries if e["kind"] == "action.planned" and e["action"] == "rollingRestart"
    )
    assert stored[0]["seq"] < disturbed
    dumps = [file for file in stored[0]["data"]["files"] if "dump " in file["what"]]
    assert 3 == len(dumps)
    assert all((demo.state_dir / file["path"]).exists() for file in stored[0]["data"]["files"])


def test_the_sysctl_is_refused_because_it_cannot_help(demo: demos.Demo) -> None:
    """A stall is no backlog problem; nothing is leased."""
    refused = [entry for entry in demo.where("action.refused") if entry["action"] == "sysctl"]
    assert ["cannot-help"] == [entry["reason"] for entry in refused]
    assert [] == demo.where("sysctl.leased")


def test_only_the_sick_member_is_replaced_and_only_once(demo: demos.Demo) -> None:
    """One life ended; the other member's did not."""
    planned = [entry for entry in demo.where("action.planned") if entry["action"] == "rollingRestart"]
    assert [SICK] == [entry["member"] for entry in planned]
    assert [] == demo.where("member.restarted")


def test_the_incident_is_verified_by_a_real_probe(demo: demos.Demo) -> None:
    """The outcome that alone counts as healed."""
    resolved = demo.where("incident.resolved")
    assert ["verified"] == [entry["data"]["outcome"] for entry in resolved]
    assert "200" in resolved[0]["text"]


def test_the_other_member_lost_no_request(demo: demos.Demo) -> None:
    """Of very many."""
    found = re.search(rf"{WELL} lost (\d+) of (\d+) requests", " ".join(demo.out.split()))
    assert found is not None
    assert (0, True) == (int(found[1]), int(found[2]) > 500)


def test_the_last_line_is_the_path_of_a_record_that_names_the_function(demo: demos.Demo) -> None:
    """What one would send around after an outage."""
    record = pathlib.Path(demo.lines[-1])
    assert (".md", True) == (record.suffix, record.is_relative_to(demo.state_dir))
    text = record.read_text(encoding="utf-8")
    assert [] == [word for word in ("wait_for_inventory_lock", "accept-stall", SICK) if word not in text]


def test_nothing_is_left_but_the_state(demo: demos.Demo) -> None:
    """No process, and with them no namespace; no folder beside the state directory."""
    assert [] == demo.left
    assert [] == list((demo.state_dir.parent / "tmp").iterdir())


def test_a_state_directory_with_a_ledger_is_refused(demo: demos.Demo) -> None:
    """Its cooldowns would hold the second demo; the message says what to do."""
    again = demos.run(demo.state_dir)
    assert (2, "") == (again.status, again.out)
    assert "holds a ledger already" in again.err
    assert "next step" in again.err


def test_an_ordinary_user_sees_the_same() -> None:
    """No root, no sudo: a user namespace is enough, and the state goes below the user's own home."""
    home = ordinary_users.home()
    mark, environment = leftovers.marked_environment()
    environment = {**environment, "HOME": str(home)}
    environment.pop("XDG_STATE_HOME", None)
    done = subprocess.run(
        ordinary_users.command(str(demos.PROGRAM), "demo", "-o", "jsonl"),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr), done.stdout
    *told, verdict = [json.loads(line) for line in done.stdout.splitlines()]
    assert ("DemoVerdict", "verified", True, []) == tuple(
        verdict[name] for name in ("kind", "outcome", "healed", "problems")
    )
    assert 0 == verdict["requests"][WELL]["failed"]
    assert verdict["requests"][WELL]["sent"] == verdict["requests"][WELL]["answered"]
    assert pathlib.Path(verdict["record"]).is_relative_to(home / ".local/state/lastack/demo")
    assert "incident.resolved" in [fact["kind"] for fact in told]
    assert [] == leftovers.processes(mark)
    shutil.rmtree(home)


@pytest.mark.parametrize("until", ["lastack demo", " s  staged "])
def test_ctrl_c_leaves_nothing_behind(until: str, tmp_path: pathlib.Path) -> None:
    """130 right after the start and in the middle of the disease; no process, namespace or mount is left."""
    mark, environment = leftovers.marked_environment()
    before = pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    with subprocess.Popen(
        [demos.PROGRAM, "demo", "--state-dir", tmp_path / "state"],
        env={**environment, "PYTHONUNBUFFERED": "1", "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        while until not in (line := process.stdout.readline()):
            assert line, f"the demo ended: {process.communicate()}"
        namespace = leftovers.namespace_of(process.pid)
        assert leftovers.namespace_of(os.getpid()) != namespace
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (130, True) == (process.returncode, "interrupted" in err), err
    assert "Traceback" not in err
    assert ([], []) == (leftovers.processes(mark), leftovers.holders(namespace))
    assert before == pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8")


def test_a_killed_demo_leaves_no_process(tmp_path: pathlib.Path) -> None:
    """Supervisor, members and clients end with it, without its help."""
    mark, environment = leftovers.marked_environment()
    with subprocess.Popen(
        [demos.PROGRAM, "demo", "--state-dir", tmp_path / "state"],
        env={**environment, "PYTHONUNBUFFERED": "1", "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        while " s  staged " not in (line := process.stdout.readline()):
            assert line, f"the demo ended: {process.communicate()}"
        process.kill()
    waiting.wait_until(
        lambda: not leftovers.processes(mark),
        within=dt.timedelta(seconds=30),
        what="the end of what it started",
    )
