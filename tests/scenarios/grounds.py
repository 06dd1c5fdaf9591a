"""A network namespace with a server in it, for a scenario: started, asked, looked at by ss, and taken away."""

import contextlib
import dataclasses
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

from tests import waiting

PORT = 8000
HERE = pathlib.Path(__file__).parent
PROGRAM = os.environ.get("LASTACK") or str(pathlib.Path(sys.executable).with_name("lastack"))
"""LASTACK names an installed program to test instead of the one of this clone."""


@dataclasses.dataclass(slots=True)
class Ground:
    """A namespace; `pid` is a process in it that does nothing."""

    pid: int
    folder: pathlib.Path
    stack: contextlib.ExitStack

    def inside(self, *command: str) -> list[str]:
        """The command line that runs a command in the namespace."""
        return ["nsenter", "--target", str(self.pid), "--net", "--", *command]

    def start(self, *command: str, name: str) -> subprocess.Popen[str]:
        """A process in the namespace; its output is in a file. It is killed at the end, and all that it started."""
        said = (self.folder / f"{name}.log").open("w")
        process = subprocess.Popen(
            self.inside(*command),
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=HERE / "servers",
            start_new_session=True,
        )
        self.stack.callback(said.close)
        self.stack.callback(process.wait)
        # A worker that is blocked in its handler would outlive its master.
        self.stack.callback(_kill_group, process.pid)
        return process

    def said(self, name: str) -> str:
        """What a process has printed so far."""
        return (self.folder / f"{name}.log").read_text()

    def visitors(self, *arguments: str) -> subprocess.Popen[str]:
        """Clients, in a process of their own."""
        return self.start(sys.executable, str(HERE / "visitors.py"), *arguments, name="visitors")

    def run(self, *command: str) -> str:
        """What a program prints inside the namespace."""
        return subprocess.run(self.inside(*command), check=True, capture_output=True, text=True).stdout

    def await_answer(self) -> None:
        """Wait until the server answers a request."""
        asks = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{PORT}/', timeout=5).read()"

        def answered() -> bool:
            return (
                subprocess.run(
                    self.inside(sys.executable, "-c", asks), check=False, capture_output=True
                ).returncode
                == 0
            )

        waiting.wait_until(
            answered, within=dt.timedelta(seconds=30), what=f"an answer: {self.said('server')}"
        )

    def begin_diagnosis(self, *options: str) -> subprocess.Popen[str]:
        """`lastack diagnose -o json` of the namespace, from outside of it."""
        return subprocess.Popen(
            [PROGRAM, "diagnose", "--netns", str(self.pid), "-o", "json", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


@contextlib.contextmanager
def ground(folder: pathlib.Path) -> Iterator[Ground]:
    """A fresh namespace with loopback up."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        holder = subprocess.Popen(
            ["unshare", "--net", "--", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"],
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(holder.wait)
        stack.callback(holder.kill)
        assert holder.stdout is not None
        stack.callback(holder.stdout.close)
        assert holder.stdout.readline() == "up\n", "scenarios make network namespaces: run them as root"
        yield Ground(holder.pid, folder, stack)


@dataclasses.dataclass(frozen=True, slots=True)
class SsRow:
    """One socket as `ss -tanpie` prints it."""

    state: str
    recv_q: int
    send_q: int
    local: str
    peer: str
    accepted: bool
    pids: list[int]
    numbers: dict[str, int]
    """lastsnd, lastrcv, lastack in ms."""

    @property
    def port(self) -> int:
        """The local port."""
        return int(self.local.rpartition(":")[2])


def parse_ss(text: str) -> list[SsRow]:
    """Read `ss -HOtanpie`, one socket a line."""
    rows = []
    for line in text.splitlines():
        words = line.split()
        numbers = {key: int(value) for key, value in re.findall(r"(lastsnd|lastrcv|lastack|ino):(\d+)", line)}
        rows.append(
            SsRow(
                state=words[0],
                recv_q=int(words[1]),
                send_q=int(words[2]),
                local=words[3],
                peer=words[4],
                accepted=numbers.get("ino", 0) > 0,
                pids=sorted({int(pid) for pid in re.findall(r"pid=(\d+)", line)}),
                numbers=numbers,
            )
        )
    return rows


def finished(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    """Exit code and document of a diagnosis."""
    out, err = process.communicate(timeout=60)
    assert out, err
    return process.returncode, json.loads(out)
