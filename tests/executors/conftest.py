"""What several files here start from."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Iterator

import pytest

from tests.executors import jvms


@pytest.fixture(scope="session")
def classes() -> Iterator[pathlib.Path]:
    """The classes of the patient JVM; not below pytest's own folder, which each session closes to other users again."""
    with tempfile.TemporaryDirectory() as folder:
        jvms.compile_patient(pathlib.Path(folder))
        yield pathlib.Path(folder)
