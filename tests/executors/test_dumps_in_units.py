"""Threads of units under a real systemd: another user, a /tmp of their own, and few capabilities for who asks."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests import waiting
from tests.box import boxes

pytestmark = [pytest.mark.xdist_group("box"), pytest.mark.timeout(180)]

SOURCE = pathlib.Path(__file__).parent / "jvm" / "Patient.java"
PROGRAM = pathlib.Path(sys.executable).with_name("lastack")
INSIDE = "/srv/Patient.java"
"""Outside of /tmp, of which the unit has its own."""
UNIT = "dumped-jvm.service"
TEXT = f"""[Service]
User=nobody
PrivateTmp=yes
ProtectSystem=strict
NoNewPrivileges=yes
ExecStart=java -Xmx128m {INSIDE}
SuccessExitStatus=143
"""
CAPABILITIES = "CAP_SYS_PTRACE CAP_SETUID CAP_SETGID"


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
    """The running unit."""

    box: boxes.Box
    pid: int

    def dump(self, *around: str) -> tuple[int, dict[str, Any], str]:
        """`lastack dump` of it inside of the box: exit status, document, stderr."""
        words = [
            *around,
            str(PROGRAM),
            "dump",
            str(self.pid),
            "--count",
            "2",
            "--every",
            "200ms",
            "-o",
            "json",
        ]
        done = self.box.run(words, check=False)
        return done.returncode, json.loads(done.stdout), done.stderr


@pytest.fixture(scope="module")
def unit(box: boxes.Box) -> Iterator[Unit]:
    """Up and two seconds old."""
    box.path(INSIDE).write_bytes(SOURCE.read_bytes())
    box.write_unit(UNIT, TEXT)
    box.run(["systemctl", "start", UNIT])
    pid = int(box.run(["systemctl", "show", "-P", "MainPID", UNIT]).stdout)
    made = Unit(box, pid)

    def is_up() -> bool:
        code, document, _ = made.dump()
        return code == 0 and any("Patient." in str(group["frames"]) for group in document["groups"])

    try:
        waiting.wait_until(is_up, within=dt.timedelta(seconds=60), what="the JVM of the unit")
        yield made
    finally:
        box.run(["systemctl", "kill", "--signal=KILL", UNIT], check=False)


@pytest.mark.parametrize(
    "around",
    [
        (),
        (
            *("systemd-run", "--quiet", "--pipe", "--wait", "--property=NoNewPrivileges=yes"),
            f"--property=CapabilityBoundingSet={CAPABILITIES}",
        ),
    ],
    ids=["as-root", "with-three-capabilities"],
)
def test_the_stuck_function_of_a_unit_is_named(unit: Unit, around: tuple[str, ...]) -> None:
    """Through its own /tmp and as its own user; nothing is left there, and it serves on."""
    code, document, said = unit.dump(*around)
    assert 0 == code, said
    assert "3 of 3 worker threads stand in Patient.waitForMonitor (Patient.java:15)" in document["summary"]
    assert ["a Java virtual machine"] == [process["runtime"] for process in document["processes"]]
    folder = f"/proc/{unit.pid}/root/tmp"
    assert f".java_pid{unit.pid}\n" == unit.box.run(["sh", "-c", f"ls -A {folder} | grep pid"]).stdout
    assert "active\n" == unit.box.run(["systemctl", "is-active", UNIT]).stdout


def test_a_unit_is_dumped_by_its_name(unit: Unit) -> None:
    """All of its processes; nobody has to look for pids."""
    done = unit.box.run([PROGRAM, "dump", "dumped-jvm", "--count", "1", "-o", "json"])
    document = json.loads(done.stdout)
    assert (UNIT, unit.pid) == (document["unit"], document["pid"])
    assert "Patient.waitForMonitor" in document["frame"]
    assert "lock" == document["cause"]
