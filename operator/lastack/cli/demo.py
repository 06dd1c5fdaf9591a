"""`lastack demo`: a service falls sick on this machine, is healed and written up, in about a minute."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import pathlib
import shlex
import sys
import tempfile

import click

from lastack import errors, interruptions, shipped
from lastack.cli import demo_screens, demo_verdicts, printing
from lastack.executors.thread_dump.cpython import py_spy
from lastack.lab import namespaces, pairs
from lastack.policy import valid
from lastack.stores import records
from lastack.stores import state_dir as state_dirs

_POLICY = "demo"


@click.command()
@click.option(
    "--state-dir",
    type=click.Path(path_type=pathlib.Path, file_okay=False, readable=False),
    help="Where the ledger, the evidence and the record are left; by default a fresh folder below "
    "$XDG_STATE_HOME/lastack/demo (~/.local/state/lastack/demo).",
)
@printing.output_option("text", "jsonl")
def demo(state_dir: pathlib.Path | None, output: str) -> None:
    """Watch a stalled TCP service being noticed, diagnosed, evidenced, healed, verified and written up.

    Everything happens in a network namespace of its own, also as an ordinary user where that is allowed; nothing is
    left when it ends but the state directory. The last line on stdout is the path of the incident's record.
    """
    # The engine with every adapter, which `--help` does without.
    from lastack.cli import demo_stories
    from lastack.observability import logs

    py_spy.find_program()
    policy, pair, place = _policy(), pairs.warehouse(), _place(state_dir)
    screen = demo_screens.Screen(json=output == "jsonl")
    program = shlex.quote(sys.argv[0]) if "/" in sys.argv[0] else "lastack"
    try:
        with (
            interruptions.raised(),
            contextlib.ExitStack() as stack,
            tempfile.TemporaryDirectory(prefix="lastack-demo-", ignore_cleanup_errors=True) as folder,
        ):
            namespaces.enter_own()
            log = stack.enter_context(open(place / "lastack.log", "a", encoding="utf-8", opener=_private))
            logs.set_up(json=False, to=log)
            screen.introduce(pair, policy, place)
            seen = demo_stories.play(screen, pair, policy, state_dir=place, folder=pathlib.Path(folder))
    except KeyboardInterrupt:
        screen.clear()
        printing.note(f"interrupted; nothing is left but the state in {place}")
        raise click.exceptions.Exit(interruptions.EXIT_CODE) from None
    verdict = demo_verdicts.judge(seen, pair, _record(place, seen))
    screen.conclude(verdict, seen, place, program)
    if verdict.problems:
        raise click.exceptions.Exit(1)


def _private(path: str, flags: int) -> int:
    """Like everything in a state directory, the log is for its owner."""
    return os.open(path, flags, 0o600)


def _record(place: pathlib.Path, seen: demo_verdicts.Seen) -> pathlib.Path | None:
    incident = demo_verdicts.incident_of(seen.told)
    path = records.path_of(state_dirs.StateDir(place), incident) if incident else None
    return path if path is not None and path.exists() else None


def _policy() -> valid.Policy:
    from lastack.policy import loading  # carries pydantic, which `--help` does without

    name = f"policies/{_POLICY}.yaml"
    loaded = loading.load({name: shipped.policy_text(_POLICY).encode()})
    if not loaded.usable:
        raise errors.InvariantBroken(f"{name} as shipped is not valid: {loaded.problems[0]}")
    return loaded.policies[0]


def _place(given: pathlib.Path | None) -> pathlib.Path:
    """The state directory, made. One with a ledger is refused: its budgets and cooldowns would hold the demo."""
    place = given.absolute() if given else _fresh()
    if state_dirs.StateDir(place).database.exists():
        raise errors.UsageError(
            f"--state-dir: {place} holds a ledger already, whose restarts and cooldowns would count",
            fix="name a folder that is new or empty, or leave --state-dir out",
        )
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise errors.NotPermitted(
            f"cannot make the state directory {place}: {problem.strerror}",
            fix="name one that you may write with --state-dir, as --state-dir /tmp/lastack-demo",
        ) from problem
    return place


def _fresh() -> pathlib.Path:
    base = os.environ.get("XDG_STATE_HOME") or ""
    root = pathlib.Path(base) if base.startswith("/") else pathlib.Path("~/.local/state").expanduser()
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    return root / "lastack" / "demo" / f"{stamp}-{os.getpid()}"
