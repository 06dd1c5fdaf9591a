"""What is fetched for Express, and what is said when it cannot be. apt-get here is a program of four lines."""

from __future__ import annotations

import pathlib
import stat
import textwrap

import pytest

from tests.corpus import shapes
from tests.corpus.servers import compiling, express

PACKAGE = """
    mkdir -p made/DEBIAN made/usr/share/nodejs/express
    printf 'Package: node-express\\nVersion: 4\\nArchitecture: all\\nMaintainer: us\\nDescription: a stand-in\\n' \\
        >made/DEBIAN/control
    echo "{module}" >made/usr/share/nodejs/express/index.js
    dpkg-deb -b made node-express_4_all.deb
"""
"""A Debian package with one module in it."""

WORKING = "if [ $1 = download ]; then" + PACKAGE.format(module="module.exports = 4") + "fi"
ABSENT = "echo E: Unable to locate package node-accepts; exit 100"


@pytest.fixture
def programs(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder of programs with nothing but a shell."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "bash").symlink_to("/bin/bash")
    return folder


def fetch(programs: pathlib.Path, folder: pathlib.Path, apt_get: str | None, *, beside: str) -> None:
    """As the corpus does, with an apt-get that writes down what it was asked, or none."""
    if apt_get is not None:
        asked = f'echo "$1" >>{programs}/asked'
        program = programs / "apt-get"
        program.write_text(f"#!/bin/sh\n{asked}\n{textwrap.dedent(apt_get)}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    compiling.compile_into(
        folder,
        express.FETCH,
        express.HERE,
        install=express.INSTALL,
        environment={"PATH": f"{programs}{beside}"},
    )


def asked(programs: pathlib.Path) -> list[str]:
    """Of apt-get, call by call."""
    return (programs / "asked").read_text().split()


def test_modules_lie_where_node_is_told_to_look(tmp_path: pathlib.Path, programs: pathlib.Path) -> None:
    """Unpacked, without an update of lists that are good, and once."""
    for _ in range(2):
        fetch(programs, tmp_path / "express", WORKING, beside=":/usr/bin:/bin")
    found = [str(path.relative_to(tmp_path / "express")) for path in (tmp_path / "express").rglob("*.js")]
    assert ["usr/share/nodejs/express/index.js"] == found
    assert ["download"] == asked(programs)


def test_old_lists_are_renewed_when_a_download_fails(tmp_path: pathlib.Path, programs: pathlib.Path) -> None:
    """Also where another source fails meanwhile, as one beside Debian's may."""
    apt_get = f"""
        if [ $1 = update ]; then touch {programs}/lists; exit 100; fi
        if [ ! -e {programs}/lists ]; then {ABSENT}; fi
    """
    fetch(programs, tmp_path / "express", textwrap.dedent(apt_get) + WORKING, beside=":/usr/bin:/bin")
    assert ["download", "update", "download"] == asked(programs)


@pytest.mark.parametrize(
    ("apt_get", "beside", "why"),
    [
        (None, "", "apt-get was not found"),
        (ABSENT, ":/usr/bin:/bin", "Unable to locate package node-accepts"),
        (PACKAGE.format(module="require('ms')"), ":/usr/bin:/bin", "Cannot find module 'ms'"),
    ],
    ids=["no apt-get", "a package cannot be had", "a package is not enough"],
)
def test_who_cannot_fetch_is_told_why_and_what_to_do(
    tmp_path: pathlib.Path, programs: pathlib.Path, apt_get: str | None, beside: str, why: str
) -> None:
    """And nothing half-fetched stays."""
    with pytest.raises(shapes.NotBuilt) as problem:
        fetch(programs, tmp_path / "express", apt_get, beside=beside)
    assert (True, True) == (why in str(problem.value), express.INSTALL in str(problem.value)), problem.value
    assert [programs] == [*tmp_path.iterdir()]
