"""Facts as they are written to the ledger, one after the other, for people who watch: for demo, run and status.

A fact is a time, a word (the past participle of its kind), and its sentence, wrapped under itself.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import textwrap
from collections.abc import Mapping

from lastack.cli import printing
from lastack.engine import facts
from lastack.runbook import entries

_Kind = facts.FactKind
_TONES: dict[facts.FactKind, printing.Tone] = {
    _Kind.INCIDENT_OPENED: printing.Tone.BAD,
    _Kind.INCIDENT_FIRED: printing.Tone.BAD,
    _Kind.INCIDENT_EXHAUSTED: printing.Tone.BAD,
    _Kind.MEMBER_SICKENED: printing.Tone.BAD,
    _Kind.ACTION_FAILED: printing.Tone.BAD,
    _Kind.POLICY_REJECTED: printing.Tone.BAD,
    _Kind.INCIDENT_ESCALATED: printing.Tone.WARN,
    _Kind.INCIDENT_ABANDONED: printing.Tone.WARN,
    _Kind.MEMBER_RESTARTED: printing.Tone.WARN,
    _Kind.EVIDENCE_MISSED: printing.Tone.WARN,
    _Kind.NOTIFICATION_RAISED: printing.Tone.WARN,
    _Kind.ACTION_REFUSED: printing.Tone.WARN,
    _Kind.ACTION_INTERRUPTED: printing.Tone.WARN,
    _Kind.CLOCK_STEPPED: printing.Tone.WARN,
    _Kind.SYSCTL_YIELDED: printing.Tone.WARN,
    _Kind.ACTION_PLANNED: printing.Tone.ACT,
    _Kind.ACTION_SIMULATED: printing.Tone.ACT,
    _Kind.SYSCTL_LEASED: printing.Tone.ACT,
    _Kind.EVIDENCE_STORED: printing.Tone.ACT,
    _Kind.ACTION_SUCCEEDED: printing.Tone.GOOD,
    _Kind.MEMBER_VERIFIED: printing.Tone.GOOD,
    _Kind.INCIDENT_RESOLVED: printing.Tone.GOOD,
    _Kind.SYSCTL_RESTORED: printing.Tone.GOOD,
}
"""What is not here is housekeeping, and quiet."""

_TIME_WIDTH = 7
_WORD_WIDTH = 11
_GAP = "  "


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One event. `at` is the time since the beginning of what is shown."""

    at: dt.timedelta
    word: str
    tone: printing.Tone
    text: str


def row_of(fact: facts.Fact, at: dt.timedelta) -> Row:
    """The fact as it is shown; a refusal with its code, an act with its stage, a sickness with its name."""
    tone = _TONES.get(fact.kind, printing.Tone.QUIET)
    stage = f"{fact.stage}: " if fact.stage else ""
    reason = f"{fact.reason}: " if fact.reason else ""
    return Row(at, word_of(fact.kind), tone, f"{stage}{reason}{_text(fact)}")


def _text(fact: facts.Fact) -> str:
    diagnosis, files = fact.data.get("diagnosis"), fact.data.get("files")
    if isinstance(diagnosis, str):
        return (
            f"{diagnosis}, {fact.data.get('severity')}, {fact.data.get('confidence')} confidence: {fact.text}"
        )
    if fact.kind is _Kind.EVIDENCE_STORED and isinstance(files, tuple):
        # Its own text is that of the act which took it, one row above.
        sizes = [file.get("bytes") for file in files if isinstance(file, Mapping)]
        total = sum(size for size in sizes if isinstance(size, int))
        return f"{len(files)} files of evidence of {fact.member}, {total} bytes"
    return fact.text


def word_of(kind: facts.FactKind) -> str:
    """The past participle: `resolved` of incident.resolved."""
    return kind.value.partition(".")[2]


def show(row: Row) -> None:
    """Print one row, as wide as the terminal, on stdout."""
    indent = _TIME_WIDTH + len(_GAP) + _WORD_WIDTH + len(_GAP)
    lines = textwrap.wrap(printing.plain(row.text), printing.width() - indent, break_on_hyphens=False) or [""]
    time = f"{row.at.total_seconds():.1f} s".rjust(_TIME_WIDTH)
    word = row.word.ljust(_WORD_WIDTH)
    quiet = row.tone is printing.Tone.QUIET
    shown = [printing.tinted(line, row.tone) if quiet else line for line in lines]
    head = printing.tinted(time, printing.Tone.QUIET) + _GAP + printing.tinted(word, row.tone) + _GAP
    printing.text(head + shown[0])
    for line in shown[1:]:
        printing.text(" " * indent + line)


def json_row(fact: facts.Fact, at: dt.timedelta) -> dict[str, object]:
    """The fact as one JSON object: the fields of its ledger entry (without its place there), and `seconds`."""
    body = entries.body_of(0, entries.settled(fact), "")
    kept = {name: value for name, value in body.items() if name not in {"v", "seq", "prev"}}
    return {"seconds": f"{at.total_seconds():.3f}", **kept}
