"""`lastack lab` shows a disease and leaves nothing behind."""

from __future__ import annotations

import datetime as dt
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
from typing import Any

import click
import pytest

from lastack import cli
from lastack.lab import plans, scenarios
from tests import waiting
from tests.e2e import ordinary_users
from tests.lab import labs, leftovers

SOON = dt.timedelta(seconds=30)
LAB = [labs.PROGRAM, "lab"]


def diagnosis(service: int) -> tuple[dict[str, Any], int]:
    """The item about the service that `lastack diagnose` puts first, and its exit status; nobody else is sick."""
    done = subprocess.run(
        [labs.PROGRAM, "diagnose", "--netns", str(service), "-o", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    items = json.loads(done.stdout)["items"]
    mine = [item for item in items if item["member"]["pid"] == service]
    assert mine, done.stderr
    assert {"none"} >= {item["severity"] for item in items if item not in mine[:1]}
    return mine[0], done.returncode


SURE = {"high", "medium"}
"""Medium: a busy machine cut the window short."""


@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    ("name", "confidences", "status"),
    [
        (plans.Name.FD_EXHAUSTION, SURE, 1),
        (plans.Name.ACCEPT_STALL, SURE, 1),
        (plans.Name.OVERLOAD, SURE, 1),
        (plans.Name.BACKLOG_TOO_SMALL, SURE, 1),
        (
            plans.Name.HANDLER_STALL,
            SURE | {"low"},
            1,
        ),  # low: too few looks in which its threads could be read
        (plans.Name.FD_LEAK, {"low"}, 1),  # it is young: low at most
        (plans.Name.SYN_PRESSURE, SURE, 1),
        (plans.Name.SYN_PRESSURE_COOKIES, SURE, 1),
        (plans.Name.OUTBOUND_LEAK, {"low"}, 1),  # it is young
        (plans.Name.HALF_CLOSE_IN_USE, SURE, 0),
        (plans.Name.HEALTHY, {"high"}, 0),
    ],
)
def test_diagnose_names_what_the_lab_shows(name: plans.Name, confidences: set[str], status: int) -> None:
    """The command that the lab prints has the answer that the lab promises, and none of the others on its way there."""
    said: list[str] = []

    def named(service: int) -> tuple[dict[str, Any], int] | None:
        found = diagnosis(service)
        said.append(found[0]["code"])
        return found if name.code == said[-1] else None

    with labs.terminal(name) as terminal:
        item, code = waiting.wait_until(
            lambda: named(terminal.service), within=dt.timedelta(seconds=90), what=f"{name} from diagnose"
        )
    where = None if name is plans.Name.OUTBOUND_LEAK else plans.PORT
    assert (where, status) == (item["listener"] and item["listener"]["port"], code)
    assert item["confidence"] in confidences
    assert {name.code, "healthy", "unknown"} >= set(said)


@pytest.mark.timeout(90)
def test_an_ordinary_user_has_a_lab_too() -> None:
    """The printed command joins the lab's user namespace first, and then sees the same."""
    home = ordinary_users.home()
    with subprocess.Popen(
        ordinary_users.command(labs.PROGRAM, "lab", "healthy"),
        env={**os.environ, "HOME": str(home), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said = labs.introduction(process)
        printed = next(line.split() for line in said.splitlines() if line.endswith("lastack diagnose"))
        nsenter = shutil.which(printed[0])
        assert nsenter is not None
        done = subprocess.run(
            ordinary_users.command(nsenter, *printed[1:], "--for", "1s", "-o", "json"),
            env={**os.environ, "HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    shutil.rmtree(home)
    assert 0 == done.returncode, done.stderr
    assert ["healthy"] == [item["code"] for item in json.loads(done.stdout)["items"]]


@pytest.mark.parametrize("name", list(plans.Name))
def test_a_lab_ends_by_itself_and_leaves_nothing(name: plans.Name) -> None:
    """Exit status 0 after --for; no process and no namespace of it is left."""
    mark, process = labs.started(name, "--for", "1s")
    said = labs.introduction(process)
    service = int(re.findall(r"is pid (\d+)", said)[0])
    namespace = leftovers.namespace_of(service)
    assert leftovers.namespace_of(os.getpid()) != namespace
    assert f"diagnose --netns {service}\n" in said
    assert ("", 0) == (process.communicate()[1], process.returncode)
    assert ([], []) == (leftovers.processes(mark), leftovers.holders(namespace))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_lab_says_so_and_leaves_nothing(number: signal.Signals) -> None:
    """Ctrl-C, a polite kill and a closed terminal are one thing: 130."""
    mark, process = labs.started("accept-stall")
    labs.introduction(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (130, "") == (process.returncode, out)
    assert "interrupted" in err
    assert [] == leftovers.processes(mark)


def test_a_killed_lab_leaves_no_process(tmp_path: pathlib.Path) -> None:
    """Also when it had no time to clean up; only its logs stay."""
    mark, process = labs.started("accept-stall", TMPDIR=str(tmp_path))
    labs.introduction(process)
    process.kill()
    process.communicate()
    waiting.wait_until(lambda: not leftovers.processes(mark), within=SOON, what="the end of its children")


def test_the_output_of_a_lab_has_no_escape_codes_when_piped() -> None:
    """Plain lines where there is no terminal."""
    _, process = labs.started("healthy", "--for", "1s")
    out, err = process.communicate()
    assert "\x1b" not in out + err


def test_a_lab_refuses_a_duration_that_is_none() -> None:
    """Where, what was found, what was expected."""
    done = subprocess.run([*LAB, "healthy", "--for", "soon"], capture_output=True, text=True, check=False)
    assert 2 == done.returncode
    assert "--for" in done.stderr
    assert "'soon' is not a duration" in done.stderr


def test_a_lab_that_does_not_exist_is_named_with_those_that_do() -> None:
    """The closed set is the help."""
    done = subprocess.run([*LAB, "gout"], capture_output=True, text=True, check=False)
    assert 2 == done.returncode
    assert all(name in done.stderr for name in plans.Name)


def test_every_scenario_is_described_for_its_name() -> None:
    """The table is complete, and each entry says what it is."""
    assert list(plans.Name) == [scenario.name for scenario in scenarios.SCENARIOS.values()]
    for scenario in scenarios.SCENARIOS.values():
        assert scenario.story
        assert scenario.looks
    command = cli.group.get_command(click.Context(cli.group), "lab")
    assert command is not None
    words = re.findall(r"[a-z-]+", command.help or "")
    assert [] == [name for name in plans.Name if name not in words]


FORBIDDEN = "echo 0 >/proc/sys/user/{sysctl} && exec setpriv {drop} {program} lab healthy"


@pytest.mark.parametrize(
    ("sysctl", "drop", "expected"),
    [
        # What a distribution does that keeps ordinary users from namespaces.
        (
            "max_user_namespaces",
            "--bounding-set=-sys_admin --inh-caps=-sys_admin",
            "run as root, or allow it",
        ),
        ("max_net_namespaces", "--no-new-privs", "user.max_net_namespaces"),
    ],
)
def test_where_namespaces_are_forbidden_it_is_said_how_to_go_on(
    sysctl: str, drop: str, expected: str
) -> None:
    """Exit 3, what was needed, and the next step."""
    script = FORBIDDEN.format(sysctl=sysctl, drop=drop, program=labs.PROGRAM)
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (3, "") == (done.returncode, done.stdout)
    assert "the lab needs a network namespace of its own" in done.stderr
    assert expected in done.stderr
