"""Runbook records on the disk: one Markdown file per incident, written anew whenever it changes. Called by bootstrap.

The pages that a record links to lie beside it, so that a state directory that was copied away is complete.
"""

from __future__ import annotations

import contextlib
import pathlib
import re

from lastack import shipped
from lastack.stores import durable_files, state_dir

_ODD = re.compile(r"[^a-z0-9-]+")
_LINK = re.compile(r"\((?:\.\./runbooks/)?([a-z-]+)\.md\)")


def path_of(where: state_dir.StateDir, incident: str) -> pathlib.Path:
    """Where the record of an incident is, or will be."""
    return where.records_folder / f"{_ODD.sub('-', incident.lower())}.md"


def write(where: state_dir.StateDir, incident: str, text: str) -> pathlib.Path:
    """Replace the record of an incident in one step. Raises StateUnusable when there is no room."""
    path = path_of(where, incident)
    durable_files.make_folder(where.records_folder)
    durable_files.write(path, text.encode())
    pages: dict[str, str] = {}
    _collect(text, pages)
    for code, page in pages.items():
        _place_page(where, code, page.encode())
    return path


def _collect(text: str, pages: dict[str, str]) -> None:
    """The shipped pages that a text links to, and those that they link to."""
    for code in _LINK.findall(text):
        if code not in pages:
            # A diagnosis may have no page yet.
            with contextlib.suppress(FileNotFoundError):
                pages[code] = shipped.page_text(code)
                _collect(pages[code], pages)


def _place_page(where: state_dir.StateDir, code: str, content: bytes) -> None:
    path = where.pages_folder / f"{code}.md"
    durable_files.make_folder(where.pages_folder)
    if not path.exists() or path.read_bytes() != content:
        durable_files.write(path, content)
