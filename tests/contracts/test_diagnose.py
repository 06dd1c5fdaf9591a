"""`lastack diagnose` keeps its contract: the JSON, the exit codes, and what is said when nothing can be seen."""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contracts import diagnosis_schema
from tests.scenarios import grounds

pytestmark = pytest.mark.xdist_group("diagnose")

LISTEN = """
import socket, sys, time
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.bind((sys.argv[1], int(sys.argv[2])))
listener.listen(16)
print("listening", flush=True)
time.sleep(1000)
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What one run of the program said."""

    code: int
    document: dict[str, Any]
    stderr: str

    @property
    def codes(self) -> list[str]:
        """The diagnoses."""
        return [item["code"] for item in self.document["items"]]

    @property
    def members(self) -> list[str | None]:
        """Who has missing rows."""
        return sorted({row["member"] for row in self.document["missing"]}, key=str)


def diagnose(*options: str, inside: grounds.Ground | None = None) -> Answer:
    """Run the program with -o json; whatever it says has to be what the contract promises."""
    command = [grounds.PROGRAM, "diagnose", "-o", "json", *options]
    done = subprocess.run(
        command if inside is None else inside.inside(*command),
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.stdout, done.stderr
    answer = Answer(done.returncode, json.loads(done.stdout), done.stderr)
    assert [] == diagnosis_schema.problems(answer.document, answer.code)
    assert "Traceback" not in answer.stderr
    return answer


@pytest.fixture
def ground(tmp_path: pathlib.Path) -> Iterator[grounds.Ground]:
    """An empty network namespace."""
    with grounds.ground(tmp_path / "ground") as found:
        yield found


@contextlib.contextmanager
def listening(ground: grounds.Ground, port: int = 8000, host: str = "127.0.0.1") -> Iterator[int]:
    """A process that listens and never accepts; its pid."""
    process = subprocess.Popen(
        ground.inside(sys.executable, "-c", LISTEN, host, str(port)), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def test_a_healthy_listener_has_every_field(ground: grounds.Ground) -> None:
    """Every examined listener is there, with its owner, in full."""
    with listening(ground) as pid:
        answer = diagnose("--netns", str(pid), "--for", "1s")
    (item,) = answer.document["items"]
    assert (0, "healthy", "none", None) == (answer.code, item["code"], item["severity"], item["cause"])
    assert (pid, [pid]) == (item["member"]["pid"], item["member"]["pids"])
    assert {"address": "127.0.0.1", "port": 8000, "family": "inet"} == item["listener"]
    assert (True, "1s") == (answer.document["complete"], answer.document["window"])


def test_an_empty_namespace_is_healthy(ground: grounds.Ground) -> None:
    """Nobody listens and nobody asked for a port: nothing to say, in one document."""
    answer = diagnose("--netns", str(ground.pid), "--for", "0")
    assert (0, [], []) == (answer.code, answer.document["items"], answer.document["missing"])


def test_a_port_without_a_listener_is_critical(ground: grounds.Ground) -> None:
    """One item per port that was asked for; the port that has a listener is judged as ever."""
    with listening(ground) as pid:
        answer = diagnose("--netns", str(pid), "--port", "8000", "--port", "8001", "--for", "1s")
    assert (1, ["not-listening", "healthy"]) == (answer.code, answer.codes)
    (item, _) = answer.document["items"]
    assert {"address": None, "port": 8001, "family": None} == item["listener"]
    assert ("critical", None, []) == (item["severity"], item["member"]["pid"], item["member"]["pids"])


def test_one_look_has_no_rates_and_little_confidence(ground: grounds.Ground) -> None:
    """--for 0 is one sample."""
    with listening(ground) as pid:
        answer = diagnose("--netns", str(pid), "--for", "0", "--port", "8000", "--port", "9")
    listener = next(item for item in answer.document["items"] if item["code"] != "not-listening")
    assert "0s" == answer.document["window"]
    assert {"low"} == {item["confidence"] for item in answer.document["items"]}
    assert (None, None) == (listener["signals"]["listen.dropRate"], listener["signals"]["acceptProgress"])


def test_a_pid_is_looked_for_in_its_own_namespace(ground: grounds.Ground) -> None:
    """--pid needs no --netns; listeners of others in the same namespace are not shown."""
    with listening(ground) as pid, listening(ground, 8001):
        answer = diagnose("--pid", str(pid), "--for", "1s")
        both = diagnose("--pid", str(pid), "--port", "8001", "--for", "1s")
    assert [8000] == [item["listener"]["port"] for item in answer.document["items"]]
    assert ["not-listening"] == both.codes


def test_a_pid_that_does_not_exist_is_missing() -> None:
    """Nothing was seen: exit 3, and a row that names the pid."""
    answer = diagnose("--pid", str(2**22 - 1), "--for", "1s")
    assert (3, [], [f"pid/{2**22 - 1}"]) == (answer.code, answer.document["items"], answer.members)


def test_a_pid_that_ends_meanwhile_is_missing(ground: grounds.Ground) -> None:
    """What was seen of it may be said; that it is gone is said in any case."""
    with listening(ground) as pid:
        process = subprocess.Popen(
            [grounds.PROGRAM, "diagnose", "-o", "json", "--pid", str(pid), "--for", "3s"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        # It has to be in the middle of its window: nothing tells when that is.
        time.sleep(1.5)
        os.kill(pid, signal.SIGKILL)
        code, document = grounds.finished(process)
    assert [] == diagnosis_schema.problems(document, code)
    assert f"pid/{pid}" in {row["member"] for row in document["missing"]}
    assert document["complete"] is False


def test_a_unit_that_does_not_exist_is_missing() -> None:
    """With the next step."""
    answer = diagnose("--unit", "nowhere.service", "--for", "1s")
    assert (3, ["unit/nowhere.service"]) == (answer.code, answer.members)
    assert "systemctl status nowhere.service" in answer.document["missing"][0]["fix"]


@pytest.mark.parametrize("where", ["/run/netns/nowhere", "/proc/self/exe", "4194303"])
def test_a_namespace_that_does_not_exist_is_missing(where: str) -> None:
    """A path that is not there, a file that is no namespace, a pid that is gone."""
    answer = diagnose("--netns", where, "--for", "1s")
    assert (3, [], False) == (answer.code, answer.document["items"], answer.document["complete"])


def test_a_namespace_that_vanishes_meanwhile_is_missing(ground: grounds.Ground) -> None:
    """What was seen of it stays in the answer."""
    name = f"lastack-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    process = None
    try:
        path = f"/run/netns/{name}"
        process = subprocess.Popen(
            [grounds.PROGRAM, "diagnose", "-o", "json", "--netns", path, "--for", "3s"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        # It has to be in the middle of its window: nothing tells when that is.
        time.sleep(1.5)
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)
    code, document = grounds.finished(process)
    assert [] == diagnosis_schema.problems(document, code)
    assert ([None], False) == ([row["member"] for row in document["missing"]], document["complete"])


def test_every_namespace_is_looked_at(ground: grounds.Ground) -> None:
    """--all-netns finds a listener in a namespace that nobody named."""
    with listening(ground, 8123) as pid:
        answer = diagnose("--all-netns", "--port", "8123", "--for", "0")
    assert [pid] == [item["member"]["pid"] for item in answer.document["items"]]


def test_several_namespaces_are_united(ground: grounds.Ground, tmp_path: pathlib.Path) -> None:
    """--netns may be given again: the last one does not hide the others, and what is not there hides none."""
    with grounds.ground(tmp_path / "other") as other, listening(ground) as one, listening(other) as two:
        asked = (one, "/run/netns/nowhere", two, "/run/netns/neverland")
        named = [word for where in asked for word in ("--netns", str(where))]
        answer = diagnose(*named, "--for", "0")
    assert {one, two} == {item["member"]["pid"] for item in answer.document["items"]}
    (row,) = [row for row in answer.document["missing"] if row["signal"] == "listeners"]
    assert (None, True, True) == (row["member"], "nowhere" in row["why"], "neverland" in row["why"])


def test_siblings_on_one_port_are_an_item_each(ground: grounds.Ground) -> None:
    """SO_REUSEPORT: what such a socket can never have is null, inherent, and does not make the answer incomplete."""
    with listening(ground) as one, listening(ground) as other:
        answer = diagnose("--netns", str(one), "--for", "1s")
    assert {one, other} == {item["member"]["pid"] for item in answer.document["items"]}
    assert answer.document["complete"] is True
    assert {True} == {row["inherent"] for row in answer.document["missing"]}
    for item in answer.document["items"]:
        inherent = ("acceptQueue.headAge", "acceptProgress", "closeWait.queued")
        assert [None] * 3 == [item["signals"][name] for name in inherent]


@pytest.mark.parametrize(
    "options",
    [
        ("--port", "0"),
        ("--port", "65536"),
        ("--for", "soon"),
        ("--pid", "x"),
        ("-o", "xml"),
        ("--nonsense",),
        ("x",),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(options: tuple[str, ...]) -> None:
    """Exit 2, nothing on stdout, and the option is named."""
    done = subprocess.run(
        [grounds.PROGRAM, "diagnose", *options], check=False, capture_output=True, text=True
    )
    assert (2, "") == (done.returncode, done.stdout)
    assert options[0] in done.stderr or "argument" in done.stderr


def test_an_interruption_ends_without_a_traceback() -> None:
    """Ctrl-C in the middle of the window: exit 130."""
    process = subprocess.Popen(
        [grounds.PROGRAM, "diagnose", "--for", "30s"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (130, "") == (process.returncode, out)
    assert "Traceback" not in err


AS_NOBODY = """
import difflib, os, sys
import psutil
from lastack import cli
from lastack.cli import diagnose, diagnosis_documents, diagnosis_looks, diagnosis_texts
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.argv = ["lastack", "diagnose", "-o", "json", "--for", "1s", *sys.argv[1:]]
sys.exit(cli.main())
"""


def _as_nobody(*options: str) -> Answer:
    """The program as an ordinary user; modules are loaded before, they may be out of that user's reach."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *options], check=False, capture_output=True, text=True, timeout=30
    )
    assert done.stdout, done.stderr
    assert time.monotonic() - begun < 10
    answer = Answer(done.returncode, json.loads(done.stdout), done.stderr)
    assert [] == diagnosis_schema.problems(answer.document, answer.code)
    return answer


def test_an_ordinary_user_sees_the_queues_and_what_is_hidden() -> None:
    """Listener and queue are there, the owner is not, and every missing signal says what would help."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        answer = _as_nobody("--port", str(port))
    (item,) = answer.document["items"]
    assert (0, "healthy", None, []) == (
        answer.code,
        item["code"],
        item["member"]["pid"],
        item["member"]["pids"],
    )
    assert (0, None) == (item["signals"]["acceptQueue.depth"], item["signals"]["openFiles.count"])
    assert [f"listener/127.0.0.1:{port}"] == answer.members
    assert all("root" in row["fix"] for row in answer.document["missing"] if not row["inherent"])


def test_an_ordinary_user_may_not_look_into_another_namespace(ground: grounds.Ground) -> None:
    """Exit 3 with the right that is missing."""
    answer = _as_nobody("--netns", str(ground.pid))
    assert (3, []) == (answer.code, answer.document["items"])
    assert "not permitted" in answer.document["missing"][0]["why"]


def test_text_tells_the_same(ground: grounds.Ground) -> None:
    """For people: the sick port first and what can help, the healthy one on a line, nothing on stderr."""
    with listening(ground) as pid:
        done = subprocess.run(
            [
                grounds.PROGRAM,
                "diagnose",
                "--netns",
                str(pid),
                "--for",
                "1s",
                "--port",
                "8000",
                "--port",
                "81",
            ],
            check=False,
            capture_output=True,
            text=True,
        )
    assert (1, "") == (done.returncode, done.stderr)
    first, *_ = done.stdout.splitlines()
    assert "CRITICAL not-listening  port 81" in first
    assert any(line.startswith("127.0.0.1:8000") and "healthy" in line for line in done.stdout.splitlines())
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("ports", "first"),
    [
        ((), "LISTENER"),
        (("--port", "81"), "CRITICAL"),
        (("--port", "81", "--port", "8000"), "CRITICAL"),
        (("--pid", "4194303"), "nothing could be seen"),
    ],
    ids=["healthy", "sick", "sick and healthy", "nothing"],
)
def test_the_parts_of_the_text_stand_apart(
    ground: grounds.Ground, ports: tuple[str, ...], first: str
) -> None:
    """One empty line before what was not seen and one before the total, whatever else there is."""
    with listening(ground) as pid:
        done = subprocess.run(
            [
                *(grounds.PROGRAM, "diagnose", "--netns", str(pid), "--netns", "/run/netns/nowhere"),
                *("--for", "0", *ports),
            ],
            check=False,
            capture_output=True,
            text=True,
        )
    *parts, missing, total = done.stdout.split("\n\n")
    assert parts[0].startswith(first)
    assert missing.startswith("not seen\n  ")
    assert "one look, so rates are unknown" in total
    assert [] == [part for part in parts if not part or part.startswith("\n")]


def test_a_namespace_that_is_not_there_is_not_called_this_one() -> None:
    """In the text; in the JSON its row has no member."""
    done = subprocess.run(
        [grounds.PROGRAM, "diagnose", "--netns", "/run/netns/nowhere", "--for", "0"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert 3 == done.returncode
    assert "\n  listeners: the network namespace /run/netns/nowhere is not there" in done.stdout
