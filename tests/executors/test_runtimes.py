"""A runtime is recognized by what is mapped and which program runs, on real processes."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lastack.engine import samples
from lastack.executors.thread_dump import groups, runtimes
from tests import waiting
from tests.executors import series_of, worlds

MAPS_A_LIBJVM = """
import mmap, sys, time
with open(sys.argv[1], "rb") as library:
    mapped = mmap.mmap(library.fileno(), 0, prot=mmap.PROT_READ)
print("up", flush=True)
time.sleep(600)
"""


@contextlib.contextmanager
def running(*argv: str, executable: str | None = None) -> Iterator[int]:
    """The pid of a process that has become its program."""
    program = pathlib.Path(executable or shutil.which(argv[0]) or argv[0]).resolve()
    with subprocess.Popen(argv, executable=executable, stdin=subprocess.PIPE) as process:
        try:
            exe = pathlib.Path(f"/proc/{process.pid}/exe")
            waiting.wait_until(lambda: exe.resolve() == program, within=worlds.WITHIN, what="the exec")
            yield process.pid
        finally:
            process.kill()


def kind(pid: int) -> runtimes.Kind:
    """What it is."""
    found = runtimes.recognize(pid)
    assert isinstance(found, runtimes.Evidence), found
    return found.kind


def test_python_is_python_whatever_it_calls_itself() -> None:
    """The first argument and the name prove nothing; the program does."""
    with running("java", "-c", "input()", executable=sys.executable) as pid:
        assert runtimes.Kind.CPYTHON == kind(pid)


def test_what_calls_itself_python_is_not() -> None:
    """And the other way round."""
    with running("python3", "600", executable="/bin/sleep") as pid:
        assert runtimes.Kind.NATIVE == kind(pid)


def test_node_is_told_with_its_report() -> None:
    """What helps by hand is part of the answer."""
    with running("node", "-e", "setInterval(() => {}, 1000)") as pid:
        assert runtimes.Kind.NODE == kind(pid)


def test_a_java_virtual_machine_is_known_by_its_library(tmp_path: pathlib.Path) -> None:
    """Before anything else: programs of many names embed one."""
    library = tmp_path / "libjvm.so"
    library.write_bytes(b"\0" * 4096)
    with subprocess.Popen(
        [sys.executable, "-c", MAPS_A_LIBJVM, str(library)], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            found = runtimes.recognize(process.pid)
        finally:
            process.kill()
    assert isinstance(found, runtimes.Evidence)
    assert runtimes.Kind.JVM == found.kind
    assert f"by hand: jcmd {process.pid} Thread.print -l, as the user of the process" == found.by_hand(
        process.pid
    )


MAPS_OPENJ9 = MAPS_A_LIBJVM.replace(
    "print(",
    'more = open(sys.argv[2], "rb")\nother = mmap.mmap(more.fileno(), 0, prot=mmap.PROT_READ)\nprint(',
)


def test_openj9_is_no_hotspot_though_it_has_a_libjvm(tmp_path: pathlib.Path) -> None:
    """A SIGQUIT makes it write files; it is refused with that reason, and told as the kernel sees it."""
    libraries = [tmp_path / "libjvm.so", tmp_path / "libj9vm29.so"]
    for library in libraries:
        library.write_bytes(b"\0" * 4096)
    with subprocess.Popen(
        [sys.executable, "-c", MAPS_OPENJ9, *map(str, libraries)], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            taken = series_of.taken(process.pid)
        finally:
            process.kill()
    problem = taken.missing[process.pid]
    assert f"it has {libraries[1]} mapped, which is OpenJ9's" in problem.message
    assert "of its own JDK" in (problem.fix or "")
    assert {"a Java virtual machine that is not HotSpot"} == {each.runtime for each in taken.rounds[-1]}


WSGI = """
import time
def price_of(order):
    time.sleep(600)
def application(environ, start_response):
    price_of(1)
