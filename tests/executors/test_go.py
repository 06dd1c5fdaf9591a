"""Goroutines of a real Go program, by the profile that it serves; and as the kernel sees it where it serves none."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import os
import pathlib
import shutil
import socket
import subprocess
from collections.abc import Iterator

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack.executors.thread_dump import groups, readers, series
from lastack.executors.thread_dump.golang import answers, fetching
from lastack.policy import valid
from tests import waiting
from tests.executors import worlds

SOURCE = pathlib.Path(__file__).parent / "go" / "patient.go"
TWICE = valid.ThreadDump(
    count=2,
    every=dt.timedelta(milliseconds=200),
    max_pause=dt.timedelta(milliseconds=500),
    wait_at_most=dt.timedelta(0),
)
REQUESTS = 5


def build(folder: pathlib.Path, *, profiled: bool) -> pathlib.Path:
    """The patient, with or without the handlers of net/http/pprof."""
    go = shutil.which("go")
    assert go is not None, "these tests build a real Go program: apt-get install golang-go"
    text = SOURCE.read_text()
    (folder / "main.go").write_text(text if profiled else text.replace('\t_ "net/http/pprof"\n', ""))
    (folder / "go.mod").write_text("module example.com/patient\n\ngo 1.19\n")
    subprocess.run(
        [go, "build", "-o", "patient", "."], cwd=folder, check=True, env={**os.environ, "GOFLAGS": "-mod=mod"}
    )
    return folder / "patient"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """It serves its goroutines."""
    return build(tmp_path_factory.mktemp("profiled"), profiled=True)


@dataclasses.dataclass(frozen=True, slots=True)
class Patient:
    """A running one, with requests that it never answers."""

    pid: int
    backend: int


@contextlib.contextmanager
def stuck(program: pathlib.Path, path: str) -> Iterator[Patient]:
    """Five requests stand in the handler of this path."""
    with (
        subprocess.Popen([program], stdout=subprocess.PIPE, text=True) as process,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(process.kill)
        assert process.stdout is not None
        port, backend = (int(process.stdout.readline()) for _ in range(2))
        for _ in range(REQUESTS):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: patient\r\n\r\n".encode())
        yield Patient(process.pid, backend)


def dumped(pid: int) -> series.Series:
    """A whole series."""
    taken = series.Series([pid], TWICE, lambda _one, _number: None, readers.all_readers())
    try:
        waiting.wait_until(
            lambda: taken.advance(worlds.RealClock().now()), within=worlds.WITHIN, what="the series"
        )
    finally:
        taken.close()
    return taken


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/lock", "main.waitForLock (main.go:14) waiting for a lock"),
        ("/call", "main.callBackend (main.go:17) reading from 127.0.0.1:{backend}"),
        ("/read", "main.readBackend (main.go:23) reading from 127.0.0.1:{backend}"),
    ],
)
def test_the_stuck_handler_and_what_it_waits_for_are_named(
    program: pathlib.Path, path: str, text: str
) -> None:
    """In the words of the program itself; and it serves on."""
    with stuck(program, path) as patient:
        wanted = f"{REQUESTS} of {REQUESTS} worker threads stand in {text.format(backend=patient.backend)}"
        waiting.wait_until(
            lambda: groups.find(dumped(patient.pid).rounds).text.startswith(wanted),
            within=worlds.WITHIN,
            what=wanted,
        )
        assert psutil.Process(patient.pid).status() in {psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING}


def test_without_a_profile_the_kernel_is_asked(tmp_path: pathlib.Path) -> None:
    """Said with what would help; a SIGQUIT, which ends a Go program, is never sent."""
    with stuck(build(tmp_path, profiled=False), "/lock") as patient:
        assert not fetching.serves_profiles(patient.pid)
        taken = dumped(patient.pid)
        assert "without net/http/pprof" in taken.missing[patient.pid].message
        assert {"a Go program"} == {each.runtime for each in taken.rounds[-1]}
        assert psutil.pid_exists(patient.pid)


def test_a_listener_that_answers_for_ever_costs_bounded_time(
    program: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends with the reason, and the kernel is asked instead."""
    monkeypatch.setattr(fetching, "_WITHIN_SECONDS", 0.0)
    with stuck(program, "/lock") as patient:
        taken = dumped(patient.pid)
        assert "did not serve its goroutines within" in taken.missing[patient.pid].message
        assert {"a Go program"} == {each.runtime for each in taken.rounds[-1]}


RECORDED = """goroutine 18 [sync.Mutex.Lock, 2 minutes]:
internal/sync.runtime_SemacquireMutex(0x0?, 0x0?, 0x0?)
\t/usr/lib/go/src/runtime/sema.go:95 +0x25
sync.(*Mutex).Lock(...)
\t/usr/lib/go/src/sync/mutex.go:46
main.(*Shop).stock(0xc000012345, {0x1, 0x2})
\t/srv/shop/main.go:14 +0x1f
created by net/http.(*Server).Serve in goroutine 1
\t/usr/lib/go/src/net/http/server.go:3434 +0x485

goroutine 1 [IO wait]:
internal/poll.runtime_pollWait(0x7f, 0x72)
\t/usr/lib/go/src/runtime/netpoll.go:351 +0x85
net.(*TCPListener).Accept(0xc0)
\t/usr/lib/go/src/net/tcpsock.go:387 +0x30
main.main()
\t/srv/shop/main.go:30 +0x1
"""


def test_a_recorded_profile_is_read() -> None:
    """States, places, who started it, and who only waits for the next connection."""
    at = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
    dump = answers.read(RECORDED.encode(), pid=1, parent=0, command="shop", at=at)
    handler, main = dump.threads
    assert "main.(*Shop).stock (main.go:14)" == str(handler.place)
    assert ("net/http.(*Server).Serve", "sync.Mutex.Lock", False) == (
        handler.role,
        handler.state,
        handler.waits_for_work,
    )
    assert main.waits_for_work


@given(st.integers(0, len(RECORDED)), st.binary(max_size=10), st.integers(0, 3))
def test_a_broken_profile_gives_what_it_still_has(cut: int, noise: bytes, times: int) -> None:
    """Cut and doubled anywhere."""
    at = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
    raw = (RECORDED[cut:] + RECORDED[:cut] * times).encode() + noise
    dump = answers.read(raw, pid=1, parent=0, command="shop", at=at)
    assert all(each.frames for each in dump.threads)
