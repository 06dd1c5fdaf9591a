"""`lastack record` and `diagnose --replay`: what was sick is told to be so elsewhere, and later."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lastack import errors, quantities
from lastack.stores import replays
from tests import waiting
from tests.cli import told
from tests.scenarios import grounds

pytestmark = [pytest.mark.xdist_group("diagnose"), pytest.mark.timeout(120)]

SOON = dt.timedelta(seconds=30)
STALLED = """
import socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=int(sys.argv[2]))
clients = [socket.create_connection(listener.getsockname()) for _ in range(int(sys.argv[3]))]
for client in clients:
    client.shutdown(socket.SHUT_WR)
print("up", flush=True)
time.sleep(1000)
"""
"""Listens, and accepts none of the connections that it makes to itself."""


@contextlib.contextmanager
def listening(ground: grounds.Ground, port: int, *, waiting_clients: int = 0) -> Iterator[int]:
    """A process that listens and never accepts; its pid."""
    command = [sys.executable, "-c", STALLED, str(port), "5", str(waiting_clients)]
    process = subprocess.Popen(ground.inside(*command), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def ground(tmp_path: pathlib.Path) -> Iterator[grounds.Ground]:
    """An empty network namespace."""
    with grounds.ground(tmp_path / "ground") as found:
        yield found


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, dict[str, Any]]:
    """A recording of a stalled and a healthy listener, and what diagnose said of them while it was made."""
    folder = tmp_path_factory.mktemp("sick")
    with (
        grounds.ground(folder / "ground") as place,
        listening(place, 8000, waiting_clients=3) as pid,
        listening(place, 8001),
    ):
        # Its head has to have waited for the threshold of a stall.
        stalled = time.monotonic() + 11
        waiting.wait_until(lambda: time.monotonic() > stalled, within=SOON, what="a stall")
        process = subprocess.Popen(
            [grounds.PROGRAM, "record", str(folder / "r"), "--netns", str(pid), "--for", "8s"],
            stdout=subprocess.PIPE,
            text=True,
        )
        live = told.lastack("diagnose", "--netns", str(pid), "-o", "json").document
        out, _ = process.communicate(timeout=40)
    assert 0 == process.returncode
    assert "2 listeners" in out
    return folder / "r", live


def judged(document: dict[str, Any]) -> list[tuple[object, ...]]:
    """What a judgement comes to; warning becomes critical with the age of the queue, which goes on meanwhile."""
    return [
        (item["listener"], item["member"], item["code"], item["severity"] == "none", item["confidence"])
        for item in document["items"]
    ]


def test_a_replay_judges_what_diagnose_judged(sick: tuple[pathlib.Path, dict[str, Any]]) -> None:
    """The same listeners, owners, codes and confidence, although all of it is gone by now."""
    path, live = sick
    said = told.lastack("diagnose", "--replay", path, "-o", "json")
    assert judged(live) == judged(said.document)
    assert ["accept-stall", "healthy"] == [item["code"] for item in said.document["items"]]
    assert (1, "") == (said.code, said.err)


def test_a_replay_says_that_it_is_one(sick: tuple[pathlib.Path, dict[str, Any]]) -> None:
    """Of what, made by whom and when; the time of the observation is that of the recording."""
    path, live = sick
    document = told.lastack("diagnose", "--replay", path, "-o", "json").document
    assert (str(path), os.uname().release) == (document["replayOf"], document["recordedBy"]["kernel"])
    assert [live["items"][0]["member"]["netns"]] == list({item["member"]["netns"] for item in live["items"]})
    now = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
    assert document["recordedBy"]["startedAt"] <= document["observedAt"] <= now
    assert document["recordedBy"]["selectors"][0].startswith("--netns=")
    text = told.lastack("diagnose", "--replay", path).out
    assert "CRITICAL accept-stall" in text or "WARNING accept-stall" in text
    assert f"replay of {path}: recorded " in " ".join(text.split())
    assert "where it was recorded, diagnose --dump shows its threads" in " ".join(text.split())


def test_the_window_of_a_replay_is_the_last_of_the_recording(
    sick: tuple[pathlib.Path, dict[str, Any]],
) -> None:
    """By default 5 s between two deep looks; a longer one takes all there is, 0 is one look."""
    path, _ = sick
    with replays.Replay(path) as replay:
        frames = list(replay.frames())
    assert frames[0].deep
    assert frames[-1].deep
    whole = frames[-1].at.since(frames[0].at)
    windows = {
        asked: quantities.duration(document["window"])
        for asked in ("5s", "1h", "0")
        for document in [told.lastack("diagnose", "--replay", path, "--for", asked, "-o", "json").document]
    }
    tenth = dt.timedelta(milliseconds=100)
    assert abs(windows["1h"] - whole) <= tenth
    assert dt.timedelta(seconds=4.7) <= windows["5s"] <= dt.timedelta(seconds=6)
    assert dt.timedelta(0) == windows["0"]


def test_a_replay_can_end_anywhere_in_the_recording(sick: tuple[pathlib.Path, dict[str, Any]]) -> None:
    """So long after the first look, or at a time of the calendar; outside of it there is nothing to judge."""
    path, _ = sick
    end = told.lastack("diagnose", "--replay", path, "-o", "json").document["observedAt"]
    early = told.lastack("diagnose", "--replay", path, "--at", "6s", "-o", "json").document["observedAt"]
    at = early.replace("Z", ".999999Z")
    same = told.lastack("diagnose", "--replay", path, "--at", at, "-o", "json").document["observedAt"]
    assert early == same
    assert early < end
    for at, where in (("1h", "after the last look"), ("2020-01-01T00:00:00Z", "before the first look")):
        said = told.lastack("diagnose", "--replay", path, "--at", at)
        assert (2, "") == (said.code, said.out)
        assert where in said.err


def test_ports_narrow_a_replay(sick: tuple[pathlib.Path, dict[str, Any]]) -> None:
    """A port that nobody listened on then is said to be so."""
    path, _ = sick
    document = told.lastack(
        "diagnose", "--replay", path, "--port", "8001", "--port", "99", "-o", "json"
    ).document
    assert [("not-listening", 99), ("healthy", 8001)] == [
        (item["code"], item["listener"]["port"]) for item in document["items"]
    ]


def test_nothing_is_concluded_about_a_port_that_was_not_recorded(
    ground: grounds.Ground, tmp_path: pathlib.Path
) -> None:
    """It may have had a listener: missing, not not-listening."""
    path = tmp_path / "r"
    with listening(ground, 8000) as pid:
        assert 0 == told.lastack("record", path, "--netns", str(pid), "--port", "8000", "--for", "1s").code
    said = told.lastack("diagnose", "--replay", path, "--port", "8001", "-o", "json")
    assert (3, []) == (said.code, said.document["items"])
    assert "port 8001 was not recorded" in said.document["missing"][0]["why"]
    assert "port 8001 was not recorded" in said.err


def test_a_recording_that_is_cut_is_replayed_as_far_as_it_goes(
    sick: tuple[pathlib.Path, dict[str, Any]], tmp_path: pathlib.Path
) -> None:
    """What is missing is said on stderr and in `missing`; the answer is incomplete."""
    cut = tmp_path / "cut"
    whole = sick[0].read_bytes()
    cut.write_bytes(whole[: len(whole) - 40])
    said = told.lastack("diagnose", "--replay", cut, "-o", "json")
    assert ("accept-stall", False) == (said.document["items"][0]["code"], said.document["complete"])
    assert "is not whole: it is cut" in said.err
    assert "of 8s" in said.err
    assert any("is not whole" in row["why"] for row in said.document["missing"])


@pytest.mark.parametrize(
    "options", [("--netns", "1"), ("--all-netns",), ("--pid", "1"), ("--unit", "x"), ("--dump",)]
)
def test_a_replay_has_no_machine_behind_it(
    sick: tuple[pathlib.Path, dict[str, Any]], options: tuple[str, ...]
) -> None:
    """What needs one is a usage error, with the reason and what is left."""
    said = told.lastack("diagnose", "--replay", sick[0], *options)
    assert (2, "") == (said.code, said.out)
    assert f"--replay cannot be combined with {options[0]}" in said.err
    assert "--port narrows what is shown" in said.err


def test_an_instant_without_a_recording_is_a_usage_error() -> None:
    """A live look is now."""
    said = told.lastack("diagnose", "--at", "5s")
    assert (2, True) == (said.code, "needs --replay" in said.err)


def test_what_is_no_recording_is_status_2_and_what_may_not_be_read_is_3(tmp_path: pathlib.Path) -> None:
    """With the next step; the details are in tests/stores."""
    (tmp_path / "text").write_text("dear diary\n")
    for path in (tmp_path / "text", tmp_path, tmp_path / "nowhere", pathlib.Path("/dev/null")):
        said = told.lastack("diagnose", "--replay", path)
        assert (2, "") == (said.code, said.out)
        assert "lastack record FILE" in said.err
    said = told.lastack("diagnose", "--replay", pathlib.Path("/proc/self/mem"))
    assert (3, True) == (said.code, "cannot be read" in said.err)


def test_a_recording_of_somebody_else_may_not_be_read(tmp_path: pathlib.Path) -> None:
    """Status 3, as for every right that is missing, and who may."""
    path = tmp_path / "r"
    path.write_bytes(b"")
    path.chmod(0o600)
    for folder in (tmp_path, *tmp_path.parents):
        if folder != pathlib.Path(tempfile.gettempdir()) and folder.is_relative_to(tempfile.gettempdir()):
            folder.chmod(0o755)
    code = (
        "import os, sys\nfrom lastack import cli\n"
        "from lastack.cli import diagnose, diagnosis_looks, diagnosis_texts, replaying\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"sys.exit(cli.main(['diagnose', '--replay', {str(path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (3, "") == (done.returncode, done.stdout)
    assert f"{path} cannot be read" in done.stderr
    assert "run as that user, or as root" in done.stderr


def test_a_recording_without_a_look_has_nothing_to_judge(
    sick: tuple[pathlib.Path, dict[str, Any]], tmp_path: pathlib.Path
) -> None:
    """Killed before its first look, or cut after its header: status 3, and said to be so."""
    header, *_ = gzip.decompress(sick[0].read_bytes()).splitlines(keepends=True)
    for name, content in (("cut", header), ("whole", header + b'{"end":{"why":"done","looks":0}}\n')):
        path = tmp_path / name
        path.write_bytes(gzip.compress(content))
        said = told.lastack("diagnose", "--replay", path, "-o", "json")
        assert (3, []) == (said.code, said.document["items"])
        assert f"{name} holds no look" in said.err
        assert 3 == told.lastack("diagnose", "--replay", path, "--port", "80", "--at", "5s").code


def test_a_long_recording_has_deep_looks_between(sick: tuple[pathlib.Path, dict[str, Any]]) -> None:
    """So that a window anywhere in it begins and ends with one."""
    with replays.Replay(sick[0]) as replay:
        deep = [frame.deep for frame in replay.frames()]
    assert [True, True] == [deep[0], deep[-1]]
    assert 3 == sum(deep)
    assert len(deep) >= 7


def test_ctrl_c_ends_a_recording_in_order(ground: grounds.Ground, tmp_path: pathlib.Path) -> None:
    """130, as for every command; the file is whole and says why it ended."""
    path = tmp_path / "r"
    with listening(ground, 8000) as pid:
        process = subprocess.Popen(
            [grounds.PROGRAM, "record", str(path), "--netns", str(pid), "--for", "1h"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        waiting.wait_until(lambda: looks_in(path) >= 2, within=SOON, what="two looks")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (130, "") == (process.returncode, err)
    assert ", interrupted" in out
    with replays.Replay(path) as replay:
        count = len(list(replay.frames()))
        assert replay.end is not None
        assert ("interrupted", count, None) == (replay.end.why, replay.end.looks, replay.damage)


def looks_in(path: pathlib.Path) -> int:
    """How many looks there are so far; none while the file is not there, or has no first line yet."""
    if not path.exists():
        return 0
    try:
        with replays.Replay(path) as replay:
            return len(list(replay.frames()))
    except errors.NotARecording:
        return 0


def test_a_killed_recording_can_be_replayed(ground: grounds.Ground, tmp_path: pathlib.Path) -> None:
    """Each look is in the file as soon as it was taken."""
    path = tmp_path / "r"
    with listening(ground, 8000) as pid:
        process = subprocess.Popen(
            [grounds.PROGRAM, "record", str(path), "--netns", str(pid), "--for", "1h", "--every", "200ms"]
        )
        try:
            waiting.wait_until(lambda: looks_in(path) >= 3, within=SOON, what="three looks")
        finally:
            process.kill()
            process.wait()
    said = told.lastack("diagnose", "--replay", path, "-o", "json")
    assert (["healthy"], False) == (
        [item["code"] for item in said.document["items"]],
        said.document["complete"],
    )


def test_a_recording_ends_at_its_limit(ground: grounds.Ground, tmp_path: pathlib.Path) -> None:
    """Exit 0 with the reason; the file is not larger than was said."""
    path = tmp_path / "r"
    with listening(ground, 8000) as pid:
        options = ("--for", "1h", "--every", "100ms", "--limit", "4KiB")
        said = told.lastack("record", path, "--netns", str(pid), *options)
    assert (0, True) == (said.code, "ended at the size that --limit allows" in said.out)
    assert 2_000 < path.stat().st_size <= 4096
    assert 0 == told.lastack("diagnose", "--replay", path).code


def test_a_recording_into_a_full_disk_says_what_was_kept(
    ground: grounds.Ground, tmp_path: pathlib.Path
) -> None:
    """Exit 3; where, how much is there, the next step; it can be replayed."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", str(small)], check=True)
    try:
        with listening(ground, 8000) as pid:
            options = ("--for", "1h", "--every", "100ms")
            said = told.lastack("record", small / "r", "--netns", str(pid), *options)
        replayed = told.lastack("diagnose", "--replay", small / "r")
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
    assert 3 == said.code
    assert "ended by a full disk" in said.out
    assert f"no room to write {small / 'r'}" in said.err
    assert "next step: free some space" in said.err
    assert 0 == replayed.code


def test_a_namespace_that_vanishes_ends_the_recording(tmp_path: pathlib.Path) -> None:
    """What was seen of it stays, and can be judged."""
    name, path = f"lastack-record-{os.getpid()}", tmp_path / "r"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        process = subprocess.Popen(
            [grounds.PROGRAM, "record", str(path), "--netns", f"/run/netns/{name}", "--for", "1h"],
            stdout=subprocess.PIPE,
            text=True,
        )
        waiting.wait_until(lambda: looks_in(path) >= 2, within=SOON, what="two looks")
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)
    out, _ = process.communicate(timeout=20)
    assert (3, True) == (process.returncode, "nothing of it can be seen any more" in out)


def test_without_anything_to_see_no_file_is_made(tmp_path: pathlib.Path) -> None:
    """Exit 3, with what is not there."""
    said = told.lastack("record", tmp_path / "r", "--pid", str(2**22 - 1))
    assert (3, "") == (said.code, said.out)
    assert "process 4194303 does not exist" in said.err
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--limit", "16"), "'16' is not a size; expected a number and KiB, MiB or GiB"),
        (("--limit", "1KiB"), "1KiB is too little; expected 4.0 KiB or more"),
        (("--every", "1ms"), "1ms is too short; expected 100ms or more"),
        (("--for", "soon"), "'soon' is not a duration"),
        (("--port", "0"), "--port"),
    ],
)
def test_a_wrong_command_line_is_status_2(
    tmp_path: pathlib.Path, options: tuple[str, ...], said: str
) -> None:
    """What was found, what was expected; no file is made."""
    found = told.lastack("record", tmp_path / "r", *options)
    assert (2, "") == (found.code, found.out)
    assert said in found.err
    assert [] == list(tmp_path.iterdir())


def test_a_file_that_is_there_needs_force(ground: grounds.Ground, tmp_path: pathlib.Path) -> None:
    """Nothing is written over what somebody else made."""
    path = tmp_path / "r"
    path.write_text("dear diary")
    refused = told.lastack("record", path, "--netns", str(ground.pid), "--for", "0")
    assert (2, True, "dear diary") == (refused.code, "--force" in refused.err, path.read_text())
    assert 0 == told.lastack("record", path, "--netns", str(ground.pid), "--for", "0", "--force").code
    assert 1 == looks_in(path)
