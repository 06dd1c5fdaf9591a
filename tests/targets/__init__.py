"""Small servers of every runtime that stand still in a known place, to be dumped; no claims here.

Each prints `up PORT` and serves on loopback, a thread (or what its runtime has) per connection: it reads one byte, and
answers "ok" unless it was an "s", which makes it wait for ever in a function called `stall`. Those that have threads
beat: every 5 ms one of them writes into a file how often it came round, and the longest time between two beats.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import mmap
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

import psutil

from lastack.kernel import netns
from tests import waiting

HERE = pathlib.Path(__file__).parent
WITHIN = dt.timedelta(seconds=30)
STUCK = 3
_PAGE = struct.Struct("<QQ")
_ALIKE = 8


class Beats:
    """The file that a target beats into."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        path.write_bytes(bytes(_PAGE.size))
        path.chmod(0o666)

    def count(self) -> int:
        """How often it has come round so far."""
        return int(self._read()[0])

    def await_some(self, more: int = 3) -> None:
        """Wait until it has come round some more times."""
        before = self.count()
        waiting.wait_until(lambda: self.count() >= before + more, within=WITHIN, what="the target to go on")

    def forget(self) -> None:
        """Measure the longest pause anew, from a beat on."""
        self.await_some()
        with self.path.open("r+b") as file, mmap.mmap(file.fileno(), _PAGE.size) as page:
            page[8:16] = bytes(8)

    def longest(self) -> dt.timedelta:
        """The longest time between two beats since then; waits for the next ones, which end a pause."""
        self.await_some()
        return dt.timedelta(microseconds=self._read()[1] / 1000)

    def _read(self) -> tuple[int, int]:
        count, gap = _PAGE.unpack(self.path.read_bytes())
        return count, gap


