"""Where dangers are asked for, and the table of their figures at the end (DANGER_FIGURES names its file)."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from tests import targets
from tests.dangers import asking


@pytest.fixture(scope="session")
def figures() -> Iterator[asking.Figures]:
    """All measurements of this run."""
    found, begun = asking.Figures(), _commit()
    yield found
    path = os.environ.get("DANGER_FIGURES")
    if path:
        document = {
            "apiVersion": "lastack.dev/v1alpha1",
            "kind": "Dangers",
            # Both are the same unless somebody went on working meanwhile.
            "commits": {"first": begun, "last": _commit()},
            "maxPauseSeconds": asking.MAX_PAUSE.total_seconds(),
            "dangers": found.seconds,
        }
        pathlib.Path(path).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _commit() -> str | None:
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


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
