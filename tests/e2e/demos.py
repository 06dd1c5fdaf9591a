"""One run of `lastack demo` as a person would type it, and what it left."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys
import time
from typing import Any

from tests.lab import leftovers

PROGRAM = pathlib.Path(sys.executable).with_name("lastack")


@dataclasses.dataclass(frozen=True, slots=True)
class Demo:
    """What it printed, how long it took, and what was left when it had ended."""

    status: int
    out: str
    err: str
    seconds: float
    state_dir: pathlib.Path
    left: list[str]
    entries: tuple[dict[str, Any], ...] = ()
    """The ledger, by the command for it; empty unless the demo succeeded."""

    @property
    def lines(self) -> list[str]:
        """The lines on stdout."""
        return self.out.splitlines()

    def where(self, kind: str) -> list[dict[str, Any]]:
        """All entries of one kind."""
        return [entry for entry in self.entries if entry["kind"] == kind]


def run(state_dir: pathlib.Path, *options: str) -> Demo:
    """The demo from beginning to end, piped; its temporary files go to `tmp` beside the state directory."""
    mark, environment = leftovers.marked_environment()
    temporary = state_dir.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    began = time.monotonic()
    done = subprocess.run(
        [PROGRAM, "demo", "--state-dir", state_dir, *options],
        env={**environment, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - began
    left = leftovers.processes(mark)
    exported = ask("ledger", "export", "-o", "jsonl", at=state_dir) if done.returncode == 0 else ""
    entries = tuple(json.loads(line) for line in exported.splitlines())
    return Demo(done.returncode, done.stdout, done.stderr, seconds, state_dir, left, entries)


def ask(*words: str, at: pathlib.Path) -> str:
    """stdout of another command on the same state directory, which must succeed."""
    done = subprocess.run([PROGRAM, *words, "--state-dir", at], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, f"lastack {' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout
