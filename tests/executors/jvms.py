"""Real Java virtual machines that stand still in known places; no claims here."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence

import psutil

_SOURCE = pathlib.Path(__file__).parent / "jvm" / "Patient.java"


def compile_patient(folder: pathlib.Path) -> None:
    """Its classes into the folder, readable by everybody."""
    javac = shutil.which("javac")
    assert javac is not None, "these tests start real JVMs: apt-get install openjdk-17-jdk-headless"
    subprocess.run([javac, "-d", folder, _SOURCE], check=True)
    shared = {pathlib.Path("/tmp"), pathlib.Path("/var/tmp")}
    for each in (folder, *folder.parents):
        if shared & set(each.parents):
            each.chmod(each.stat().st_mode | 0o055)


@contextlib.contextmanager
def running(
    classes: pathlib.Path,
    *options: str,
    arguments: Sequence[str] = (),
    around: Sequence[str] = (),
    env: dict[str, str] | None = None,
) -> Iterator[int]:
    """The pid of a JVM that is up; `around` is a command that ends in running another."""
    argv = [*around, "java", "-Xmx128m", *options, "-cp", str(classes), "Patient", *arguments]
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
    ) as process:
        try:
            assert process.stdout is not None
            assert "up\n" == process.stdout.readline()
            yield _java_in(process.pid)
        finally:
            tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            for each in tree:
                each.terminate()  # in order, so that it takes its attach socket away
            _, left = psutil.wait_procs(tree, timeout=5)
            for each in left:
                each.kill()


def _java_in(pid: int) -> int:
    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return next(each.pid for each in tree if each.name() == "java")
