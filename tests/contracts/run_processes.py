"""`lastack run` as a real process, for contract tests: started, asked, signalled; its ledger read as plain JSON."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, Self

from tests import waiting

PROGRAM = str(pathlib.Path(sys.executable).with_name("lastack"))
SOON = dt.timedelta(seconds=30)

UNREACHABLE = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent/bus"}
"""No systemd to be seen from here, on whatever machine the tests run."""

POLICY = """\
apiVersion: lastack.dev/v1alpha1
kind: RemediationPolicy
metadata: {name: device-api}  # ümlauts and   spaces belong to the text
spec:
  target:
    systemd: {units: ["device-api@*.service"]}
  sampleEvery: 500ms
  triggers:
    - {name: stalled, diagnosis: [accept-stall], sustainedFor: 3s, clearFor: 5s}
  stages:
    - {name: evidence, action: threadDump, with: {count: 3, every: 1s, maxPause: 500ms, waitAtMost: 20s}}
    - name: replace
      action: rollingRestart
      when: {diagnosis: [accept-stall]}
      with: {readyWithin: 10s, warmFor: 2s}
      settle: 3s
  limits: {warmUp: 2s, minProcessAge: 1s, cooldown: 1m, restarts: {max: 3, per: 1h}, minAvailable: 1}
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A policy directory, a state directory, and where the process's words go."""

    folder: pathlib.Path

    @classmethod
    def prepared(cls, folder: pathlib.Path) -> Self:
        """A place with one valid policy, and no state yet."""
        place = cls(folder)
        place.write()
        (folder / "said.log").touch()
        return place

    @property
    def policies(self) -> pathlib.Path:
        """The policy directory."""
        return self.folder / "policies.d"

    @property
    def state(self) -> pathlib.Path:
        """The state directory."""
        return self.folder / "state"

    @property
    def command(self) -> list[str]:
        """`lastack run` here."""
        return [PROGRAM, "run", "--policies", str(self.policies), "--state-dir", str(self.state)]

    def write(self, text: str = POLICY, name: str = "device-api.yaml") -> pathlib.Path:
        """A policy file that only its owner may write."""
        self.policies.mkdir(mode=0o755, exist_ok=True)
        path = self.policies / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
        return path

    def said(self) -> str:
        """Everything that the runs here wrote to stdout and stderr."""
        return (self.folder / "said.log").read_text(encoding="utf-8")

    def days(self) -> list[dict[str, Any]]:
        """The entries in the daily files, which anyone may read at any time."""
        lines = [
            line
            for day in sorted((self.state / "ledger").glob("*.jsonl"))
            for line in day.read_text(encoding="utf-8").splitlines()
        ]
        return [json.loads(line) for line in lines]

    def kinds(self) -> list[str]:
        """Their kinds, in order."""
        return [entry["kind"] for entry in self.days()]

    def once(self, *words: str, within_seconds: float = 30) -> subprocess.CompletedProcess[str]:
        """`lastack run` that is expected to end by itself, or another command on this state directory."""
        command = [PROGRAM, *words, "--state-dir", str(self.state)] if words else self.command
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=within_seconds, env=environment()
        )

    def start(self, *, start_new_session: bool = False) -> subprocess.Popen[bytes]:
        """`lastack run` in the background."""
        with (self.folder / "said.log").open("ab") as said:
            return subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=environment(),
                start_new_session=start_new_session,
            )

    @contextlib.contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """`lastack run`, once a first tick was written; ended by SIGTERM unless it has ended already."""
        process = self.start()
        try:
            before = len(self.days()) if self.state.exists() else 0
            waiting.wait_until(
                lambda: "policy.loaded" in self.kinds()[before:] or process.poll() is not None,
                within=SOON,
                what=f"lastack to run: {self.said()}",
            )
            assert process.poll() is None, self.said()
            yield process
        finally:
            stop(process)


def environment() -> Mapping[str, str]:
    """That of the tests, without a system bus."""
    return {**os.environ, **UNREACHABLE}


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> float:
    """Send a signal and wait; how many seconds it took. Does nothing when it has ended."""
    began = time.monotonic()
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
    return time.monotonic() - began
