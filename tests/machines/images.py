"""The initramfs of a machine: a small Debian, the kernel's modules, and this project with what it imports.

Three archives, one after the other, as the kernel takes them: only the last changes with the project. Called by
tests.machines.
"""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib import metadata

ROOT = pathlib.Path(__file__).resolve().parents[2]
INSIDE = "opt/lastack"
SITE = "opt/site"
WANTED = ("lastack", "hypothesis", "pyroute2", "pytest", "pytest-timeout")
"""The distributions that the sensor suite imports, with all that these need."""
SHOWN = ("operator", "tests", "policies", "runbooks", "pyproject.toml")
MODULES = ("kernel/net", "kernel/drivers/net/veth", "kernel/drivers/net/dummy", "kernel/lib", "kernel/crypto")

PROGRAM = "#!/usr/bin/python3\nfrom lastack.cli import main\nraise SystemExit(main())\n"
UNIT = f"""\
[Unit]
Description=The sensor suite and the labs
After=basic.target
[Service]
Type=simple
Environment=PYTHONPATH=/{INSIDE}/operator:/{INSIDE}:/{SITE} HOME=/root PATH=/usr/sbin:/usr/bin
WorkingDirectory=/{INSIDE}
LimitNOFILE=1024:524288
ExecStart=/usr/bin/python3 -m tests.machines.guests
StandardOutput=null
StandardError=tty
TTYPath=/dev/ttyS0
[Install]
WantedBy=basic.target
"""


def tree(tar: pathlib.Path, cache: pathlib.Path) -> pathlib.Path:
    """The small Debian as an archive of the kernel's kind; made once."""
    made = cache / "tree.cpio"
    if not made.exists() or made.stat().st_mtime < tar.stat().st_mtime:
        with tempfile.TemporaryDirectory(dir=cache) as name:
            folder = pathlib.Path(name)
            _run("tar", "--extract", f"--file={tar}", f"--directory={folder}", "--exclude=./dev/*")
            (folder / "init").symlink_to("lib/systemd/systemd")
            shutil.rmtree(folder / "var/cache/apt", ignore_errors=True)
            shutil.rmtree(folder / "var/lib/apt/lists", ignore_errors=True)
            _pack(folder, made)
    return made


def modules(kernel: pathlib.Path) -> pathlib.Path:
    """The network modules of a kernel as an archive; made once."""
    made = kernel.with_suffix(".cpio")
    if not made.exists():
        (source,) = (*kernel.glob("lib/modules/*"), *kernel.glob("usr/lib/modules/*"))
        with tempfile.TemporaryDirectory(dir=kernel.parent) as name:
            folder = pathlib.Path(name)
            target = folder / "usr/lib/modules" / source.name
            for part in MODULES:
                for found in source.glob(f"{part}*"):
                    place = target / found.relative_to(source)
                    if found.is_dir():
                        shutil.copytree(found, place)
                    else:
                        place.parent.mkdir(parents=True, exist_ok=True)
                        shutil.copy(found, place)
            for listing in source.glob("modules.*"):
                shutil.copy(listing, target)
            _run("depmod", "--basedir", str(folder / "usr"), source.name)
            _pack(folder, made)
    return made


def project(folder: pathlib.Path) -> pathlib.Path:
    """This project as it stands in the work tree, its packages and the unit that starts it, as an archive."""
    inside = folder / "root"
    for name in _tracked():
        target = inside / INSIDE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target, follow_symlinks=False)
    for source, name in installed(WANTED):
        target = inside / SITE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    program = inside / "usr/bin/lastack"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM, encoding="utf-8")
    program.chmod(0o755)
    units = inside / "etc/systemd/system"
    (units / "basic.target.wants").mkdir(parents=True)
    (units / "machine.service").write_text(UNIT, encoding="utf-8")
    (units / "basic.target.wants/machine.service").symlink_to("../machine.service")
    for masked in ("serial-getty@ttyS0.service", "getty@.service", "systemd-tmpfiles-clean.timer"):
        (units / masked).symlink_to("/dev/null")
    made = folder / "project.cpio"
    _pack(inside, made)
    return made


def joined(parts: Iterable[pathlib.Path], image: pathlib.Path) -> None:
    """One file of all archives, each padded as the kernel wants it."""
    with image.open("wb") as out:
        for part in parts:
            with part.open("rb") as archive:
                shutil.copyfileobj(archive, out)
            out.write(bytes(-out.tell() % 512))


def _tracked() -> Iterator[str]:
    """The files that git has or would take, as far as they are still there."""
    said = _run(
        "git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z", *SHOWN
    )
    for name in said.split("\0"):
        if name and (ROOT / name).exists():
            yield name


def installed(names: Iterable[str]) -> Iterator[tuple[pathlib.Path, str]]:
    """The files of these distributions and of all that they need: where they are, and their name in site-packages."""
    todo, seen = list(names), set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # needed on other systems or Pythons only
        needs = [need for need in found.requires or () if "extra ==" not in need]
        todo += [re.split(r"[^A-Za-z0-9._-]", need)[0] for need in needs]
        for file in found.files or ():
            # Programs (../../../bin/x) are left out; what Python compiled is not needed.
            if not str(file).startswith("..") and "__pycache__" not in file.parts and name != "lastack":
                yield pathlib.Path(str(file.locate())), str(file)


def _pack(folder: pathlib.Path, archive: pathlib.Path) -> None:
    fresh = archive.with_suffix(".new")
    with fresh.open("wb") as out:
        listing = subprocess.run(["find", ".", "-print0"], cwd=folder, capture_output=True, check=True)
        words = ["cpio", "--null", "--create", "--format=newc", "--quiet", "--owner=+0:+0"]
        subprocess.run(words, cwd=folder, input=listing.stdout, stdout=out, check=True)
    fresh.rename(archive)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
