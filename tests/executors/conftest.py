"""What several files here start from."""

from __future__ import annotations

import pathlib

import pytest

from tests.executors import jvms


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The classes of the patient JVM."""
    folder = tmp_path_factory.mktemp("classes")
    jvms.compile_patient(folder)
    return folder
