"""A runtime is recognized by what is mapped and which program runs, on real processes."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lastack.engine import samples
from lastack.executors.thread_dump import runtimes
from tests import waiting
from tests.executors import worlds

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
