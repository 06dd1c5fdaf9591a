"""Real Node.js programs that stand or rest in known places, each with a debug port of its own; no claims here."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence

import psutil

from lastack.executors.thread_dump import gates
from tests import waiting
from tests.executors import worlds

APP = """
const http = require("http");
function priceOf(order) { while (true) order += 1; }
function readSlowly() { require("fs").readSync(0, Buffer.alloc(1)); }
function runOther() { require("child_process").execSync("sleep 600"); }
const server = http.createServer((request, response) => {
  if (request.url === "/busy") priceOf(1);
  if (request.url === "/read") readSlowly();
  if (request.url === "/run") runOther();
  response.end("ok");
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
"""
"""priceOf stands in line 3."""


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """A running one; `port` serves, `debug` is its debug port, `said` what it wrote to its error output."""

    pid: int
    port: int
    debug: int
    errors: pathlib.Path

    @property
    def said(self) -> str:
        """So far."""
        return self.errors.read_text()

    def listens_for_debuggers(self) -> bool:
        """As its own network namespace has it."""
        rows = pathlib.Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines()
        return any(f":{self.debug:04X} 00000000:0000 0A" in row for row in rows)


def free_port() -> int:
    """Of this moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def running(
    *arguments: str, around: Sequence[str] = (), path: str | None = None, debug: int | None = None
) -> Iterator[Node]:
    """Two seconds old; with `path` a request for it stands in its handler."""
    port = free_port() if debug is None else debug
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        (folder / "app.js").write_text(APP)
        said = stack.enter_context((folder / "said").open("w"))
        argv = [*around, "node", f"--inspect-port={port}", str(folder / "app.js"), *arguments]
        process = stack.enter_context(
            subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True)
        )
        stack.callback(_end, process)
        assert process.stdout is not None
        serves = int(process.stdout.readline())
        tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        pid = next(each.pid for each in tree if each.name() == "node")
        if path is not None:
            client = stack.enter_context(socket.create_connection(("127.0.0.1", serves)))
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: node\r\n\r\n".encode())
        age = worlds.RealClock().now().steady - gates.look(pid).facts.started
        waiting.wait_until(
            lambda: worlds.RealClock().now().steady - gates.look(pid).facts.started > gates.YOUNG,
            within=worlds.WITHIN,
            what=f"its age, {age} now",
        )
        yield Node(pid, serves, port, folder / "said")


def _end(process: subprocess.Popen[str]) -> None:
    for each in psutil.Process(process.pid).children(recursive=True):
        each.kill()
    process.kill()
