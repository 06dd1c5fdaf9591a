"""Two gunicorns whose own backlog exceeds the somaxconn of their namespace, under bursts, and what became of them.

Played once; the tests look at it from many sides. gunicorn runs at its default settings (sync workers, a backlog of
2048); its handlers take 20 ms and never stall.
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
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Self

from lastack.hosts.supervised import specs
from lastack.lab import loads
from tests import waiting
from tests.scenarios import grounds

PROGRAM = pathlib.Path(sys.executable).with_name("lastack")
GUNICORN = pathlib.Path(sys.executable).with_name("gunicorn")
HERE = pathlib.Path(__file__).parent
POLICY = HERE.parent.parent / "policies" / "demo.yaml"

MEMBERS = {"gunicorn-1": 8001, "gunicorn-2": 8002}
TARGET = "demo"
SOMAXCONN = 16
OWN_BACKLOG = 2048
LEASED = 4096
BURST = 60
PROCESSES = 3
"""Of each gunicorn: the arbiter and two workers, all of which hold the listening socket."""

_LOOK_EVERY_SECONDS = 0.02
_LISTEN = "0A"


@dataclasses.dataclass(slots=True)
class Stage:
    """What stands there: a namespace, two members under a supervisor, their clients, a state directory."""

    ground: grounds.Ground
    socket: pathlib.Path
    folder: pathlib.Path

    @property
    def state_dir(self) -> pathlib.Path:
        """Where the story's own lastack keeps its ledger."""
        return self.folder / "state"

    def somaxconn(self) -> int:
        """What the kernel says, read by a program that is not ours, in the namespace."""
        return int(self.ground.run("cat", "/proc/sys/net/core/somaxconn"))

    def write_somaxconn(self, value: int) -> None:
        """What an administrator does."""
        self.ground.run("sysctl", "-q", "-w", f"net.core.somaxconn={value}")

    def limits(self) -> dict[int, int]:
        """The limit of each accept queue by port, from ss."""
        rows = [line.split() for line in self.ground.run("ss", "-Hltn").splitlines()]
        return {int(words[3].rpartition(":")[2]): int(words[2]) for words in rows}

    def drops(self) -> int:
        """ListenDrops of the namespace."""
        text = pathlib.Path(f"/proc/{self.ground.pid}/net/netstat").read_text(encoding="ascii")
        names, values = [line.split() for line in text.splitlines() if line.startswith("TcpExt:")]
        return int(values[names.index("ListenDrops")])

    def counts(self) -> Mapping[str, loads.Count]:
        """What became of the clients' requests so far."""
        try:
            return loads.counts_from_json((self.folder / "counts.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {name: loads.Count() for name in MEMBERS}

    @contextlib.contextmanager
    def lastack(self, state_dir: pathlib.Path, *, mode: str = "enforce") -> Iterator[subprocess.Popen[str]]:
        """The host process in the namespace, ended by SIGTERM."""
        policies = self.folder / "policies.d"
        policies.mkdir(exist_ok=True)
        text = POLICY.read_text(encoding="utf-8").replace("mode: enforce", f"mode: {mode}")
        (policies / "demo.yaml").write_text(text, encoding="utf-8")
        arguments = (state_dir, policies, TARGET, self.socket)
        with (self.folder / f"{state_dir.name}.log").open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                self.ground.inside(
                    sys.executable, str(HERE / "supervised_run.py"), *(str(word) for word in arguments)
                ),
                stdout=log,
                stderr=log,
                text=True,
            )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)

    def lives(self) -> dict[str, frozenset[int]]:
        """The processes that listen on each address, from ss."""
        rows = self.ground.run("ss", "-Hltnp").splitlines()
        return {row.split()[3]: frozenset(map(int, re.findall(r"pid=(\d+)", row))) for row in rows}

    def days(self) -> list[dict[str, Any]]:
        """The story's entries so far, from the daily files."""
        files = sorted((self.state_dir / "ledger").glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]

    def log(self, state_dir: pathlib.Path) -> str:
        """What that host process has said."""
        return (self.folder / f"{state_dir.name}.log").read_text(encoding="utf-8")


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """The story from its beginning to the verified end, and the minute after it."""

    stage: Stage
    entries: tuple[dict[str, Any], ...]
    leases: dict[str, Any]
    """`lastack sysctl leases -o json` of the running lastack, after the incident."""
    limits_before: dict[int, int]
    limits_after: dict[int, int]
    somaxconn: int
    drops_before_heal: int
    drops_after_heal: int
    failures_after_heal: int
    sent_after_heal: int
    listeners_seen: frozenset[frozenset[int]]
    """Every set of listening ports that was ever seen."""
    ended_with: int
    ended_in_seconds: float

    def where(self, kind: str, action: str | None = None) -> list[dict[str, Any]]:
        """Entries of one kind, and of one action if one is named."""
        return [e for e in self.entries if e["kind"] == kind and action in (None, e["action"])]


