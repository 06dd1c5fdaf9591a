"""Run many commands of lastack, each in a process of its own, without paying for an interpreter each time.

One interpreter imports what the `lastack` script imports and forks once per command. Used by contract tests.

    python tests/contracts/command_runs.py PLATFORM < a JSON list of argument lists > a JSON list of results
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import pathlib
import subprocess
import sys
import sysconfig
import tempfile
import traceback
from collections.abc import Mapping, Sequence

HEAVY = ("aiohttp", "kopf", "kubernetes", "pydantic", "rich")


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """How one command ended, what it printed, and which heavy modules it had imported."""

    arguments: tuple[str, ...]
    status: int
    out: str
    err: str
    heavy: tuple[str, ...]


def run_all(
    commands: Sequence[Sequence[str]],
    *,
    platform: str = "linux",
    environment: Mapping[str, str] | None = None,
    within_seconds: float = 50,
) -> list[Run]:
    """The commands one after the other. `platform` is what sys.platform says to them."""
    done = subprocess.run(
        [sys.executable, __file__, platform],
        input=json.dumps([list(command) for command in commands]),
        capture_output=True,
        text=True,
        check=True,
        timeout=within_seconds,
        env={**os.environ, **(environment or {})},
    )
    return [
        Run(tuple(found["arguments"]), found["status"], found["out"], found["err"], tuple(found["heavy"]))
        for found in json.loads(done.stdout)
    ]


def run(*arguments: str, environment: Mapping[str, str] | None = None) -> Run:
    """One command."""
    (found,) = run_all([arguments], environment=environment)
    return found


def main(platform: str) -> None:
    """Fork once per command."""
    # What others made of the platform is made: only our own code sees the other one.
    if platform != sys.platform:
        importlib.import_module("psutil")
        sysconfig.get_config_vars()
    sys.platform = platform
    from lastack import cli

    found = []
    for arguments in json.load(sys.stdin):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            pid = os.fork()
            if pid == 0:
                _be(cli.main, arguments, folder)
            _, status = os.waitpid(pid, 0)
            texts = {word: (folder / word).read_text("utf-8", "replace") for word in ("out", "err", "heavy")}
            found.append(
                {
                    **texts,
                    "arguments": arguments,
                    "status": os.waitstatus_to_exitcode(status),
                    "heavy": texts["heavy"].split(),
                }
            )
    sys.stdout.write(json.dumps(found))


def _be(command: object, arguments: list[str], folder: pathlib.Path) -> None:
    """Be that command, as the script would: its exit status is what main returns."""
    for number, word in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / word, os.O_WRONLY | os.O_CREAT, 0o600), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    status: object = 70
    try:
        status = command(arguments) if callable(command) else 70
    except SystemExit as leaving:
        status = leaving.code
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        (folder / "heavy").write_text(" ".join(sorted(set(HEAVY) & set(sys.modules))), encoding="utf-8")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 0 if status is None else 1)


if __name__ == "__main__":
    main(sys.argv[1])
