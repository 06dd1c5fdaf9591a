"""`lastack top` as a person sees it: on a real terminal, over real listeners, and given back in any case."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from lastack.policy import vocabulary
from tests import waiting
from tests.cli import screens
from tests.contracts import diagnosis_schema
from tests.scenarios import grounds

pytestmark = [pytest.mark.xdist_group("diagnose"), pytest.mark.timeout(120)]

TOP = (grounds.PROGRAM, "top")
TAKEN, GIVEN_BACK = b"\x1b[?1049h\x1b[?25l", b"\x1b[?25h\x1b[?1049l"
LISTEN = """
import socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=3)
clients = []
for _ in range(int(sys.argv[2])):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(listener.getsockname())
    clients.append(client)
print("up", flush=True)
time.sleep(1000)
"""


@contextlib.contextmanager
def listening(ground: grounds.Ground, port: int, *, clients: int = 0) -> Iterator[int]:
    """A process that listens with a backlog of 3 and accepts nobody; its pid."""
    command = [sys.executable, "-c", LISTEN, str(port), str(clients)]
    process = subprocess.Popen(ground.inside(*command), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def netns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A namespace with an empty listener and a full one whose first has waited for longer than a burst may."""

    def is_stalled() -> bool:
        (sick,) = [item for item in table(place)["items"] if item["listener"]["port"] == 8000]
        return bool(sick["code"] == "accept-stall")

    with (
        grounds.ground(tmp_path_factory.mktemp("top") / "ground") as place,
        listening(place, 8000, clients=6) as pid,
        listening(place, 8001),
    ):
        waiting.wait_until(is_stalled, within=dt.timedelta(seconds=60), what="a stall at port 8000")
        yield str(pid)


def table(place: grounds.Ground) -> dict[str, Any]:
    """What `top --once -o json` says about the namespace."""
    found: dict[str, Any] = json.loads(top("--once", "--netns", str(place.pid), "-o", "json").stdout)
    return found


def test_a_person_looks_around_and_leaves(netns: str) -> None:
    """The sick one first; Enter explains it; keys filter, sort, hold still; q leaves with 0."""
    with screens.running([*TOP, "--netns", netns]) as screen:
        screen.await_text("accept-stall")
        lines = screen.text.splitlines()
        (row,) = [line for line in lines if line.startswith("127.0.0.1:8000")]
        assert "[||||||4/3]" in row
        assert "2 listeners: " in lines[0]
        assert "LISTENER" in lines[2]
        screen.type(b"\r")
        said = screen.await_text("can help")
        assert "the head of the queue has waited" in said
        screen.type(b"\x1b")
        screen.await_text("LISTENER")
        screen.type(b"/8001\r")
        assert "only: 8001" in screen.await_no("127.0.0.1:8000")
        screen.type(b"\x1bOS" + b"\x7f" * 4 + b"\r")
        screen.await_text("127.0.0.1:8000")
        screen.type(b"s")
        screen.await_text("Sort:queue")
        screen.type(b"t")
        screen.await_text("NETNS")
        screen.type(b" ")
        screen.await_text("PAUSED")
        screen.type(b"+")
        screen.await_text("every 2s")
        screen.type(b"h")
        screen.await_text("this page")
        screen.type(b"hq")
        assert 0 == screen.ended()


def test_the_table_lives(tmp_path: pathlib.Path) -> None:
    """A listener that comes is there at the next look, one that goes is gone."""
    with (
        grounds.ground(tmp_path / "ground") as place,
        screens.running([*TOP, "--netns", str(place.pid)]) as screen,
    ):
        screen.await_text("no listeners")
        with listening(place, 8123):
            screen.await_text("127.0.0.1:8123")
        screen.await_no("127.0.0.1:8123")


@pytest.mark.parametrize(
    ("columns", "rows", "shown"), [(120, 40, "CW q/u/h/o"), (60, 10, "CLOSEWAIT"), (40, 6, "QUEUE")]
)
def test_a_terminal_of_any_size_is_used(netns: str, columns: int, rows: int, shown: str) -> None:
    """No line is wider, and none is lost to wrapping."""
    with screens.running([*TOP, "--netns", netns], columns=columns, rows=rows) as screen:
        screen.await_text("127.0.0.1:8")
        text = screen.await_text(shown)
        assert [] == [line for line in text.splitlines() if len(line) > columns]
        assert len(text.splitlines()) <= rows


