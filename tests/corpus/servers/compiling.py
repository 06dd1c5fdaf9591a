"""Builds a server that has to be compiled or fetched, once for each version of its source. Called by their modules."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

from tests.corpus import shapes

_BUILT = pathlib.Path(__file__).parents[3] / "build" / "corpus"


def folder_of(name: str, *sources: pathlib.Path) -> pathlib.Path:
    """Where the result of these sources belongs: another version has another folder."""
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    return _BUILT / f"{name}-{digest[:12]}"


def compile_into(
    folder: pathlib.Path,
    command: Sequence[str],
    sources: pathlib.Path,
    *,
    install: str,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a compiler, or a program that fetches, in a copy of `sources`.

    {out} in its words is an empty folder, which becomes `folder`. Does nothing when `folder` is there. Raises
    NotBuilt with its last words and what to `install`.
    """
    if folder.exists():
        return
    if shutil.which(command[0]) is None:
        raise shapes.NotBuilt(f"{folder.name}: {command[0]} was not found; {install}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as scratch:
        copied, out = pathlib.Path(scratch, "sources"), pathlib.Path(scratch, "out")
        # A copy: a compiler may leave a lock file beside what it reads.
        shutil.copytree(sources, copied)
        out.mkdir()
        done = subprocess.run(
            [word.replace("{out}", str(out)) for word in command],
            cwd=copied,
            env={**os.environ, **(environment or {})},
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            raise shapes.NotBuilt(f"{folder.name}: {' '.join(command)} failed; {install}\n{said}")
        _keep(out, folder)


def _keep(out: pathlib.Path, folder: pathlib.Path) -> None:
    try:
        out.rename(folder)
    except OSError:
        # Somebody else has built the same meanwhile: one of both is enough.
        if not folder.exists():
            raise
