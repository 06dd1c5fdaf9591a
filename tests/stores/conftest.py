"""A state directory with its lock held, and instants to write at."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from lastack.stores import ledger, state_dir
from tests.stores import given


@pytest.fixture
def where(tmp_path: pathlib.Path) -> Iterator[state_dir.StateDir]:
    """A new state directory; the test holds its lock."""
    found = state_dir.prepare(tmp_path / "state")
    with state_dir.locked(found):
        yield found


@pytest.fixture
def book(where: state_dir.StateDir) -> Iterator[ledger.SqliteLedger]:
    """An open, empty ledger."""
    found = given.opened(where)
    yield found
    found.close()
