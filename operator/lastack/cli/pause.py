"""`lastack pause` and `lastack resume`: nothing new begins, with a reason and an end. Called by the script."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import click

from lastack import errors, quantities
from lastack.cli import printing, state_access
from lastack.engine import facts, instants
from lastack.runbook import pauses
from lastack.stores import control, peers, state_dir

_UNKNOWN: Mapping[str, object] = {"paused": None, "text": None}


@click.command()
@click.option(
    "--reason", required=True, help="Why; it is in the ledger and in every refusal.", metavar="TEXT"
)
@click.option(
    "--for", "lasting", help="How long, as 2h or 30m; until `lastack resume` if absent.", metavar="DURATION"
)
@printing.state_dir_option
@printing.output_option("text", "json")
def pause(reason: str, lasting: str | None, state_dir: pathlib.Path, output: str) -> None:
    """Begin nothing new: acts that run are ended, evidence is taken all the same, leases are given back."""
    if not reason.strip():
        raise errors.UsageError("a pause needs a reason", fix='--reason "deploying 4.2"')
    try:
        span = quantities.duration(lasting) if lasting else None
    except ValueError as error:
        raise errors.UsageError(f"--for: {error}") from None
    with state_access.told(output, "Pause", _UNKNOWN):
        where = _prepared(state_dir)
        try:
            asked = {"reason": reason, "for": lasting} if lasting else {"reason": reason}
            text = str(control.ask(where, "pause", asked).get("text"))
        except errors.NotReachable:
            text = _write(where, pauses.paused(_now(), str(peers.myself()), reason, span))
            printing.note(f"{_nobody(state_dir)}; the pause holds from its next start")
    _print(text, output, paused=True)


@click.command()
@printing.state_dir_option
@printing.output_option("text", "json")
def resume(state_dir: pathlib.Path, output: str) -> None:
    """Acts may begin again."""
    with state_access.told(output, "Pause", _UNKNOWN):
        where = _prepared(state_dir)
        try:
            text = str(control.ask(where, "resume", {}).get("text"))
        except errors.NotReachable:
            with state_access.writing(where) as book:
                fact = pauses.resumed(_now(), str(peers.myself()), book.folded.pause)
                with book.transaction():
                    book.append([fact])
            text = fact.text
            printing.note(_nobody(state_dir))
    _print(text, output, paused=False)


def _now() -> instants.Now:
    from lastack import bootstrap  # here, because it wires every adapter, which `--help` does without

    return bootstrap.clock().now()


def _prepared(path: pathlib.Path) -> state_dir.StateDir:
    """The directory, made when there is none yet: a pause may come before the first `lastack run`."""
    return state_dir.prepare(path)


def _nobody(path: pathlib.Path) -> str:
    """What is said on stderr, because the directory may be another one than that of the lastack that was meant."""
    return printing.plain(f"no lastack runs on {path}")


def _write(where: state_dir.StateDir, fact: facts.Fact) -> str:
    with state_access.writing(where) as book, book.transaction():
        book.append([fact])
    return fact.text


def _print(text: str, output: str, *, paused: bool) -> None:
    if output == "json":
        printing.json_document("Pause", {"paused": paused, "text": text})
    else:
        printing.text(printing.plain(text))
