"""Where dangers are asked for, and the table of their figures at the end (DANGER_FIGURES names its file)."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import pytest

from tests import targets
from tests.dangers import asking


@pytest.fixture(scope="session")
def figures() -> Iterator[asking.Figures]:
    """All measurements of this run."""
    found = asking.Figures()
    yield found
    path = os.environ.get("DANGER_FIGURES")
    if path:
        document = {"maxPauseSeconds": asking.MAX_PAUSE.total_seconds(), "dangers": found.seconds}
        pathlib.Path(path).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


@pytest.fixture
def asker(request: pytest.FixtureRequest, tmp_path: pathlib.Path, figures: asking.Figures) -> asking.Asker:
    """Named after the test, without its run."""
    name, _, manner = request.node.name.removeprefix("test_").rstrip("]").partition("[")
    words = [*name.split("_"), *manner.split("-")]
    danger = " ".join(word for word in words if word and not word.isdigit())
    return asking.Asker(danger, tmp_path, figures)


@pytest.fixture(scope="session")
def place() -> Iterator[pathlib.Path]:
    """A folder outside of /tmp, which some of the targets do not see; everybody may enter it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lastack-dangers-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def classes(place: pathlib.Path) -> pathlib.Path:
    """The classes of the Java target."""
    (folder := place / "classes").mkdir()
    return targets.compiled_java(folder)


@pytest.fixture(scope="module")
def beats(place: pathlib.Path, request: pytest.FixtureRequest) -> targets.Beats:
    """A file to beat into; one target at a time uses it."""
    return targets.Beats(place / f"beats-{request.module.__name__.rpartition('.')[2]}")