"""


def test_a_prefork_server_with_python_inside_is_one_target(tmp_path: pathlib.Path) -> None:
    """uwsgi is a C program that has libpython mapped; its master and its workers are read together."""
    (tmp_path / "app.py").write_text(WSGI)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    argv = ["uwsgi-core", "--plugin", "python3", "--http-socket", f"127.0.0.1:{port}", "--master"]
    argv += ["--processes", "3", "--wsgi-file", "app.py", "--disable-logging"]
    with (
        subprocess.Popen(
            argv, cwd=tmp_path, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(os.killpg, process.pid, signal.SIGKILL)
        for _ in range(3):
            client = stack.enter_context(connected(port))
            client.sendall(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        wanted = "3 of 3 worker threads stand in price_of (app.py:4) sleeping, unchanged in 2 dumps"
        waiting.wait_until(
            lambda: groups.find(series_of.taken(process.pid).rounds).text.startswith(wanted),
            within=worlds.WITHIN,
            what=wanted,
        )
        (one, *_) = series_of.taken(process.pid).rounds
        assert {"CPython"} == {each.runtime for each in one}
        assert process.pid in {each.pid for each in one}


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """As soon as somebody listens."""
    found: list[socket.socket] = []

    def is_there() -> bool:
        with contextlib.suppress(ConnectionRefusedError):
            found.append(socket.create_connection(("127.0.0.1", port)))
        return bool(found)

    waiting.wait_until(is_there, within=worlds.WITHIN, what="the listener")
    with found[0] as client:
        yield client


ASYNCIO = """
import asyncio, sys
async def wait_for_price(never):
    await never
async def main():
    never = asyncio.get_running_loop().create_future()
    tasks = [asyncio.create_task(wait_for_price(never)) for _ in range(200)]
    print("up", flush=True)
    await asyncio.gather(*tasks)
asyncio.run(main())
"""


def test_tasks_that_wait_in_an_event_loop_are_said_not_to_be_seen() -> None:
    """Two hundred tasks stand, and no thread does: that must not read as health."""
    with worlds.running_python(ASYNCIO) as process:
        text = groups.find(series_of.taken(process.pid).rounds).text
    assert text.startswith("none of 1 thread stands still outside of waiting for work")
    assert text.endswith(
        f"; the event loop of process {process.pid} rests: tasks that wait in it cannot be seen from outside"
    )


SIGNALLED = """
import concurrent.futures, signal, threading
pool, met = concurrent.futures.ThreadPoolExecutor(3), threading.Barrier(3)
list(pool.map(lambda _: met.wait(), range(3)))
print("up", flush=True)
signal.sigwait({signal.SIGUSR1})
"""


def test_a_main_thread_that_waits_for_a_signal_is_not_stuck() -> None:
    """It looks after the others; sigwait() is no frame of Python, and the line that calls it is the application's."""
    with worlds.running_python(SIGNALLED) as process:
        text = groups.find(series_of.taken(process.pid).rounds).text
    assert text.startswith("none of 4 threads stands still outside of waiting for work")


def test_a_go_program_is_known_by_its_linkers_note(tmp_path: pathlib.Path) -> None:
    """The linker puts it near the beginning of the file, also of stripped programs."""
    program = tmp_path / "served"
    program.write_bytes(pathlib.Path("/bin/sleep").read_bytes() + b"\x04\0\0\0\x53\0\0\0\x04\0\0\0Go\0\0")
    program.chmod(0o755)
    with running(str(program), "600") as pid:
        assert runtimes.Kind.GO == kind(pid)


def test_a_process_that_is_gone_or_a_zombie_is_missing() -> None:
    """With the reason; never a guess."""
    with subprocess.Popen(["true"]) as process:
        waiting.wait_until(
            lambda: "zombie" in getattr(runtimes.recognize(process.pid), "why", ""),
            within=worlds.WITHIN,
            what="the zombie",
        )
    gone = runtimes.recognize(process.pid)
    assert isinstance(gone, samples.Missing)
    assert f"process {process.pid} does not exist" == gone.why


@pytest.mark.parametrize("one", [each for each in runtimes.Kind if each is not runtimes.Kind.CPYTHON])
def test_every_other_runtime_has_something_that_helps_by_hand(one: runtimes.Kind) -> None:
    """No dead end."""
    command = runtimes.Evidence(one, "seen").by_hand(4711)
    assert command is not None
    assert command.startswith("by hand: ")
