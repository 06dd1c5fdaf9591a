"""Native stacks of a real C program, by libdw: which function stands, and the program runs on whatever happens."""

from __future__ import annotations

import datetime as dt
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack import errors
from lastack.executors.thread_dump import groups, series, stacks, waits
from lastack.executors.thread_dump.native import answers, reader
from tests import waiting
from tests.executors import jvms, natives, series_of, worlds

LASTACK = pathlib.Path(sys.executable).with_name("lastack")
PAUSE = dt.timedelta(milliseconds=500)
RUNS = {psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING}
AT = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def program() -> Iterator[pathlib.Path]:
    """The compiled patient; not below pytest's own folder, which each session closes to other users again."""
    with tempfile.TemporaryDirectory() as folder:
        yield natives.compile_patient(pathlib.Path(folder))


def walked(pid: int, max_pause: dt.timedelta = PAUSE) -> stacks.ProcessDump:
    """Its dump, joined with what the kernel says."""
    walking = reader.begin(pid, "a native program", max_pause)
    try:
        while (raw := walking.wait(worlds.WITHIN)) is None:
            pass
    finally:
        walking.close()
    dump = answers.read(raw, of_program=True, pid=pid, parent=0, command="patient", at=AT)
    return waits.joined(dump)


def refused(pid: int, max_pause: dt.timedelta = PAUSE) -> errors.WorldError:
    """Why there is none."""
    with pytest.raises(errors.WorldError) as problem:
        walked(pid, max_pause)
    return problem.value


def dumped(pid: int, *, native: bool) -> series.Series:
    """Two dumps, as a policy with or without `nativeStacks` takes them."""
    return series_of.taken(pid, native_stacks=native)


NAMESPACES = (
    *("unshare", "--pid", "--fork", "--mount-proc", "--net", "--user", "--map-root-user"),
    *("sh", "-c", 'ip link set lo up && exec "$@"', "sh"),
)
OWN_FILES = (
    *("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--net", "sh", "-c"),
    'ip link set lo up && mount -t tmpfs none /mnt && cp "$1" /mnt/patient && exec /mnt/patient',
    "sh",
)
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.mark.parametrize(
    "around", [(), NOBODY, NAMESPACES, OWN_FILES], ids=["plain", "as-nobody", "in-namespaces", "own-files"]
)
def test_the_stuck_functions_are_named(program: pathlib.Path, around: tuple[str, ...]) -> None:
    """With the lock that they wait for, or the peer; also where the program's file is seen by itself only."""
    with natives.running(program, around=around) as patient:
        dump = walked(patient.pid)
        found = groups.find([[dump]])
        assert patient.state in RUNS
    wanted = "3 of 5 worker threads stand in wait_for_stock (patient.c:15) waiting for a lock"
    assert found.text.startswith(wanted), found.text
    assert "lock" == found.meaning.cause.value
    (caller,) = [each for each in dump.threads if each.place and each.place.function == "call_backend"]
    assert caller.wait is not None
    assert f"127.0.0.1:{patient.backend}" == caller.wait.peer
    idle = {str(each.place) for each in dump.threads if each.waits_for_work}
    assert {"idle (patient.c:34)", "main (patient.c:53)"} == idle


def test_nothing_is_stopped_unless_that_is_allowed(program: pathlib.Path) -> None:
    """The kernel's view, and by which option more is seen; with leave, the functions."""
    with natives.running(program) as patient:
        without, with_leave = dumped(patient.pid, native=False), dumped(patient.pid, native=True)
    assert f"lastack dump {patient.pid} --native-stacks" in (without.missing[patient.pid].fix or "")
    assert not any(
        "wait_for_stock" in str(group.sample.frames) for group in groups.find(without.rounds).groups
    )
    assert {} == with_leave.missing
    assert "stand in wait_for_stock" in groups.find(with_leave.rounds).text


def test_thousands_of_threads_stand_for_milliseconds_each(program: pathlib.Path) -> None:
    """One after the other: the process as a whole is never stopped."""
    with natives.running(program, "2000") as patient:
        dump = walked(patient.pid)
    assert 2003 == len(dump.threads)
    assert json.loads(dump.raw)["longestStopMs"] < 500


