"""What several files here start from."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Iterator

import pytest

from tests.executors import jvms


@pytest.fixture(scope="session")
def classes() -> Iterator[pathlib.Path]:
    """The classes of the patient JVM; not below /tmp, which some of them hide, nor in a folder of pytest."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="lastack-classes-") as folder:
        jvms.compile_patient(pathlib.Path(folder))
        yield pathlib.Path(folder)
