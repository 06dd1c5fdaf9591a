"""Three gunicorns with threads, and the service behind them that hangs: a namespace, a supervisor, a lastack.

gunicorn runs at its default settings but for its threads; what hangs is handler code without a time-out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from lastack.hosts.supervised import specs
from tests import waiting
from tests.e2e import backlogs
from tests.scenarios import grounds

HERE = pathlib.Path(__file__).parent
FILES = HERE / "hung"
TARGET = "shop"
FAR = 7000
IDLE = {7001: 3, 7002: 1, 7003: 1}
"""Ports of services with which a process is connected that is well, and how often: a pool, a bus, a database."""
THREADS = 4
MEMBERS = {"shop-1": 8001, "shop-2": 8002, "shop-3": 8003}
SOON = dt.timedelta(seconds=30)
OLD = dt.timedelta(seconds=100)
_ENDS = re.compile(r'"kind": "incident\.(resolved|exhausted|abandoned)"')


@dataclasses.dataclass(slots=True)
class Stage:
    """What stands there; `far` is the service behind."""

    ground: grounds.Ground
    far: subprocess.Popen[str]
    socket: pathlib.Path
    folder: pathlib.Path

    def call(self, *ports: int) -> None:
        """More requests than there are threads, whose clients give up after a second."""
        callers = [
            subprocess.Popen(
                self.ground.inside(sys.executable, str(FILES / "callers.py"), str(port), str(2 * THREADS))
            )
            for port in ports
        ]
        assert [0] * len(ports) == [caller.wait(30) for caller in callers]

    def lives(self) -> dict[str, frozenset[int]]:
        """The processes that listen on each address, from ss."""
        rows = self.ground.run("ss", "-Hltnp").splitlines()
        found = {row.split()[3]: frozenset(map(int, re.findall(r"pid=(\d+)", row))) for row in rows}
        return {address: pids for address, pids in found.items() if ":70" not in address}

    def held(self, port: int = FAR) -> frozenset[str]:
        """The connections to a service behind, by their local address, from ss."""
        lines = self.ground.run("ss", "-Htn", "state", "established", f"( dport = :{port} )").splitlines()
        return frozenset(line.split()[2] for line in lines)

    def answers(self, port: int) -> str:
        """What a client gets that asks now."""
        code = (
            f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{port}/ask', timeout=5).read())"
        )
        return self.ground.run(sys.executable, "-c", code).strip()

    @contextlib.contextmanager
    def lastack(self, name: str, peers: str) -> Iterator[Running]:
        """The host process with a state directory of its own; it ends with the block."""
        policies = self.folder / f"{name}.policies"
        policies.mkdir()
        text = (FILES / "policy.yaml").read_text(encoding="utf-8").replace("PEERS", peers)
        (policies / "shop.yaml").write_text(text, encoding="utf-8")
        running = Running(self.folder / name, self.folder / f"{name}.log")
        arguments = (running.state_dir, policies, TARGET, self.socket)
        with running.log.open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                self.ground.inside(
                    sys.executable, str(HERE / "supervised_run.py"), *(str(word) for word in arguments)
                ),
                stdout=log,
                stderr=log,
                text=True,
            )
        try:
            running.until("policy.loaded", SOON)
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """A lastack that runs, or has run."""

    state_dir: pathlib.Path
    log: pathlib.Path

    def until(self, kind: str, within: dt.timedelta) -> None:
        """Wait for an entry of that kind."""
        waiting.wait_until(
            lambda: f'"kind": "{kind}"' in self.said(), within=within, what=f"{kind}: {self.said()[-3000:]}"
        )

    def until_closed(self, within: dt.timedelta) -> None:
        """Wait for the end of an incident."""
        waiting.wait_until(
            lambda: _ENDS.search(self.said()) is not None,
            within=within,
            what=f"the end of the incident: {self.said()[-3000:]}",
        )

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text(encoding="utf-8")

    def entries(self) -> list[dict[str, Any]]:
        """Its ledger, once it has ended."""
        return list(backlogs.entries(self.state_dir))

    def record(self) -> str:
        """The record of its incident."""
        (record,) = (self.state_dir / "records").glob("*.md")
        return record.read_text(encoding="utf-8")


@contextlib.contextmanager
def stage(folder: pathlib.Path, members: Mapping[str, int], application: str) -> Iterator[Stage]:
    """Namespace, the services behind, the members."""
    with grounds.ground(folder) as ground:
        far, *_ = [
            ground.start(sys.executable, str(FILES / "far_service.py"), str(port), name=f"far-{port}")
            for port in (FAR, *IDLE)
        ]
        waiting.wait_until(
            lambda: all("ready" in ground.said(f"far-{port}") for port in (FAR, *IDLE)),
            within=SOON,
            what="the services behind to listen",
        )
        socket, config = folder / "supervisor.sock", folder / "supervisor.json"
        specified = tuple(_member(name, port, folder, application) for name, port in members.items())
        config.write_text(specs.to_json(specified), "utf-8")
        ground.start(
            *(sys.executable, "-m", "lastack.hosts.supervised.supervisor"),
            *("--socket", str(socket), "--config", str(config)),
            name="supervisor",
        )
        here = Stage(ground, far, socket, folder)
        waiting.wait_until(
            lambda: [len(pids) for pids in here.lives().values()] == [2] * len(members),
            within=SOON,
            what=f"all members to listen: {ground.said('supervisor')}",
        )
        yield here


def _member(name: str, port: int, folder: pathlib.Path, application: str) -> specs.MemberSpec:
    home = folder / name
    home.mkdir()
    command = (
        str(backlogs.GUNICORN),
        "--threads",
        str(THREADS),
        "-b",
        f"127.0.0.1:{port}",
        application,
    )
    # Where its control socket goes: never the home of whoever runs the tests.
    env = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    return specs.MemberSpec(name, command, env=env, ports=(port,), cwd=str(FILES))


def moments(news: list[dict[str, Any]], kind: str, stage_name: str | None = None) -> list[dict[str, Any]]:
    """The entries of a kind, and of a stage if one is named."""
    return [entry for entry in news if entry["kind"] == kind and stage_name in {None, entry["stage"]}]


def shown(news: list[dict[str, Any]]) -> str:
    """The ledger, to be read when a test fails."""
    return "\n".join(json.dumps({key: entry[key] for key in ("kind", "stage", "text")}) for entry in news)
