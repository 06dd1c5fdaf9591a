"""What a command left behind: processes by a mark in their environment, and network namespaces by inode."""

from __future__ import annotations

import os
import pathlib
import uuid

_VARIABLE = "LASTACK_TEST_MARK"


def marked_environment() -> tuple[str, dict[str, str]]:
    """A mark, and the environment that carries it to everything that is started below."""
    mark = uuid.uuid4().hex
    return mark, {**os.environ, _VARIABLE: mark}


def processes(mark: str) -> list[str]:
    """Command lines of everything alive that carries the mark."""
    wanted = f"{_VARIABLE}={mark}".encode()
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                found.append(f"{entry.name} {command}")
        except OSError:
            continue  # it ended while we looked
    return found


def namespace_of(pid: int) -> int:
    """The inode of the network namespace of a process."""
    return pathlib.Path(f"/proc/{pid}/ns/net").stat().st_ino


def holders(inode: int) -> list[str]:
    """Who keeps that namespace: processes in it, and mounts of it."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and namespace_of(int(entry.name)) == inode:
                found.append(f"process {entry.name}")
        except OSError:
            continue  # it ended while we looked
    mounts = pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return found + [line for line in mounts if f"net:[{inode}]" in line]
