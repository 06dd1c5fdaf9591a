"""`lastack ledger verify` and `lastack ledger export`: the audited history. Called by the `lastack` script."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Mapping

import click

from lastack import errors
from lastack.cli import printing, state_access
from lastack.runbook import chain

_VERIFICATION = "LedgerVerification"
_UNSEEN: Mapping[str, object] = {"ok": None}


@click.group(name="ledger")
def ledger_group() -> None:
    """Check and export the audited history of everything that lastack did and refused."""


@ledger_group.command(short_help="Check the hash chain of the ledger or of an export.")
@click.argument(
    "file",
    required=False,
    type=click.Path(dir_okay=False, allow_dash=True, readable=False, path_type=pathlib.Path),
)
@printing.state_dir_option
@printing.output_option("text", "json")
def verify(file: pathlib.Path | None, state_dir: pathlib.Path, output: str) -> int:
    """Check the hash chain of the ledger, or of an exported FILE (- is stdin).

    Exit status: 0 every entry holds, 1 one does not and is named, 3 there is no ledger.
    """
    if file is None:
        with state_access.reading(state_dir, output, _VERIFICATION, _UNSEEN) as reading:
            found = reading.verify()
    else:
        with state_access.told(output, _VERIFICATION, _UNSEEN):
            found = _verify_file(file)
        if isinstance(found, chain.Intact) and not found.count:
            printing.note(
                f"{printing.plain(str(file))} holds no entry, so that nothing was checked: was the export written?"
            )
    if output == "json":
        printing.json_document(_VERIFICATION, _verification(found))
    elif isinstance(found, chain.Intact):
        printing.text(
            f"{printing.tinted('ok', printing.Tone.GOOD)} {found.count} entries from seq {found.first}"
        )
    else:
        printing.text(
            f"{printing.tinted('broken', printing.Tone.BAD)} at seq {found.seq}: {printing.plain(found.what)}"
        )
    return 0 if isinstance(found, chain.Intact) else 1


@ledger_group.command(short_help="Print the ledger, one entry a line.")
@printing.state_dir_option
@printing.output_option("jsonl")
@click.option(
    "--since", type=click.IntRange(min=1), default=1, help="The first entry to print.", metavar="SEQ"
)
def export(state_dir: pathlib.Path, output: str, since: int) -> None:
    """Print the ledger, one entry a line, also while lastack runs; anyone can check the chain."""
    stdout = sys.stdout.buffer
    with state_access.reading(state_dir, output, "", {}) as reading:
        for line in reading.lines(since - 1):
            with printing.writing():
                stdout.write(line + b"\n")
    with printing.writing():
        stdout.flush()


def _verify_file(file: pathlib.Path) -> chain.Intact | chain.Broken:
    try:
        if str(file) == "-":
            return chain.verify(sys.stdin.buffer)
        with file.open("rb") as lines:
            return chain.verify(lines)
    except OSError as error:
        raise errors.NotReachable(f"{file} cannot be read: {error.strerror}") from error


def _verification(found: chain.Intact | chain.Broken) -> dict[str, object]:
    head = {"headSeq": found.head.seq, "headHash": found.head.hash}
    match found:
        case chain.Intact():
            return {"ok": True, "entries": found.count, "firstSeq": found.first, **head, "problem": None}
        case chain.Broken():
            problem = {"seq": found.seq, "line": found.line, "what": found.what}
            return {"ok": False, "entries": None, "firstSeq": None, **head, "problem": problem}
