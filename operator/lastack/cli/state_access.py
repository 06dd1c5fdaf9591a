"""How commands reach the state directory: they read beside the writer, ask it, or write under its lock themselves.

Called by cli's ledger, incidents, sysctl and pause.
"""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from lastack import errors
from lastack.cli import printing
from lastack.stores import ledger, readings, state_dir


@contextlib.contextmanager
def reading(
    path: pathlib.Path, output: str, kind: str, nothing: Mapping[str, Any]
) -> Iterator[readings.Reading]:
    """Read the ledger below `path`; errors are told as in `told`."""
    with told(output, kind, nothing), readings.reading(state_dir.existing(path)) as found:
        yield found


@contextlib.contextmanager
def told(output: str, kind: str, nothing: Mapping[str, Any]) -> Iterator[None]:
    """With `-o json` an error is a document too: `nothing`, and why in `missing`."""
    try:
        yield
    except errors.WorldError as error:
        if output == "json":
            printing.json_document(kind, {**nothing, "missing": [{"why": error.message, "fix": error.fix}]})
        raise


@contextlib.contextmanager
def writing(where: state_dir.StateDir) -> Iterator[ledger.SqliteLedger]:
    """Write to the ledger while no lastack runs. Raises StateHeld when one does after all."""
    from lastack import bootstrap  # here, because it wires every adapter, which `--help` does without

    with state_dir.locked(where):
        book = ledger.open_ledger(where, bootstrap.clock().now(), keep_free_bytes=0)
        try:
            for notice in book.notices:
                printing.note(notice)
            yield book
        finally:
            book.close()
