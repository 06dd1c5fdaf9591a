"""What an ordinary user is told where only root may read."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest

pytestmark = [
    pytest.mark.xdist_group("commands"),
    pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become somebody else"),
]

AS_NOBODY = """
import os, sys
from lastack import bootstrap, cli
from lastack.cli import incidents, ledger, pause, status, sysctl
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.argv = ["lastack", *sys.argv[1:]]
sys.exit(cli.main())
"""


@pytest.fixture
def closed() -> Iterator[pathlib.Path]:
    """A folder that everybody reaches and only root may read, as /var/lib/lastack is."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="lastack-closed-"))
    (place / "export.jsonl").touch(mode=0o600)
    yield place
    shutil.rmtree(place)


@pytest.mark.parametrize(
    "words", ["status", "incidents list", "ledger verify", "sysctl leases", "pause --reason x", "resume"]
)
def test_a_state_directory_of_root_is_not_permitted(words: str, closed: pathlib.Path) -> None:
    """Exit 3, whose it is, and a document: the command line is right, the rights are missing."""
    told = [*words.split(), "-o", "json", "--state-dir", str(closed)]
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *told], check=False, capture_output=True, text=True
    )
    assert (3, True) == (done.returncode, "next step: run as " in done.stderr), done.stderr
    assert json.loads(done.stdout)["missing"][0]["why"]


def test_an_export_of_root_is_not_permitted(closed: pathlib.Path) -> None:
    """The same for a file that is given."""
    closed.chmod(0o755)
    told = ["ledger", "verify", str(closed / "export.jsonl"), "-o", "json"]
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *told], check=False, capture_output=True, text=True
    )
    assert 3 == done.returncode, done.stderr
    assert "cannot be read: Permission denied" in json.loads(done.stdout)["missing"][0]["why"]
