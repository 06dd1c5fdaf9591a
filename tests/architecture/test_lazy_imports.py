"""`lastack --help` answers at once because the heavy libraries stay on disk."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

HEAVY = ("aiohttp", "kopf", "kubernetes", "pydantic", "rich")

PROGRAM = """
import sys
from lastack import cli
code = cli.main({arguments!r})
print("imported:", *sorted(set({heavy!r}) & set(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("arguments", [("--help",), ("--version",)])
def test_help_imports_no_heavy_library(arguments: tuple[str, ...]) -> None:
    """kopf alone costs more than a second, and it imports kubernetes whenever that is installed."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(arguments=arguments, heavy=HEAVY)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "imported:\n") == (done.returncode, done.stderr)
    assert done.stdout


def test_the_heavy_libraries_are_there_to_be_avoided() -> None:
    """If one were not installed, the claim above would hold without meaning anything."""
    absent = [name for name in HEAVY if importlib.util.find_spec(name) is None]
    assert [] == absent
