"""The contracts of import-linter in pyproject.toml hold, and still bite."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from tests.architecture import trees

LINT_IMPORTS = pathlib.Path(sys.executable).with_name("lint-imports")


def lint(config: pathlib.Path, sources: pathlib.Path) -> tuple[int, str]:
    """Run the contracts of `config` over the package below `sources`; its exit code and what it said."""
    done = subprocess.run(
        [LINT_IMPORTS, "--no-cache", "--config", config],
        cwd=config.parent,
        env={**os.environ, "PYTHONPATH": str(sources), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_imports_point_inward_and_libraries_stay_at_home() -> None:
    """The program as it is keeps every contract."""
    code, said = lint(trees.ROOT / "pyproject.toml", trees.PACKAGE.parent)
    assert code == 0, said


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("errors", "from lastack.engine import samples", "Imports point inward"),
        ("engine/added", "from lastack import cli", "Imports point inward"),
        ("unplaced", "import math", "Imports point inward"),
        ("engine/added", "import time", "What decides touches no world"),
        ("engine/added", "from os import path", "What decides touches no world"),
        ("policy/added", "import logging", "What decides touches no world"),
        ("runbook/added", "import random", "What decides touches no world"),
        ("ports", "import threading", "A port names values and promises"),
        ("sensors/processes2", "import psutil", "psutil only in hosts and sensors.processes"),
        ("hosts/systemd/added", "import kopf", "kopf and kubernetes only in hosts.kube"),
        ("policy/added", "import pydantic", "pydantic only in policy.schema"),
        ("policy/added", "import yaml", "YAML only where its marks become positions"),
        ("hosts/added", "import jeepney", "D-Bus only in hosts.systemd"),
        ("hosts/added", "import tenacity", "tenacity only in retrying"),
        ("sensors/added", "import structlog", "structlog only in observability"),
        ("lab/added", "import rich", "click and rich only in cli"),
        ("hosts/added", "import sqlite3", "SQLite only in stores"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(
    tmp_path: pathlib.Path, module: str, line: str, contract: str
) -> None:
    """A copy of the package with one wrong import is refused, and by the contract that is meant for it."""
    (tmp_path / "pyproject.toml").write_text((trees.ROOT / "pyproject.toml").read_text())
    package = tmp_path / "operator" / "lastack"
    for source in trees.own_sources():
        copy = tmp_path / source.path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(source.text)
    changed = (package / module).with_suffix(".py")
    for folder in reversed(changed.relative_to(package).parents):
        (package / folder).mkdir(parents=True, exist_ok=True)
        (package / folder / "__init__.py").touch()
    with changed.open("a") as file:
        file.write(f"\n{line}\n")

    code, said = lint(tmp_path / "pyproject.toml", tmp_path / "operator")

    broken = [row for row in said.splitlines() if "BROKEN" in row]
    assert code == 1, said
    assert any(row.startswith(contract) for row in broken), said
