"""`lastack sysctl leases|restore`: the settings that lastack changed and will give back. Called by the script."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Mapping

import click

from lastack import errors
from lastack.cli import printing, state_access
from lastack.engine import absorptions, outcomes, standings
from lastack.engine import leases as due
from lastack.stores import control, readings, state_dir

_GIVEN_BACK_WITHIN_SECONDS = 15.0
_LOOK_EVERY_SECONDS = 0.1


@click.group(name="sysctl")
def sysctl_group() -> None:
    """Leased settings: list them, give them back."""


@sysctl_group.command()
@printing.state_dir_option
@printing.output_option("text", "json")
def leases(state_dir: pathlib.Path, output: str) -> None:
    """List the settings that lastack has changed and not given back."""
    with state_access.reading(state_dir, output, "SysctlLeaseList", {"items": []}) as reading:
        rows = reading.leases()
    if output == "json":
        printing.json_document("SysctlLeaseList", {"items": rows})
    elif not rows:
        printing.note("nothing is leased")
    else:
        headers = ("NAME", "WAS", "NOW", "NAMESPACE", "UNTIL", "INCIDENT")
        printing.table(
            headers,
            [
                (
                    *(str(row[key]) for key in ("name", "original", "observed", "namespace")),
                    _until(row),
                    str(row["incident"]),
                )
                for row in rows
            ],
        )


@sysctl_group.command()
@click.argument("name", required=False)
@printing.state_dir_option
@printing.output_option("text", "json")
def restore(name: str | None, state_dir: pathlib.Path, output: str) -> int:
    """Give leased settings back: all, or the one called NAME. A value that somebody else wrote since is left alone.

    Exit status: 0 nothing is leased any more, 3 something could not be given back.
    """
    where = _existing(state_dir, output)
    try:
        answer = control.ask(where, "restore", {"name": name} if name else {})
        left = _wait(where, name)
        said: list[dict[str, object]] = [
            {"name": name, "given": not left, "text": str(answer.get("text", ""))}
        ]
    except errors.NotReachable:
        said = _restore_alone(where, name)
        left = any(not row["given"] for row in said)
    if output == "json":
        printing.json_document("SysctlRestoreList", {"items": said})
    for row in said:
        if output == "text":
            printing.text(printing.plain(str(row["text"])))
    if not said and output == "text":
        printing.note(f"no lease of {name} is open" if name else "nothing is leased")
    return 3 if left else 0


def _restore_alone(where: state_dir.StateDir, name: str | None) -> list[dict[str, object]]:
    """Give back under the lock, because no lastack runs that could."""
    from lastack import bootstrap  # here, because it wires every adapter, which `--help` does without

    keeper, clock = bootstrap.lease_keeper(), bootstrap.clock()
    said: list[dict[str, object]] = []
    with state_access.writing(where) as book:
        for lease in _chosen(book.folded.leases, name):
            ended = keeper.restore(lease)
            given = False
            if isinstance(ended, outcomes.Succeeded) or due.is_over(ended):
                given = True
                with book.transaction():
                    book.append([absorptions.given_back(lease, ended, clock.now())])
            said.append({"name": lease.name, "given": given, "text": ended.text})
    return said


def _chosen(held: Mapping[tuple[int, str, str], standings.Lease], name: str | None) -> list[standings.Lease]:
    return [lease for lease in held.values() if name in (None, lease.name)]


def _wait(where: state_dir.StateDir, name: str | None) -> bool:
    """Wait until the running lastack has given back what was asked for; True when it has not in time."""
    deadline = time.monotonic() + _GIVEN_BACK_WITHIN_SECONDS
    while True:
        with readings.reading(where) as reading:
            left = [row for row in reading.leases() if name in (None, row["name"])]
        if not left or time.monotonic() >= deadline:
            return bool(left)
        time.sleep(_LOOK_EVERY_SECONDS)


def _existing(path: pathlib.Path, output: str) -> state_dir.StateDir:
    with state_access.reading(path, output, "SysctlRestoreList", {"items": []}):
        return state_dir.existing(path)


def _until(row: Mapping[str, outcomes.Json]) -> str:
    return str(row["until"] or "given back")