@dataclasses.dataclass(frozen=True, slots=True)
class Life:
    """One running target: its pid as seen from here, and its port in its own network namespace."""

    pid: int
    port: int
    started: float

    @property
    def goes_on(self) -> bool:
        """The same process, neither ended nor stopped."""
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            return process.create_time() == self.started and process.status() in {
                psutil.STATUS_SLEEPING,
                psutil.STATUS_RUNNING,
                psutil.STATUS_DISK_SLEEP,  # for an instant, in page faults of one that collects garbage
            }
        return False

    def connect(self) -> socket.socket:
        """A connection, from inside of its network namespace."""

        def connect() -> socket.socket:
            return socket.create_connection(("127.0.0.1", self.port), timeout=10)

        path = netns.path_of(self.pid)
        return connect() if netns.identify(path) == netns.own() else netns.call_in(path, connect)

    def answers(self) -> bool:
        """Whether it still serves."""
        with self.connect() as client:
            client.sendall(b"o")
            return client.recv(16) == b"ok\n"

    @contextlib.contextmanager
    def stuck(self, many: int = STUCK) -> Iterator[None]:
        """So many of its workers stand in `stall`."""
        with contextlib.ExitStack() as stack:
            for _ in range(many):
                stack.enter_context(self.connect()).sendall(b"s")
            yield

    def settled_possessions(self) -> dict[str, object]:
        """The same once it has served a client: what it opens with its first one is no trace of ours."""
        assert self.answers()
        looks: list[dict[str, object]] = []

        def settled() -> bool:
            looks.append(self.possessions())
            return looks[-_ALIKE:] == [looks[-1]] * _ALIKE

        waiting.wait_until(settled, within=WITHIN, what="the target to settle")
        return looks[-1]

    def has_what_it_had(self, before: dict[str, object]) -> bool:
        """Nothing more. Fewer descriptors are no trace: Go closes a connection half a second after its answer."""
        now = self.possessions()
        return {**now, "descriptors": before["descriptors"]} == before and _many(now) <= _many(before)

    def possessions(self) -> dict[str, object]:
        """What a dump must leave as it was: descriptors, listeners, and files of attaching in its /tmp."""
        root = pathlib.Path(f"/proc/{self.pid}")
        inner = inner_pid(self.pid)
        own = len(list((root / "root" / "tmp").glob(f".java_pid{inner}")))
        held = []
        for each in (root / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                held.append(str(each.readlink()))
        sockets = (root / "net" / "tcp").read_text() + (root / "net" / "tcp6").read_text()
        rows = [line.split() for line in sockets.splitlines()]
        return {
            # A JVM opens a socket for those that attach, once in its life: it is its own.
            "descriptors": len(held) - own,
            "listeners": sorted(row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in held),
            "triggers": [path.name for path in (root / "root" / "tmp").glob(f".attach_pid{inner}")],
        }


def _many(possessions: Mapping[str, object]) -> int:
    return int(str(possessions["descriptors"]))


def inner_pid(pid: int) -> str:
    """What it is called in its own pid namespace."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[-1] for line in lines if line.startswith("NSpid:"))


def java(
    *options: str, program: str = "java", classes: pathlib.Path, beats: Beats, mode: str = "0"
) -> list[str]:
    """The command of the JVM; `mode` is "spin", "talk" (for ever, on 2), or how many threads stand still at first."""
    return [program, "-Xmx128m", *options, "-cp", str(classes), "Target", str(beats.path), mode]


def compiled_java(folder: pathlib.Path) -> pathlib.Path:
    """Its classes, readable by everybody."""
    javac = shutil.which("javac")
    assert javac is not None, "these tests start real JVMs: apt-get install openjdk-17-jdk-headless"
    subprocess.run(
        [javac, "--release", "8", "-Xlint:-options", "-d", folder, HERE / "Target.java"], check=True
    )
    return opened(folder)


def compiled_go(folder: pathlib.Path, *, profiled: bool) -> pathlib.Path:
    """The Go program, with net/http/pprof on a second port or without."""
    go = shutil.which("go")
    assert go is not None, "these tests build a real Go program: apt-get install golang-go"
    (folder / "go.mod").write_text("module example.com/target\n\ngo 1.19\n")
    for source in ("target.go", *(["profiles.go"] if profiled else [])):
        shutil.copy(HERE / source, folder)
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=mod",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
    }
    subprocess.run([go, "build", "-o", "target", "."], cwd=folder, check=True, env=environment)
    return opened(folder) / "target"


def compiled_c(folder: pathlib.Path) -> pathlib.Path:
    """The native program, without debugging symbols."""
    compiler = shutil.which("gcc")
    assert compiler is not None, "these tests build a real C program: apt-get install gcc libc6-dev"
    subprocess.run([compiler, "-O1", "-pthread", "-o", folder / "target", HERE / "target.c"], check=True)
    return opened(folder) / "target"


def opened(folder: pathlib.Path) -> pathlib.Path:
    """The folder and those above it, which other users may now enter."""
    for each in (folder, *folder.parents):
        if each.is_relative_to("/tmp") and each != pathlib.Path("/tmp"):
            each.chmod(each.stat().st_mode | 0o055)
    return folder


@contextlib.contextmanager
def started(
    command: Sequence[str | pathlib.Path],
    *,
    around: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    stderr: int | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """The process, which may not be up yet; it and its children are killed at the end."""
    with subprocess.Popen(
        [*around, *map(str, command)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
        stderr=stderr,
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
                for each in tree:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        each.kill()
                    # A JVM that is killed leaves its socket, which the next process of this number would be asked at.
                    pathlib.Path(f"/tmp/.java_pid{each.pid}").unlink(missing_ok=True)


@contextlib.contextmanager
def running(
    command: Sequence[str | pathlib.Path],
    *,
    around: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    stderr: int | None = None,
) -> Iterator[Life]:
    """It is up; `around` is a command that ends in running another, `stderr` what it gets as 2."""
    with started(command, around=around, environment=environment, stderr=stderr) as process:
        yield up(process)


def up(process: subprocess.Popen[str]) -> Life:
    """Wait until it serves."""
    assert process.stdout is not None
    said = []
    # A virtual machine may warn of something before.
    for line in process.stdout:
        word, _, port = line.strip().partition(" ")
        said.append(line)
        if word == "up":
            break
    else:
        raise AssertionError(f"it did not come up: {process.args!r} said {''.join(said)!r}")
    tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    one = tree[-1]  # what it runs around is its only child
    return Life(one.pid, int(port), one.create_time())


PYTHON = (sys.executable, "-u", HERE / "target.py")
NODE = ("node", HERE / "target.js")
