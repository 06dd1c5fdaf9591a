"""`lastack top --once`: one table, as text or JSON. Called by cli.top."""

from __future__ import annotations

import datetime as dt

from lastack.cli import (
    diagnosis_answers,
    diagnosis_documents,
    diagnosis_looks,
    printing,
    top_documents,
    top_rows,
    top_tables,
)
from lastack.kernel import features
from lastack.sensors import places

_WIDE = 100
"""Columns from which on a table has room for the namespace."""
_MOST_MISSING = 3


def show(wanted: places.Wanted, window: dt.timedelta, output: str) -> int:
    """Watch as diagnose does, print the table; the exit code is that of diagnose."""
    seen = diagnosis_looks.look(wanted, window, features.probe())
    answer = diagnosis_answers.judge(wanted.ports, seen)
    if output == "json":
        printing.json_document("ListenerTable", top_documents.document(answer, seen))
    else:
        _print(answer, wanted)
    return diagnosis_documents.exit_code(answer)


def _print(answer: diagnosis_documents.Answer, wanted: places.Wanted) -> None:
    rows = top_rows.arranged(top_rows.of(answer.items), top_rows.Order.TROUBLE, "")
    width = printing.width()
    several = wanted.all_netns or len(wanted.netns) > 1
    # A narrow table has no room for it beside a whole diagnosis; -o json has it.
    columns = top_tables.layout(width, netns=several and width >= _WIDE)
    if rows:
        printing.text(top_tables.titles(columns))
    for row in rows:
        printing.text(top_tables.line(row, columns, selected=False).rstrip())
    if not rows:
        printing.text("no listeners" if not answer.missing else "nothing could be seen")
    for what, why in answer.missing[:_MOST_MISSING]:
        printing.note(printing.plain(f"not seen: {what}: {why.why}" + (f"; {why.fix}" if why.fix else "")))
    if len(answer.missing) > _MOST_MISSING:
        printing.note(
            f"and {len(answer.missing) - _MOST_MISSING} more that were not seen: -o json has them all"
        )
