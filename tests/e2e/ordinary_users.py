"""Run a program as an ordinary user, also where the interpreter or the clone lies in a folder that is closed to others.

As root a command is wrapped: in a mount namespace of its own the closed folders above the interpreter and the clone are
covered by empty ones that hold only these two; then the user becomes `nobody`. As another user nothing is changed.

    python tests/e2e/ordinary_users.py COMMAND...        (root; what `command` makes)
"""

from __future__ import annotations

import ctypes
import os
import pathlib
import stat
import subprocess
import sys
import tempfile

NOBODY = 65534
_CLONE_NEWNS = 0x20000


def command(*words: str) -> list[str]:
    """The command that runs `words` as an ordinary user."""
    return [*words] if os.geteuid() else [sys.executable, __file__, *words]


def home() -> pathlib.Path:
    """A fresh home of that user; pytest's own temporary folders are closed to others."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lastack-home-"))
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    return folder


def main() -> None:
    """Cover, drop, run."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare: this needs root with CAP_SYS_ADMIN")
    mount("--make-rprivate", "/")
    needed = {pathlib.Path(place).resolve() for place in (sys.prefix, sys.base_prefix, *sys.path[1:])}
    needed.add(pathlib.Path(__file__).resolve().parents[2])
    by_cover: dict[pathlib.Path, list[pathlib.Path]] = {}
    for place in sorted(needed):
        cover = closed_above(place)
        if cover is not None and place.is_dir():
            by_cover.setdefault(cover, []).append(place)
    for cover, places in by_cover.items():
        lift(cover, places)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    os.chdir("/")
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - a shell would only be in the way of signals


def closed_above(place: pathlib.Path) -> pathlib.Path | None:
    """The outermost folder above `place` that others may not enter."""
    closed = [parent for parent in place.parents if not parent.stat().st_mode & stat.S_IXOTH]
    return closed[-1] if closed else None


def lift(cover: pathlib.Path, places: list[pathlib.Path]) -> None:
    """Cover a folder by an open one in which only `places` are."""
    aside = tempfile.mkdtemp(prefix="lastack-aside-")
    mount("--bind", str(cover), aside)
    mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", str(cover))
    for place in places:
        if place.exists():
            continue  # below another one
        place.mkdir(parents=True)
        mount("--bind", str(pathlib.Path(aside, place.relative_to(cover))), str(place))
    subprocess.run(["umount", "--lazy", aside], check=True)
    pathlib.Path(aside).rmdir()


def mount(*words: str) -> None:
    """Mount or bind something, in this mount namespace only."""
    subprocess.run(["mount", *words], check=True)


if __name__ == "__main__":
    main()