def test_a_terminal_that_changes_its_size_is_drawn_anew(netns: str) -> None:
    """Wider, too narrow, and back."""
    with screens.running([*TOP, "--netns", netns]) as screen:
        screen.await_text("accept-stall")
        screen.resize(130, 30)
        screen.await_text("DROPS/S")
        screen.resize(20, 10)
        assert "needs 40" in screen.await_text("columns")
        screen.resize(80, 24)
        screen.await_text("DROP/S")


@pytest.mark.parametrize("end", ["ctrl-c", signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whatever_ends_it_the_terminal_is_given_back(netns: str, end: str | signal.Signals) -> None:
    """Cursor, screen and modes are those of before; 130, and a word about it."""
    with screens.running([*TOP, "--netns", netns]) as screen:
        before = screen.modes
        screen.await_text("LISTENER")
        assert before != screen.modes
        assert TAKEN in screen.written
        if isinstance(end, signal.Signals):
            screen.signal(end)
        else:
            screen.type(b"\x03")
        assert 130 == screen.ended()
        assert before == screen.modes
        assert GIVEN_BACK in screen.written
        after = screen.written.rpartition(GIVEN_BACK)[2]
        assert b"interrupted" in after
        assert b"Traceback" not in after


def test_a_defect_is_shown_on_a_terminal_that_was_given_back() -> None:
    """The traceback stands where a person can read it."""
    broken = (
        "from lastack.cli import terminals\n"
        "with terminals.Terminal() as terminal:\n"
        "    terminal.draw(['drawn'])\n"
        "    raise RuntimeError('a defect')\n"
    )
    with screens.running([sys.executable, "-c", broken]) as screen:
        assert 1 == screen.ended()
        drawn, _, after = screen.written.rpartition(GIVEN_BACK)
        assert b"drawn" in drawn
        assert b"RuntimeError: a defect" in after


def test_a_window_that_is_closed_ends_it(netns: str) -> None:
    """Nothing goes on in the dark."""
    with screens.running([*TOP, "--netns", netns]) as screen:
        screen.await_text("LISTENER")
        screen.hang_up()
        assert 0 != screen.ended()


def test_it_can_be_put_aside_and_taken_up_again(netns: str) -> None:
    """Ctrl-Z gives the terminal to the shell, fg draws everything anew."""
    with screens.running([*TOP, "--netns", netns]) as screen:
        before = screen.modes
        screen.await_text("LISTENER")
        screen.signal(signal.SIGTSTP)
        waiting.wait_until(
            lambda: os.waitpid(screen.pid, os.WUNTRACED | os.WNOHANG)[0] or None,
            within=screens.SOON,
            what="the stop",
        )
        assert before == screen.modes
        screen.await_text("LISTENER")
        assert GIVEN_BACK in screen.written
        screen.signal(signal.SIGCONT)
        screen.await_text("LISTENER")
        screen.type(b"q")
        assert 0 == screen.ended()


def test_colours_are_left_out_where_they_are_not_wanted(netns: str) -> None:
    """NO_COLOR: letters may be reversed, that is no colour."""
    for environment, wanted in (({}, True), ({"NO_COLOR": "1"}, False)):
        with screens.running([*TOP, "--netns", netns], environment=environment) as screen:
            screen.await_text("accept-stall")
            screen.type(b"q")
            screen.ended()
        assert wanted is bool(re.search(rb"\x1b\[3[0-9]m", screen.written))


def test_a_terminal_that_is_too_narrow_is_refused() -> None:
    """Exit 2 with what it needs, what there is, and what to do; nothing is drawn."""
    with screens.running(TOP, columns=20) as screen:
        assert 2 == screen.ended()
        said = screen.written.decode()
    assert "top needs 40 columns, and this terminal has 20" in said
    assert "--once" in said
    assert TAKEN not in screen.written


def test_a_terminal_that_cannot_be_drawn_on_is_refused() -> None:
    """TERM=dumb."""
    with screens.running(TOP, environment={"TERM": "dumb"}) as screen:
        assert 2 == screen.ended()
    assert b"TERM=dumb" in screen.written
    assert b"\x1b" not in screen.written


def top(*words: str) -> subprocess.CompletedProcess[str]:
    """Run it without a terminal."""
    done = subprocess.run(
        [*TOP, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=50
    )
    assert "Traceback" not in done.stderr
    return done


def test_without_a_terminal_it_says_what_to_use() -> None:
    """Exit 2."""
    done = top()
    assert (2, "") == (done.returncode, done.stdout)
    assert "lastack top --once" in done.stderr


@pytest.mark.parametrize(
    "options", [("-o", "json"), ("--every", "3ms"), ("--port", "x"), ("--once", "--for", "x")]
)
def test_a_wrong_command_line_is_status_2(options: tuple[str, ...]) -> None:
    """Before anything is looked at."""
    done = top(*options)
    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr


def test_once_prints_a_table_into_a_pipe(netns: str) -> None:
    """80 columns, no escape sequence, the worst first, and the exit status of diagnose."""
    done = top("--once", "--netns", netns)
    head, first, second = done.stdout.splitlines()
    assert (1, "") == (done.returncode, done.stderr)
    assert head.startswith("LISTENER")
    assert (True, True) == (first.startswith("127.0.0.1:8000"), second.startswith("127.0.0.1:8001"))
    assert ("accept-stall", "healthy") == (first.split()[-1], second.split()[-1])
    assert [] == [line for line in done.stdout.splitlines() if len(line) > 80 or "\x1b" in line]


def test_once_as_json_is_a_listener_table(netns: str) -> None:
    """Items as in a DiagnosisList, without evidence and remedies; rates of each namespace besides."""
    done = top("--once", "--netns", netns, "-o", "json")
    found: dict[str, Any] = json.loads(done.stdout)
    assert ("lastack.dev/v1alpha1", "ListenerTable", "2s") == (
        found["apiVersion"],
        found["kind"],
        found["window"],
    )
    assert ["accept-stall", "healthy"] == [item["code"] for item in found["items"]]
    for item in found["items"]:
        assert diagnosis_schema.SIGNALS <= item["signals"].keys() <= {*vocabulary.SignalName}
        assert {
            "member",
            "listener",
            "code",
            "severity",
            "confidence",
            "cause",
            "summary",
            "signals",
        } == item.keys()
    (space,) = found["namespaces"]
    assert {"netns", "listenDropRate", "listenOverflowRate", "synCookieRate"} == space.keys()
    assert found["items"][0]["member"]["netns"] == space["netns"]


def test_every_namespace_is_in_the_table(netns: str) -> None:
    """--all-netns, live and once."""
    with screens.running([*TOP, "--all-netns", "--port", "8000"], columns=120) as screen:
        screen.await_text("127.0.0.1:8000")
        assert "namespaces" in screen.text.splitlines()[0]
    done = top("--once", "--all-netns", "--port", "8000", "-o", "json")
    inode = pathlib.Path(f"/proc/{netns}/ns/net").stat().st_ino
    assert inode in {item["member"]["netns"] for item in json.loads(done.stdout)["items"]}


def test_a_process_that_does_not_exist_is_said_to_be_so() -> None:
    """Once: exit 3; live: on the screen, since it may come."""
    done = top("--once", "--pid", "4194303")
    assert (3, "nothing could be seen\n") == (done.returncode, done.stdout)
    assert "process 4194303 does not exist" in done.stderr
    with screens.running([*TOP, "--pid", "4194303"]) as screen:
        assert "not seen: pid/4194303" in screen.await_text("nothing could be seen")


def test_an_ordinary_user_sees_queues_without_owners() -> None:
    """No right is needed to look; what is hidden has a dash."""
    code = (
        "import os, sys\nfrom lastack import cli\nfrom lastack.cli import top, top_live, top_once\nimport psutil\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "sys.exit(cli.main(['top', '--once', '--for', '0']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1, 3}, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout
