"""The contracts of `lastack run`, on the real process: one writer, its ends, its policies, its state directory."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import functools
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from tests import waiting
from tests.contracts import entry_contract, run_processes
from tests.e2e import ordinary_users

pytestmark = [pytest.mark.xdist_group("run"), pytest.mark.timeout(90)]

SOON = run_processes.SOON


@pytest.fixture
def place(tmp_path: pathlib.Path) -> run_processes.Place:
    """A valid policy directory, and no state yet."""
    return run_processes.Place.prepared(tmp_path)


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """A run that was begun and ended by SIGTERM."""

    place: run_processes.Place
    status: int
    seconds: float


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """One for all that only look at what is left of it."""
    place = run_processes.Place.prepared(tmp_path_factory.mktemp("ended"))
    with place.running() as process:
        seconds = run_processes.stop(process)
    return Ended(place, process.returncode, seconds)


@pytest.fixture
def after(ended: Ended, place: run_processes.Place) -> run_processes.Place:
    """A copy of what is left of it, for a test that changes it."""
    shutil.copytree(ended.place.state, place.state)
    return place


@pytest.fixture(scope="module")
def watching(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[run_processes.Place, subprocess.Popen[bytes]]]:
    """One that runs, for all that only ask it."""
    place = run_processes.Place.prepared(tmp_path_factory.mktemp("watching"))
    with place.running() as process:
        yield place, process
        assert None is process.poll(), place.said()


Watching = tuple[run_processes.Place, "subprocess.Popen[bytes]"]


def exported(place: run_processes.Place) -> list[entry_contract.Entry]:
    """The ledger by the command for it."""
    done = place.once("ledger", "export", "-o", "jsonl")
    assert (0, "") == (done.returncode, done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def heard(place: run_processes.Place, kind: str, times: int = 1) -> None:
    """Wait until the ledger has so many entries of a kind."""
    waiting.wait_until(
        lambda: place.kinds().count(kind) >= times,
        within=SOON,
        what=f"{times} x {kind}, got {place.kinds()}: {place.said()}",
    )


def test_a_run_keeps_every_promise_about_its_entries(ended: Ended) -> None:
    """Fields, types, kinds, hashes and the whole text of the policy, checked without anything of lastack."""
    entries = exported(ended.place)
    kinds = ["lastack.started", "policy.loaded", "target.lost", "lastack.stopped"]
    assert kinds == [entry["kind"] for entry in entries]
    assert [] == entry_contract.faults(entries)
    first, loaded, *_ = entries
    assert f"sha256:{'0' * 64}" == first["prev"]
    assert run_processes.POLICY == loaded["data"]["text"]
    assert ("device-api", "observe") == (loaded["policy"], loaded["mode"])
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    assert (boot, os.uname().release) == (first["data"]["bootId"], first["data"]["kernel"])


def test_the_daily_file_holds_the_same_lines(ended: Ended) -> None:
    """What is derived says what the authority says."""
    assert exported(ended.place) == ended.place.days()


def test_sigterm_ends_it_within_five_seconds(ended: Ended) -> None:
    """Orderly: exit 0, and the end is on record."""
    assert 0 == ended.status
    assert ended.seconds < 5
    assert "lastack.stopped" == ended.place.kinds()[-1]
    assert "Traceback" not in ended.place.said()


def test_it_runs_without_systemd_and_status_says_so(watching: Watching) -> None:
    """A bus that cannot be reached is what status says of the target, not the end of the process."""
    place, _ = watching
    found = waiting.wait_until(
        lambda: done if "/nonexistent/bus" in (done := place.once("status", "-o", "json")).stdout else None,
        within=SOON,
        what="a status that names the bus",
    )
    document = json.loads(found.stdout)
    (target,) = document["targets"]
    assert "/nonexistent/bus" in target["missing"]
    assert ("lastack.dev/v1alpha1", "Status", True) == tuple(
        document[key] for key in ("apiVersion", "kind", "running")
    )
    assert ("device-api", "observe", None) == tuple(target[k] for k in ("name", "mode", "incident"))
    assert any("observe" in line for line in target["notActing"])
    assert "/nonexistent/bus" in place.once("status").stdout


def test_a_second_one_is_refused_and_told_who_is_first(watching: Watching) -> None:
    """Exit 3 with the pid of the holder and the next step; the first is not disturbed."""
    place, first = watching
    done = place.once()
    assert (3, "") == (done.returncode, done.stdout)
    assert f"pid {first.pid}" in done.stderr
    assert "--state-dir" in done.stderr
    assert None is first.poll()


def opened(pid: int, name: str) -> bool:
    """Whether a process has a file of that name open."""
    with contextlib.suppress(OSError):
        return any(fd.readlink().name == name for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir())
    return False


MOMENTS: dict[str, Callable[[run_processes.Place, int], bool]] = {
    "policies are read": lambda _, pid: bool(
        pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    ),
    "the state directory is made": lambda place, _: place.state.exists(),
    "the lock is taken": lambda _, pid: opened(pid, "lock"),
    "the ledger is opened": lambda _, pid: opened(pid, "ledger.sqlite"),
    "it runs": lambda place, _: (place.state / "control.sock").exists(),
}


@pytest.mark.timeout(120)
def test_ctrl_c_at_any_time(place: run_processes.Place) -> None:
    """The whole group is interrupted, as a terminal does: 130 or 0, no traceback, and the next one goes on."""
    for moment, reached in MOMENTS.items():
        process = place.start(start_new_session=True)
        waiting.wait_until(
            functools.partial(reached, place, process.pid), within=SOON, what=f"{moment}: {place.said()}"
        )
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) in (0, 130), f"{moment}: {place.said()}"
        assert time.monotonic() - began < 5, moment
        assert "Traceback" not in place.said(), moment
    assert 0 == place.once("ledger", "verify").returncode
    assert 0 == sum("damaged" in path.name for path in place.state.iterdir())


def test_a_policy_directory_that_is_not_there(place: run_processes.Place) -> None:
    """Exit 2, with its name and what was expected; no state is made."""
    shutil.rmtree(place.policies)
    done = place.once()
    assert (2, "") == (done.returncode, done.stdout)
    assert f"{place.policies}:1:1: error:" in done.stderr
    assert "expected a directory of policy files" in done.stderr
    assert not place.state.exists()


def test_an_invalid_policy_is_refused_with_its_place(place: run_processes.Place) -> None:
    """Exit 2, FILE:LINE:COLUMN for each problem of each file."""
    one = place.write(run_processes.POLICY.replace("sampleEvery: 500ms", "sampleEvery: often"))
    two = place.write(
        run_processes.POLICY.replace("device-api", "other").replace("settle: 3s", "setle: 3s"), "b.yaml"
    )
    done = place.once()
    assert (2, "") == (done.returncode, done.stdout)
    assert f"{one}:7:16: error:" in done.stderr
    assert f"{two}:16:7: error:" in done.stderr
    assert not place.state.exists()


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_policy_that_others_may_write_is_refused(place: run_processes.Place, mode: int) -> None:
    """Whoever can write it could have anything done as the user of lastack."""
    path = place.write()
    path.chmod(mode)
    done = place.once()
    assert 2 == done.returncode
    assert f"{path}:1:1: error:" in done.stderr
    assert f"chmod go-w {path}" in done.stderr


def test_sighup_with_an_invalid_set_keeps_the_old_one(place: run_processes.Place) -> None:
    """Refused whole, on record with every problem; a valid set afterwards comes into force."""
    with place.running() as process:
        path = place.write("mode: nonsense\n")
        process.send_signal(signal.SIGHUP)
        heard(place, "policy.rejected")
        (rejected,) = [e for e in place.days() if e["kind"] == "policy.rejected"]
        assert f"{path}:1:" in rejected["data"]["problems"]
        (target,) = json.loads(place.once("status", "-o", "json").stdout)["targets"]
        assert ("device-api", "device-api") == (target["name"], target["policy"])
        place.write(run_processes.POLICY.replace("sampleEvery: 500ms", "sampleEvery: 700ms"))
        process.send_signal(signal.SIGHUP)
        heard(place, "policy.loaded", times=2)
        assert None is process.poll()
    assert [] == entry_contract.faults(exported(place))


def test_a_damaged_ledger_is_set_aside_and_that_is_said(after: run_processes.Place) -> None:
    """Nothing is deleted, what verifies is read back, the log and the ledger tell; the chain holds."""
    place = after
    before = place.days()
    database = place.state / "ledger.sqlite"
    database.write_bytes(b"\0" * 100 + database.read_bytes()[100:])
    with place.running():
        pass
    aside = [path.name for path in place.state.glob("ledger.sqlite.damaged-*Z")]
    assert 1 == len(aside)
    assert f"was set aside as {aside[0]}" in place.said()
    assert before == place.days()[: len(before)]
    (resumed,) = [e for e in place.days() if e["kind"] == "ledger.resumed"]
    assert "set aside" in resumed["text"]
    assert 0 == place.once("ledger", "verify").returncode


def test_a_newer_ledger_is_left_alone(after: run_processes.Place) -> None:
    """Exit 3, with the version that can read it; not a byte is changed."""
    database = after.state / "ledger.sqlite"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(written_by)")]
        row = dict(zip(columns, connection.execute("SELECT * FROM written_by").fetchone(), strict=True))
        newer = {**row, "version": "9.1.0", "schema": 99}
        marks = ", ".join("?" * len(columns))
        connection.execute(f"INSERT INTO written_by VALUES ({marks})", [newer[name] for name in columns])  # noqa: S608 - marks only
        connection.execute("PRAGMA user_version = 99")
        connection.commit()
    before = database.read_bytes()
    done = after.once()
    assert 3 == done.returncode
    assert "schema version 99, written by lastack 9.1.0" in done.stderr
    assert "next step: run lastack 9.1.0 or newer" in done.stderr
    assert before == database.read_bytes()


def test_a_state_directory_that_an_ordinary_user_may_not_make() -> None:
    """Exit 3 with the path and what to do."""
    home = ordinary_users.home()
    home.chmod(0o755)
    place = run_processes.Place.prepared(home)
    closed = home / "closed"
    closed.mkdir(mode=0o555)
    words = ("run", "--policies", str(place.policies), "--state-dir", str(closed / "state"))
    command = ordinary_users.command(run_processes.PROGRAM, *words)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    shutil.rmtree(home)
    assert (3, "") == (done.returncode, done.stdout), done.stderr
    assert str(closed / "state") in done.stderr
    assert "next step" in done.stderr
    assert "Traceback" not in done.stderr


class SmallDisk:
    """lastack on a state directory that is a small tmpfs, in a mount namespace of its own."""

    def __init__(self, place: run_processes.Place) -> None:
        self.place = place
        place.state.mkdir(mode=0o700)
        script = 'mount -t tmpfs -o size=1m,mode=0700 lastack "$1" && shift && exec "$@"'
        with (place.folder / "said.log").open("ab") as said:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", script, "sh", str(place.state), *place.command],
                stdout=said,
                stderr=said,
                env=run_processes.environment(),
            )

    @property
    def inside(self) -> run_processes.Place:
        """The same place, seen from here."""
        return run_processes.Place(pathlib.Path(f"/proc/{self.process.pid}/root{self.place.folder}"))

    def fill(self) -> None:
        """Not a byte is left."""
        with (self.inside.state / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while ballast.write(b"\0" * 4096):
                pass

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Another command on the same state directory."""
        command = ["nsenter", "--target", str(self.process.pid), "--mount", run_processes.PROGRAM, *words]
        return subprocess.run(
            [*command, "--state-dir", str(self.place.state)],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )


