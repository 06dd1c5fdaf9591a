"""A room: a namespace of its own with one server in one condition. Opened by runs, left empty at the end."""

import contextlib
import dataclasses
import datetime as dt
import json
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from tests import waiting
from tests.corpus import shapes
from tests.scenarios import grounds

_HERE = pathlib.Path(__file__).parent
_CLIENTS = str(_HERE / "clients.py")
_DOWNSTREAMS = str(_HERE / "downstreams.py")
_ROOMY_FILES = 4096
_ANSWERS_WITHIN_SECONDS = 150


@dataclasses.dataclass(slots=True)
class Room:
    """A server that answers, and the clients that make its condition."""

    cell: shapes.Cell
    ground: grounds.Ground
    server: subprocess.Popen[str]
    clients: list[subprocess.Popen[str]]

    def begin(self) -> None:
        """Let the clients come."""
        for number, words in enumerate(self.cell.clients):
            process = self.ground.start(
                *(sys.executable, _CLIENTS, str(shapes.PORT), *words), name=f"clients-{number}"
            )
            self.clients.append(process)

    def end_clients(self) -> list[dict[str, Any]]:
        """Send the clients away; what each group of them came to."""
        for process in self.clients:
            process.send_signal(signal.SIGTERM)
        for process in self.clients:
            process.wait(30)
        return [_tally(self.ground.said(f"clients-{number}")) for number in range(len(self.clients))]

    def sockets(self) -> str:
        """Every socket of the room, as `ss` sees it."""
        return self.ground.run("ss", "-HOtanpie")

    def dropped(self) -> int:
        """What the kernel has dropped at listening sockets so far: what `nstat` calls TcpExtListenDrops."""
        names, values = (
            line.split()
            for line in self.ground.run("cat", "/proc/net/netstat").splitlines()
            if line.startswith("TcpExt:")
        )
        return int(values[names.index("ListenDrops")])

    def said(self) -> str:
        """The last lines that the server printed."""
        return "\n".join(self.ground.said("server").splitlines()[-15:])


@contextlib.contextmanager
def opened(cell: shapes.Cell, folder: pathlib.Path) -> Iterator[Room]:
    """A room whose server answers; its clients have not come yet.

    Raises AssertionError with what the server printed when it does not answer in time.
    """
    with grounds.ground(folder) as ground, _swept(ground):
        for name, value in cell.condition.sysctls.items():
            ground.run("sysctl", "-qw", f"{name}={value}")
        if cell.downstream not in {None, "gone"}:
            _start_downstream(ground, cell.downstream)
        server = _start_server(cell, ground, folder)
        _await_answer(cell, ground, server)
        yield Room(cell, ground, server, [])


def _start_server(cell: shapes.Cell, ground: grounds.Ground, folder: pathlib.Path) -> subprocess.Popen[str]:
    inside = folder / "server"
    inside.mkdir()
    words = {"port": str(shapes.PORT), "folder": str(inside)}
    command = list(cell.server.command)
    if cell.condition.tls:
        words |= _certificate(folder)
        command += cell.server.tls
    for name, text in cell.server.configuration.items():
        (inside / name).write_text(_filled(text, words), encoding="utf-8")
    filled = [_filled(word, words) for word in command]
    environment = {"HOME": "{folder}", **cell.server.environment}
    settings = [f"{name}={_filled(value, words)}" for name, value in environment.items()]
    # Scarce is the hard limit too: Java, Go and Node raise the soft one to it when they start.
    kind, files = ("-n", cell.server.files) if cell.condition.scarce_files else ("-Sn", _ROOMY_FILES)
    start = f'cd "$1" && ulimit {kind} "$2" && shift 2 && exec env "$@"'
    where = str(cell.server.working_folder or inside)
    return ground.start("sh", "-c", start, "sh", where, str(files), *settings, *filled, name="server")


def _filled(word: str, words: dict[str, str]) -> str:
    """The word with its {placeholders} replaced; other braces stay (configuration files have them)."""
    for name, value in words.items():
        word = word.replace(f"{{{name}}}", value)
    return word


def _start_downstream(ground: grounds.Ground, kind: str) -> None:
    process = ground.start(sys.executable, _DOWNSTREAMS, str(shapes.DOWNSTREAM_PORT), kind, name="downstream")
    waiting.wait_until(
        lambda: "ready" in ground.said("downstream") or process.poll() is not None,
        within=dt.timedelta(seconds=_ANSWERS_WITHIN_SECONDS),
        what="the downstream",
    )
    assert process.poll() is None, ground.said("downstream")


def _await_answer(cell: shapes.Cell, ground: grounds.Ground, server: subprocess.Popen[str]) -> None:
    words = ["ask", f"within={_ANSWERS_WITHIN_SECONDS}", *(["tls=1"] if cell.condition.tls else [])]
    asked = subprocess.run(
        ground.inside(sys.executable, _CLIENTS, str(shapes.PORT), *words),
        check=False,
        capture_output=True,
        text=True,
    )
    assert asked.returncode == 0, (
        f"{cell.name}: no answer within {_ANSWERS_WITHIN_SECONDS} s (exit status {server.poll()}).\n"
        f"clients: {asked.stdout}{asked.stderr}\nserver: {ground.said('server')}"
    )


def _certificate(folder: pathlib.Path) -> dict[str, str]:
    """A fresh self-signed certificate for localhost."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return {"certificate": str(certificate), "key": str(key)}


@contextlib.contextmanager
def _swept(ground: grounds.Ground) -> Iterator[None]:
    """End every process of the room at the end: a blocked worker outlives its master."""
    space = _space(pathlib.Path("/proc", str(ground.pid)))
    try:
        yield
    finally:
        # Again and again: a master whose worker was killed first starts another one before it dies itself.
        while left := _inside(space) - {ground.pid}:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _inside(space: str) -> set[int]:
    found = set()
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if _space(entry) == space:
                    found.add(int(entry.name))
    return found


def _space(process: pathlib.Path) -> str:
    return str((process / "ns" / "net").readlink())


def _tally(said: str) -> dict[str, Any]:
    last = said.strip().splitlines()[-1:] or ["nothing"]
    try:
        found = json.loads(last[0])
    except ValueError:
        return {"said": said[-300:]}
    assert isinstance(found, dict)
    return found
