"""The tables of docs/reference/corpus.md, from the committed JSON of the last runs. Called by tests.docs.generated."""

import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from tests.corpus import conditions, servers, shapes

FIGURES = pathlib.Path(__file__).parents[2] / "docs" / "reference" / "corpus.json"
"""What the last `make corpus` found, each row with the commit that it was made at."""

Row = Mapping[str, Any]


def rows() -> list[dict[str, Any]]:
    """Every row of the committed JSON."""
    found = json.loads(FIGURES.read_text(encoding="utf-8"))["cells"]
    assert isinstance(found, list)
    return found


def stories() -> str:
    """What is done in each condition, and what may be said about it."""
    lines = ["| condition | what happens | right answers |", "|---|---|---|"]
    lines += [f"| `{each.name}` | {each.story} | {_right(each)} |" for each in conditions.ALL]
    return "\n".join(lines)


def summary() -> str:
    """How many verdicts there are, and how many of them were wrong."""
    found = rows()
    wrong = [row for row in found if row["faults"]]
    unknown = sum(1 for row in found if row["code"] == "unknown")
    told = (
        f"{len(found)} verdicts on {len({row['server'] for row in found})} servers, "
        f"{sum(1 for row in found if row['sick'])} of them sick. Wrong disruptive verdicts: "
        f"{sum(row['disruptive'] for row in found)}. Wrong in any way: {len(wrong)}. "
        f"`unknown`, with the missing signal: {unknown}."
    )
    listed = [f"- `{row['server']}`, `{row['condition']}`: {'; '.join(row['faults'])}" for row in wrong]
    return "\n".join([told, "", *listed]).strip()


def matrix() -> str:
    """Condition by server: code, confidence and cause; `not asked` where no run was kept."""
    found = {(row["server"], row["condition"]): row for row in rows()}
    return "\n".join(
        [
            "| condition | " + " | ".join(each.name for each in servers.ALL) + " |",
            "|---" * (len(servers.ALL) + 1) + "|",
            *(_line(condition, found) for condition in conditions.ALL),
        ]
    )


def _line(condition: shapes.Condition, found: Mapping[tuple[str, str], Row]) -> str:
    cells = [
        _cell(found.get((server.name, condition.name))) if conditions.applies(server, condition) else ""
        for server in servers.ALL
    ]
    return f"| `{condition.name}` | " + " | ".join(cells) + " |"


def _cell(row: Row | None) -> str:
    if row is None:
        return "not asked"
    words = [row["code"]]
    if row["code"] == "unknown":
        words.append(f"missing {', '.join(row['missing'])}")
    elif row["severity"] != "none":
        words.append(row["confidence"])
    if row["cause"] not in {None, "unknown"}:
        words.append(row["cause"])
    told = ", ".join(words)
    return f"**wrong**: {told}" if row["faults"] else told


def _right(condition: shapes.Condition) -> str:
    expects = condition.expects
    codes = sorted(expects.codes) or ["accept-stall or handler-stall, by who accepts"]
    words = [" or ".join(codes)]
    if expects.unless_missing:
        words.append(f"unknown that names {' or '.join(sorted(expects.unless_missing))}")
    if expects.causes:
        words.append(f"cause {' or '.join(sorted(expects.causes))}, or unknown")
    return "; ".join(words)


def merged(kept: Iterable[Row], made: Iterable[Row]) -> list[dict[str, Any]]:
    """The rows of a run in place of older ones, in the order of the table; cells that are gone are dropped.

    A void row replaces nothing: it proves nothing.
    """
    proven = [row for row in made if not row["void"]]
    found = {(row["server"], row["condition"]): dict(row) for row in (*kept, *proven)}
    order = [(cell.server.name, cell.condition.name) for cell in conditions.cells(servers.ALL)]
    return [found[name] for name in order if name in found]
