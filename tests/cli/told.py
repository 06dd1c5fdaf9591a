"""Runs of the program that look at something, with their documents held to the contract; no claims here."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
from typing import Any

from tests.contracts import diagnosis_schema
from tests.scenarios import grounds


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """How a run of the program ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Its JSON, which has to be what the contract promises."""
        found: dict[str, Any] = json.loads(self.out)
        assert [] == diagnosis_schema.problems(found, self.code)
        return found


def lastack(*words: str | pathlib.Path) -> Said:
    """Run the program."""
    done = subprocess.run(
        [grounds.PROGRAM, *map(str, words)], check=False, capture_output=True, text=True, timeout=50
    )
    assert "Traceback" not in done.stderr
    return Said(done.returncode, done.stdout, done.stderr)
