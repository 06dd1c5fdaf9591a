"""A C program and a Node.js under a real systemd, of another user and with a /tmp of their own."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests import waiting
from tests.box import boxes
from tests.executors import natives

pytestmark = [pytest.mark.xdist_group("box"), pytest.mark.timeout(180)]

PROGRAM = pathlib.Path(sys.executable).with_name("lastack")
ROOT = pathlib.Path(__file__).parents[2]
TEXT = """[Service]
User=nobody
PrivateTmp=yes
ProtectSystem=strict
NoNewPrivileges=yes
ExecStart={start}
"""
BUSY = "function priceOf(order) { while (true) order += 1; }\nsetTimeout(() => priceOf(1), 10);\n"


@contextlib.contextmanager
def unit(box: boxes.Box, name: str, start: str) -> Iterator[int]:
    """The pid of its program, while it runs."""
    box.write_unit(name, TEXT.format(start=start))
    box.run(["systemctl", "start", name])
    try:
        yield int(box.run(["systemctl", "show", "-P", "MainPID", name]).stdout)
    finally:
        box.run(["systemctl", "kill", "--signal=KILL", name], check=False)


def limited(capabilities: str) -> tuple[str, ...]:
    """A command around another one, which has no more than these."""
    return (
        *("systemd-run", "--quiet", "--pipe", "--wait", "--property=NoNewPrivileges=yes"),
        f"--property=CapabilityBoundingSet={capabilities}",
    )


def dump(box: boxes.Box, pid: int, option: str, *around: str) -> dict[str, Any]:
    """`lastack dump` of it inside of the box."""
    words = [
        *around,
        str(PROGRAM),
        "dump",
        str(pid),
        "--count",
        "2",
        "--every",
        "200ms",
        option,
        "-o",
        "json",
    ]
    done = box.run(words, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    "around",
    [(), limited("CAP_SYS_PTRACE CAP_DAC_READ_SEARCH CAP_KILL")],
    ids=["as-root", "with-three-capabilities"],
)
def test_the_stuck_function_of_a_c_program_is_named(
    box: boxes.Box, tmp_path: pathlib.Path, around: tuple[str, ...]
) -> None:
    """And it serves on."""
    box.path("/srv/patient").write_bytes(natives.compile_patient(tmp_path).read_bytes())
    box.path("/srv/patient").chmod(0o755)
    with unit(box, "native.service", "/srv/patient") as pid:
        waiting.wait_until(
            lambda: "wait_for_stock" in str(dump(box, pid, "--native-stacks", *around)["summary"]),
            within=dt.timedelta(seconds=30),
            what="the stack",
        )
        document = dump(box, pid, "--native-stacks", *around)
        assert "active\n" == box.run(["systemctl", "is-active", "native.service"]).stdout
        assert "S" == box.run(["ps", "-o", "s=", "-p", str(pid)]).stdout.strip()
    wanted = "3 of 5 worker threads stand in wait_for_stock (patient.c:15) waiting for a lock"
    assert document["summary"].startswith(wanted)
    assert ("lock", []) == (document["cause"], document["missing"])


def test_nothing_is_stopped_that_could_not_be_let_go_on(box: boxes.Box, tmp_path: pathlib.Path) -> None:
    """Without CAP_KILL a SIGSTOP that is left behind could not be taken back."""
    box.path("/srv/patient").write_bytes(natives.compile_patient(tmp_path).read_bytes())
    box.path("/srv/patient").chmod(0o755)
    with unit(box, "native.service", "/srv/patient") as pid:
        document = dump(box, pid, "--native-stacks", *limited("CAP_SYS_PTRACE CAP_DAC_READ_SEARCH"))
    (missing,) = document["missing"]
    assert "need a stop, and it might not be let go on again" in missing["why"]
    assert "CAP_KILL" in missing["fix"]
    assert "wait_for_stock" not in str(document["groups"])


@pytest.mark.parametrize(
    "around",
    [
        (),
        (
            *limited("CAP_SYS_PTRACE CAP_DAC_READ_SEARCH"),
            "--property=SystemCallFilter=@system-service @debug",
            *("--property=ProtectSystem=strict", "--property=PrivateTmp=yes"),
            f"--property=BindReadOnlyPaths={ROOT}",  # a clone may be below /tmp
        ),
    ],
    ids=["as-root", "as-the-host-process"],
)
def test_the_function_that_blocks_node_is_named(box: boxes.Box, around: tuple[str, ...]) -> None:
    """It computes and never rests; nothing is sent to it, and its debug port stays closed."""
    box.path("/srv/busy.js").write_text(BUSY)
    with unit(box, "node.service", "/usr/bin/node /srv/busy.js") as pid:
        waiting.wait_until(
            lambda: "priceOf" in str(dump(box, pid, "--count=2", *around)["summary"]),
            within=dt.timedelta(seconds=30),
            what="the loop to be busy",
        )
        document = dump(box, pid, "--count=2", *around)
        assert "active\n" == box.run(["systemctl", "is-active", "node.service"]).stdout
        assert "" == box.run(["ss", "-Hltn", "sport = :9229"]).stdout
    wanted = "1 of 1 worker processes stands in priceOf (busy.js:1) running, unchanged"
    assert document["summary"].startswith(wanted), document
    assert ("cpu", []) == (document["cause"], document["missing"])