class TestTheProcessRunsOn:
    """However the stop ends."""

    def test_a_stop_beyond_max_pause_is_ended(self, program: pathlib.Path) -> None:
        """The kernel ends who walks; the sentence says what to do."""
        with natives.running(program, "50") as patient:
            problem = refused(patient.pid, dt.timedelta(microseconds=20))
            assert "longer than 0.02 ms (maxPause); the stop was ended, and it runs on" in problem.message
            assert patient.state in RUNS

    def test_a_dump_that_is_ended_at_any_time(self, program: pathlib.Path) -> None:
        """A SIGSTOP on its way when its sender is killed would stop the process for good."""
        with natives.running(program, "400") as patient:
            for _ in range(25):
                walking = reader.begin(patient.pid, "a native program", PAUSE)
                walking.wait(dt.timedelta(milliseconds=random.uniform(20, 250)))
                walking.close()
                states = {psutil.Process(patient.pid).status() for _ in range(20)}
                assert states <= RUNS
            status = pathlib.Path(f"/proc/{patient.pid}/status").read_text()
            assert "TracerPid:\t0" in status

    def test_one_that_was_stopped_before_stays_so(self, program: pathlib.Path) -> None:
        """And is read all the same: nobody else can tell where it stands."""
        with natives.running(program) as patient:
            os.kill(patient.pid, signal.SIGSTOP)
            waiting.wait_until(
                lambda: patient.state == psutil.STATUS_STOPPED, within=worlds.WITHIN, what="the stop"
            )
            assert "stand in wait_for_stock" in groups.find([[walked(patient.pid)]]).text
            assert psutil.STATUS_STOPPED == patient.state
            refused(patient.pid, dt.timedelta(microseconds=20))
            assert psutil.STATUS_STOPPED == patient.state

    def test_one_at_which_a_debugger_is_is_left_to_it(self, program: pathlib.Path) -> None:
        """The debugger is named."""
        with natives.running(program) as patient, natives.traced(patient.pid) as tracer:
            assert f"traced by process {tracer} already" in refused(patient.pid).message


def test_without_the_library_the_fix_is_named(program: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """And the kernel's view is taken instead."""
    (tmp_path / "libdw.so.1").write_bytes(b"no library")
    with natives.running(program) as patient:
        done = subprocess.run(
            [LASTACK, "dump", str(patient.pid), "--native-stacks", "--count", "1", "-o", "json"],
            env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
    document = json.loads(done.stdout)
    (missing,) = document["missing"]
    assert "libdw, which reads native stacks, is not installed" in missing["why"]
    assert "apt-get install libdw1" in missing["fix"]
    assert 6 == sum(len(group["threads"]) for group in document["groups"])


def test_another_users_process_is_refused_with_the_right_that_is_missing(program: pathlib.Path) -> None:
    """As nobody, of root's; exit 3."""
    with natives.running(program) as patient:
        done = subprocess.run(
            [*NOBODY, LASTACK, "dump", str(patient.pid), "--native-stacks", "--count", "1"],
            capture_output=True,
            text=True,
            check=False,
        )
    assert 3 == done.returncode
    assert "CAP_SYS_PTRACE" in done.stderr


def test_a_jvm_that_is_stopped_gives_its_native_stacks(classes: pathlib.Path) -> None:
    """It cannot be asked; where its threads stand in the C library is seen all the same."""
    with jvms.running(classes) as pid:
        os.kill(pid, signal.SIGSTOP)
        found = dumped(pid, native=True)
        assert psutil.STATUS_STOPPED == psutil.Process(pid).status()
        os.kill(pid, signal.SIGCONT)
    assert "is stopped (SIGSTOP)" in found.missing[pid].message
    functions = {
        frame.function for dump in found.rounds[-1] for each in dump.threads for frame in each.frames
    }
    assert {"start_thread", "__GI___futex_abstimed_wait_cancelable64"} & functions
    assert not any(
        each.place and each.place.application for dump in found.rounds[-1] for each in dump.threads
    )


PLACES = [
    ("_ZN4core3fmt", "/srv/app", "_ZN4core3fmt", True),
    ("app::stock::Shop$LT$T$GT$::wait::h0123456789abcdef", "/srv/app", "app::stock::Shop<T>::wait", True),
    ("tokio::runtime::park::Inner::park", "/srv/app", "tokio::runtime::park::Inner::park", False),
    ("shop::(anonymous namespace)::wait(int, char*)", "/srv/app", "shop::{anonymous}::wait", True),
    ("__GI___poll@@GLIBC_2.2.5", "/usr/lib/x86_64-linux-gnu/libc.so.6", "__poll", False),
    (None, "", "?", False),
]


@pytest.mark.parametrize(("symbol", "module", "name", "application"), PLACES)
def test_names_are_shown_as_people_write_them(
    symbol: str | None, module: str, name: str, application: bool
) -> None:
    """Without versions, arguments and hashes; and whose they are."""
    place = {"function": symbol, "module": module, "offset": 16, "file": None, "line": 0}
    document = {
        "runtime": "a native program",
        "places": [place],
        "threads": [{"thread": 2, "name": "w-1", "main": False, "frames": [0]}],
    }
    raw = json.dumps(document).encode()
    dump = answers.read(raw, of_program=True, pid=1, parent=0, command="app", at=AT)
    ((frame,),) = [each.frames for each in dump.threads]
    assert (name, application) == (frame.function, frame.application)
    assert frame.file.endswith("+0x10")


@given(st.integers(0, 400), st.binary(max_size=8))
def test_broken_stacks_are_refused_and_never_believed(cut: int, noise: bytes) -> None:
    """Cut anywhere: a whole document or none."""
    raw = json.dumps({"runtime": "a", "places": [], "threads": []}).encode()
    try:
        dump = answers.read(raw[:cut] + noise, of_program=True, pid=1, parent=0, command="a", at=AT)
    except errors.Unsupported:
        return
    assert () == dump.threads
