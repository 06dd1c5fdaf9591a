"""`lastack status`: what a running lastack sees of its targets, and why it does or does not act."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import click

from lastack import errors
from lastack.cli import printing, state_access
from lastack.stores import control, readings
from lastack.stores import state_dir as state_dirs

_TONES = {
    "critical": printing.Tone.BAD,
    "warning": printing.Tone.WARN,
    "none": printing.Tone.GOOD,
}


@click.command()
@printing.state_dir_option
@printing.output_option("text", "json")
@click.pass_context
def status(context: click.Context, state_dir: pathlib.Path, output: str) -> None:
    """Show what lastack sees, and why it does or does not act.

    Exit status: 0 every member is well, 1 one is not, 3 no lastack runs on this state directory, or it sees none
    of its targets.
    """
    where = _existing(state_dir, output)
    try:
        document: Mapping[str, Any] = {"running": True, **control.ask(where, "status", {})}
    except errors.NotReachable as problem:
        if output == "json":
            printing.json_document("Status", {**_asleep(where), "running": False})
        else:
            printing.note(f"{problem.message}; this is what its ledger says")
            held = _asleep(where)
            _print_holds(held)
            if not (held["paused"] or held["leases"] or held["diskFull"]):
                printing.text("nothing is paused, and no setting is leased")
        context.exit(3)
    if output == "json":
        body = {name: value for name, value in document.items() if name not in ("apiVersion", "kind")}
        printing.json_document("Status", body)
    else:
        _print_holds(document)
        for target in document["targets"]:
            _print_target(target)
    context.exit(_exit_code(document["targets"]))


def _exit_code(targets: Sequence[Mapping[str, Any]]) -> int:
    if any(member["severity"] != "none" for target in targets for member in target["members"]):
        return 1
    return 3 if targets and all(target["missing"] for target in targets) else 0


def _existing(path: pathlib.Path, output: str) -> state_dirs.StateDir:
    with state_access.reading(path, output, "Status", {"running": False, "targets": []}):
        return state_dirs.existing(path)


def _asleep(where: state_dirs.StateDir) -> Mapping[str, Any]:
    """What can be said while nothing runs: pauses, leases and open incidents stay in force."""
    from lastack import bootstrap  # here, because it wires every adapter, which `--help` does without

    with readings.reading(where) as reading:
        return bootstrap.standing_document(reading.folded())


def _print_holds(document: Mapping[str, Any]) -> None:
    pause = document["paused"]
    if pause:
        until = pause["until"] or "until resumed"
        printing.text(
            f"{printing.tinted('paused', printing.Tone.WARN)} by {pause['actor']}, {until}: {pause['reason']}"
        )
    if document["diskFull"]:
        printing.text(
            f"{printing.tinted('disk full', printing.Tone.BAD)}: {printing.plain(document['diskFull'])}"
        )
    for lease in document["leases"]:
        until = lease["until"] or "until it is given back"
        printing.text(f"leased {lease['name']} = {lease['value']} (was {lease['original']}), {until}")
    if not document["targets"] and document.get("running"):
        printing.text("no policy is in force")


def _print_target(target: Mapping[str, Any]) -> None:
    mode = printing.tinted(target["mode"], printing.Tone.STRONG)
    printing.text(f"{printing.plain(target['name'])}  mode {mode}")
    if target["missing"]:
        printing.text(
            f"  {printing.tinted('not seen', printing.Tone.BAD)}: {printing.plain(target['missing'])}"
        )
    rows = [
        (
            f"  {member['name']}",
            printing.Cell(member["diagnosis"], _TONES.get(member["severity"])),
            member["state"],
            member["summary"],
        )
        for member in target["members"]
    ]
    if rows:
        printing.table(("  member", "diagnosis", "state", "what is seen"), rows)
    else:
        printing.text("  no member is there")
    incident = target["incident"]
    if incident:
        printing.text(
            f"  incident {incident['id']}: {incident['diagnosis']}, {incident['phase']} for {incident['for']}"
        )
    for line in target["running"]:
        printing.text(f"  running: {printing.plain(line)}")
    for line in target["notActing"]:
        printing.text(f"  not acting: {printing.plain(line)}")
