"""The state directory: where everything lies, who may write, and how much room is left. Called by bootstrap and cli.

The process that holds the lock is the only writer. The kernel drops the lock with the process, however it ends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import pathlib
import stat
import sys
from collections.abc import Iterator

from lastack import errors
from lastack.stores import durable_files

_LONGEST_HOLDER = 400


@dataclasses.dataclass(frozen=True, slots=True)
class StateDir:
    """The layout below one directory."""

    path: pathlib.Path

    @property
    def database(self) -> pathlib.Path:
        """The ledger, the authority."""
        return self.path / "ledger.sqlite"

    @property
    def day_folder(self) -> pathlib.Path:
        """The ledger as daily JSON lines, derived."""
        return self.path / "ledger"

    @property
    def evidence_folder(self) -> pathlib.Path:
        """One folder per incident."""
        return self.path / "evidence"

    @property
    def records_folder(self) -> pathlib.Path:
        """One Markdown record per incident."""
        return self.path / "records"

    @property
    def pages_folder(self) -> pathlib.Path:
        """The runbook pages that records link to."""
        return self.path / "runbooks"

    @property
    def lock_file(self) -> pathlib.Path:
        """Held by the writer; its text names it."""
        return self.path / "lock"

    @property
    def control_socket(self) -> pathlib.Path:
        """Where the writer takes requests."""
        return self.path / "control.sock"

    def room(self) -> int:
        """Bytes that can still be written on this file system."""
        with durable_files.translated(self.path):
            figures = os.statvfs(self.path)
        return figures.f_bavail * figures.f_frsize


def prepare(path: pathlib.Path) -> StateDir:
    """The directory, made if it is not there; ours alone to write.

    Raises StateUnusable when it is no directory, or others could change what is in it; NotPermitted when it cannot
    be made or entered.
    """
    found = StateDir(path.absolute())
    with durable_files.translated(found.path):
        found.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = found.path.stat()
    _check_owner(found.path, status)
    for folder in (found.day_folder, found.evidence_folder, found.records_folder):
        durable_files.make_folder(folder)
    return found


def existing(path: pathlib.Path) -> StateDir:
    """The directory for reading. Raises NotReachable when nothing was ever kept there."""
    found = StateDir(path.absolute())
    try:
        known = found.database.exists()
    except PermissionError:
        raise errors.NotPermitted(
            f"{found.path} cannot be read", fix="run as root, or as the user who owns the state directory"
        ) from None
    if not known:
        raise errors.NotReachable(
            f"no ledger in {found.path}", fix=f"has `lastack run` run with --state-dir {found.path}?"
        )
    return found


@contextlib.contextmanager
def locked(where: StateDir) -> Iterator[None]:
    """Hold the lock while the block runs. Raises StateHeld, which names the holder, when another process has it."""
    with durable_files.translated(where.lock_file):
        descriptor = os.open(where.lock_file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = holder_of(where) or "a process that did not say which"
            raise errors.StateHeld(
                f"{where.path} is held by {holder}", fix="end that process first, or use another --state-dir"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {' '.join(sys.argv)}\n".encode(errors="replace"), 0)
        yield
    finally:
        os.close(descriptor)


def holder_of(where: StateDir) -> str | None:
    """Who holds the lock or held it last, as "pid 4711 (lastack run)"; None when nobody ever did."""
    try:
        with where.lock_file.open("rb") as file:
            text = file.read(_LONGEST_HOLDER).decode(errors="replace")
    except OSError:
        return None
    pid, _, command = text.strip().partition(" ")
    return f"pid {pid} ({command})" if pid.isdigit() else None


def _check_owner(path: pathlib.Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise errors.StateUnusable(
            f"{path} belongs to user {status.st_uid}, and this process is user {os.geteuid()}",
            fix="run as that user, or use another --state-dir",
        )
    if stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        raise errors.StateUnusable(
            f"{path} can be written by others (mode {stat.S_IMODE(status.st_mode):04o}); expected 0700",
            fix=f"chmod 0700 {path}",
        )
