"""`lastack incidents list|show|report`: what happened, from the ledger alone. Called by the `lastack` script."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import click

from lastack.cli import printing, state_access
from lastack.engine import outcomes
from lastack.runbook import entries, render

Row = Mapping[str, outcomes.Json]

_TONES = {
    "verified": printing.Tone.GOOD,
    "recovered-unaided": printing.Tone.GOOD,
    "inconclusive": printing.Tone.WARN,
    "abandoned": printing.Tone.WARN,
    "ineffective": printing.Tone.BAD,
    "exhausted": printing.Tone.BAD,
}


@click.group(name="incidents")
def incidents_group() -> None:
    """What happened: every incident, its entries and its record."""


@incidents_group.command(name="list")
@printing.state_dir_option
@printing.output_option("text", "json")
def list_(state_dir: pathlib.Path, output: str) -> None:
    """List every incident, oldest first."""
    with state_access.reading(state_dir, output, "IncidentList", {"items": []}) as reading:
        rows = reading.incidents()
    if output == "json":
        printing.json_document("IncidentList", {"items": rows})
        return
    if not rows:
        printing.note("no incident so far")
        return
    headers = ("ID", "OPENED (UTC)", "DIAGNOSIS", "OUTCOME")
    printing.table(
        headers, [(str(row["id"]), _time(row["openedAt"]), str(row["diagnosis"]), _end(row)) for row in rows]
    )


@incidents_group.command()
@click.argument("incident", metavar="ID")
@printing.state_dir_option
@printing.output_option("text", "json")
def show(incident: str, state_dir: pathlib.Path, output: str) -> None:
    """Show one incident with every entry that tells of it."""
    with state_access.reading(state_dir, output, "Incident", {"id": incident, "entries": []}) as reading:
        row, news = reading.incident(incident)
    if output == "json":
        printing.json_document("Incident", {**row, "entries": [entries.to_json(entry) for entry in news]})
        return
    members = row["members"] if isinstance(row["members"], tuple) else ()
    printing.text(
        f"{printing.tinted(printing.plain(str(row['id'])), printing.Tone.STRONG)}  {row['diagnosis']}"
    )
    printing.text(f"target {printing.plain(str(row['target']))}, policy {printing.plain(str(row['policy']))}")
    printing.text(f"members {printing.plain(', '.join(str(name) for name in members))}")
    end = _end(row)
    printing.text(
        f"{_time(row['openedAt'])} to {_time(row['closedAt'])}: {printing.tinted(end.text, end.tone)}"
    )
    printing.text()
    printing.table(
        ("SEQ", "UTC", "KIND", "WHAT"),
        [(str(e.seq), f"{e.fact.at.wall:%H:%M:%S}", str(e.fact.kind), _sentence(e)) for e in news],
    )


@incidents_group.command(short_help="Print the runbook record of one incident.")
@click.argument("incident", metavar="ID")
@printing.state_dir_option
@printing.output_option("md", "text", "json")
def report(incident: str, state_dir: pathlib.Path, output: str) -> None:
    """Print the runbook record of one incident, rendered from its entries."""
    with state_access.reading(
        state_dir, output, "IncidentReport", {"id": incident, "markdown": None}
    ) as reading:
        row, news = reading.incident(incident)
    record = render.record(news)
    if output == "json":
        printing.json_document("IncidentReport", {"id": row["id"], "incident": row, "markdown": record})
    else:
        printing.text(record.rstrip("\n"))


def _end(row: Row) -> printing.Cell:
    outcome = row["outcome"]
    if outcome is None:
        return printing.Cell(f"open: {row['phase']}", printing.Tone.WARN)
    return printing.Cell(str(outcome), _TONES.get(str(outcome)))


def _sentence(entry: entries.Entry) -> str:
    reason = f"{entry.fact.reason}: " if entry.fact.reason else ""
    return f"{reason}{entry.fact.text}"


def _time(value: outcomes.Json) -> str:
    return str(value).replace("T", " ").removesuffix("Z") if value else "now"
