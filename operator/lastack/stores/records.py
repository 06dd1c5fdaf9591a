"""Runbook records on the disk: one Markdown file per incident, written anew whenever it changes. Called by loop."""

from __future__ import annotations

import pathlib
import re

from lastack.stores import durable_files, state_dir

_ODD = re.compile(r"[^a-z0-9-]+")


def path_of(where: state_dir.StateDir, incident: str) -> pathlib.Path:
    """Where the record of an incident is, or will be."""
    return where.records_folder / f"{_ODD.sub('-', incident.lower())}.md"


def write(where: state_dir.StateDir, incident: str, text: str) -> pathlib.Path:
    """Replace the record of an incident in one step. Raises StateUnusable when there is no room."""
    path = path_of(where, incident)
    durable_files.make_folder(where.records_folder)
    durable_files.write(path, text.encode())
    return path