class Watcher:
    """Sees in /proc, without entering, which ports are listened on; a thread of its own."""

    def __init__(self, pid: int) -> None:
        self.seen: set[frozenset[int]] = set()
        self._table = pathlib.Path(f"/proc/{pid}/net/tcp")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_EVERY_SECONDS):
            rows = [line.split() for line in self._table.read_text(encoding="ascii").splitlines()[1:]]
            listening = (row[1] for row in rows if row[3] == _LISTEN)
            self.seen.add(frozenset(int(local.partition(":")[2], 16) for local in listening))


def ask(*words: str | pathlib.Path, at: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """One command on a state directory, as a person on the machine types it: outside of the namespace."""
    return subprocess.run(
        [PROGRAM, *words, "--state-dir", at], capture_output=True, text=True, check=False, timeout=60
    )


def entries(at: pathlib.Path) -> tuple[dict[str, Any], ...]:
    """The whole ledger by the command for it."""
    done = ask("ledger", "export", "-o", "jsonl", at=at)
    assert 0 == done.returncode, done.stderr
    return tuple(json.loads(line) for line in done.stdout.splitlines())


@contextlib.contextmanager
def stage(folder: pathlib.Path) -> Iterator[Stage]:
    """Namespace, lowered somaxconn, members that listen under it, and clients in bursts."""
    with grounds.ground(folder) as ground, contextlib.ExitStack() as stack:
        ground.run("sysctl", "-q", "-w", f"net.core.somaxconn={SOMAXCONN}")
        socket = folder / "supervisor.sock"
        here = Stage(ground, socket, folder)
        stack.enter_context(_supervisor(here))
        waiting.wait_until(
            lambda: [len(pids) for pids in here.lives().values()] == [PROCESSES] * len(MEMBERS),
            within=dt.timedelta(seconds=30),
            what=f"both members to listen: {ground.said('supervisor')}",
        )
        crowd = tuple(
            loads.Load(name, port, clients=2, burst=BURST, burst_every_ms=1500, patience_ms=8000)
            for name, port in MEMBERS.items()
        )
        ground.start(
            *(sys.executable, "-m", "lastack.lab.clients", "--loads", loads.to_argument(crowd)),
            *("--counts", str(folder / "counts.json")),
            name="clients",
        )
        yield here


@contextlib.contextmanager
def _supervisor(here: Stage) -> Iterator[None]:
    config = here.folder / "supervisor.json"
    members = tuple(_member(name, port, here.folder) for name, port in MEMBERS.items())
    config.write_text(specs.to_json(members), encoding="utf-8")
    process = here.ground.start(
        *(sys.executable, "-m", "lastack.hosts.supervised.supervisor"),
        *("--socket", str(here.socket), "--config", str(config)),
        name="supervisor",
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def _member(name: str, port: int, folder: pathlib.Path) -> specs.MemberSpec:
    home = folder / name
    home.mkdir()
    return specs.MemberSpec(
        name,
        (str(GUNICORN), "-w", "2", "-b", f"127.0.0.1:{port}", "wsgi:application"),
        # Where its control socket goes: never the home of whoever runs the tests.
        env={"HOME": str(home), "XDG_RUNTIME_DIR": str(home)},
        ports=(port,),
        cwd=str(HERE.parent / "scenarios" / "servers"),
    )


def play(here: Stage) -> Told:
    """From two sick members to a verified incident, two more bursts, and an orderly end."""
    limits_before = here.limits()
    with Watcher(here.ground.pid) as watcher, here.lastack(here.state_dir) as process:
        _until_resolved(here, process)
        somaxconn, limits_after = here.somaxconn(), here.limits()
        drops, before = here.drops(), here.counts()
        enough = {name: count.sent + 2 * (BURST + 5) for name, count in before.items()}
        waiting.wait_until(
            lambda: all(count.sent >= enough[name] for name, count in here.counts().items()),
            within=dt.timedelta(seconds=30),
            what="two more bursts for each member",
        )
        after, drops_after = here.counts(), here.drops()
        leases = ask("sysctl", "leases", "-o", "json", at=here.state_dir)
        assert 0 == leases.returncode, leases.stderr
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        status = process.wait(20)
        ended_in = time.monotonic() - began
    return Told(
        stage=here,
        entries=entries(here.state_dir),
        leases=json.loads(leases.stdout),
        limits_before=limits_before,
        limits_after=limits_after,
        somaxconn=somaxconn,
        drops_before_heal=drops,
        drops_after_heal=drops_after,
        failures_after_heal=sum(after[name].failed - before[name].failed for name in MEMBERS),
        sent_after_heal=sum(after[name].sent - before[name].sent for name in MEMBERS),
        listeners_seen=frozenset(watcher.seen),
        ended_with=status,
        ended_in_seconds=ended_in,
    )


def _until_resolved(here: Stage, process: subprocess.Popen[str]) -> None:
    def ended() -> bool:
        log = here.log(here.state_dir)
        assert process.poll() is None, f"lastack ended with {process.returncode}: {log}"
        return re.search(r'"kind": "incident\.(resolved|exhausted|abandoned)"', log) is not None

    waiting.wait_until(ended, within=dt.timedelta(seconds=80), what="the end of the incident")
