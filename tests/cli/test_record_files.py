"""`lastack record`: what may be replaced by a recording, and what never."""

from __future__ import annotations

import os
import pathlib
import stat
from collections.abc import Callable, Iterator

import pytest

from tests.cli import told
from tests.scenarios import grounds

pytestmark = [pytest.mark.xdist_group("diagnose"), pytest.mark.timeout(120)]


@pytest.fixture
def ground(tmp_path: pathlib.Path) -> Iterator[grounds.Ground]:
    """An empty network namespace."""
    with grounds.ground(tmp_path / "ground") as found:
        yield found


def identity(path: pathlib.Path) -> tuple[int, ...]:
    """What it is and when it was written; not when a link was last followed."""
    found = path.lstat()
    return found.st_ino, found.st_mode, found.st_rdev, found.st_size, found.st_mtime_ns


@pytest.mark.parametrize("force", [(), ("--force",)], ids=["without force", "with force"])
@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda path: path.mkdir(), "is a folder"),
        (os.mkfifo, "is no ordinary file, and is never replaced"),
        (lambda path: os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3)), "is no ordinary file"),
        (lambda path: path.symlink_to("/dev/null"), "is no ordinary file"),
    ],
    ids=["folder", "pipe", "device", "link"],
)
def test_only_a_file_is_ever_replaced(
    ground: grounds.Ground,
    tmp_path: pathlib.Path,
    made: Callable[[pathlib.Path], None],
    said: str,
    force: tuple[str, ...],
) -> None:
    """Exit 2, and it stays what it was: what replaces a file would take /dev/null away from the host."""
    path = tmp_path / "folder" / "r"
    path.parent.mkdir()
    made(path)
    before = identity(path)
    refused = told.lastack("record", path, "--netns", str(ground.pid), "--for", "0", *force)
    assert (2, "", before) == (refused.code, refused.out, identity(path))
    assert said in refused.err
    assert [path] == list(path.parent.iterdir())
