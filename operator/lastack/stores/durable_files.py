"""Files that are whole and on the disk, or not there at all. Called by evidence, records and day_files."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
from collections.abc import Iterator

from lastack import errors

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def make_folder(folder: pathlib.Path) -> None:
    """Make a folder that only its owner can enter, if it is not there; its name is on the disk afterwards."""
    with translated(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)


def write(path: pathlib.Path, content: bytes) -> None:
    """Replace or make `path` in one step, readable by its owner only, content and name synced to the disk.

    Raises StateUnusable when there is no room; what stood there before stands there still.
    """
    beside = path.with_name(f".{path.name}.new")
    with translated(path):
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            sync_folder(path.parent)
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                beside.unlink()
            raise


def sync_folder(folder: pathlib.Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def translated(path: pathlib.Path) -> Iterator[None]:
    """Say in our own errors what the file system said."""
    try:
        yield
    except PermissionError as error:
        raise errors.NotPermitted(
            f"{path} cannot be used: {error.strerror}",
            fix="run as root, or as the user who owns the state directory",
        ) from error
    except OSError as error:
        if error.errno in _FULL:
            raise errors.StateUnusable(
                f"no room to write {path}: {error.strerror}",
                fix=f"free some space on the file system of {path.parent}",
            ) from error
        raise errors.StateUnusable(f"{path} cannot be used: {error.strerror}") from error