@pytest.fixture
def small_disk(place: run_processes.Place) -> Iterator[SmallDisk]:
    """It runs, with some room left."""
    disk = SmallDisk(place)
    try:
        waiting.wait_until(
            lambda: disk.process.poll() is not None or "policy.loaded" in disk.inside.kinds(),
            within=SOON,
            what=f"lastack on a small disk: {place.said()}",
        )
        assert None is disk.process.poll(), f"tests mount a tmpfs: run them as root. {place.said()}"
        yield disk
    finally:
        run_processes.stop(disk.process)


def test_a_full_disk_crashes_nothing_and_loses_nothing(small_disk: SmallDisk) -> None:
    """What cannot be written is said once and stays owed; with room again it is written, once, and all goes on."""
    place = small_disk.place
    small_disk.fill()
    place.write("mode: nonsense\n")
    small_disk.process.send_signal(signal.SIGHUP)
    waiting.wait_until(
        lambda: "nothing can be recorded" in place.said(), within=SOON, what="what it says of a full disk"
    )
    assert json.loads(small_disk.ask("status", "-o", "json").stdout)["running"]
    assert "policy.rejected" not in small_disk.inside.kinds()
    (small_disk.inside.state / "ballast").unlink()
    waiting.wait_until(
        lambda: "policy.rejected" in small_disk.inside.kinds(), within=SOON, what="the entry that was owed"
    )
    place.write()
    small_disk.process.send_signal(signal.SIGHUP)
    assert 0 == small_disk.ask("ledger", "verify").returncode
    assert 1 == small_disk.inside.kinds().count("policy.rejected")
    assert 1 == place.said().count("nothing can be recorded")
    assert None is small_disk.process.poll()
    assert "Traceback" not in place.said()
    assert run_processes.stop(small_disk.process) < 5
    assert 0 == small_disk.process.returncode


def test_a_full_disk_does_not_hold_up_the_end(small_disk: SmallDisk) -> None:
    """SIGTERM ends it within 5 s also when its last entry cannot be written; no traceback."""
    small_disk.fill()
    began = dt.datetime.now(dt.UTC)
    run_processes.stop(small_disk.process)
    assert dt.datetime.now(dt.UTC) - began < dt.timedelta(seconds=5)
    assert "Traceback" not in small_disk.place.said()
    assert small_disk.process.returncode in (0, 3)
