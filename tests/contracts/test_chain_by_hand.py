"""The chain of a real exported ledger, recomputed in ten lines that import nothing of ours."""

import hashlib
import json
import pathlib
import subprocess
import sys

import pytest

PROGRAM = """
import pathlib, sys
from lastack.stores import ledger, state_dir
from tests.runbook import stories
where = state_dir.prepare(pathlib.Path(sys.argv[1]))
with state_dir.locked(where):
    book = ledger.open_ledger(where, stories.START, keep_free_bytes=0)
    for fact in [*stories.STALL, stories.LEASED, stories.GIVEN_BACK]:
        with book.transaction():
            book.append([fact])
    book.checkpoint(stories.later(600))
    book.close()
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What `lastack ledger export` prints of a ledger with an incident in it."""
    place = str(tmp_path_factory.mktemp("state") / "lastack")
    subprocess.run([sys.executable, "-c", PROGRAM, place], check=True)
    program = pathlib.Path(sys.executable).with_name("lastack")
    return subprocess.run(
        [program, "ledger", "export", "--state-dir", place], check=True, capture_output=True
    ).stdout


def holds(exported: bytes) -> int:
    """How many entries follow each other from the first ever; an AssertionError names the first that does not."""
    prev, count = "sha256:" + "0" * 64, 0
    for line in exported.decode().splitlines():
        entry = json.loads(line)
        said = entry.pop("hash")
        body = json.dumps(entry, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        assert said == "sha256:" + hashlib.sha256(body.encode()).hexdigest(), entry["seq"]
        assert (count + 1, prev) == (entry["seq"], entry["prev"]), entry["seq"]
        prev, count = said, count + 1
    return count


def test_anyone_can_check_the_chain(exported: bytes) -> None:
    """With any JSON reader and any SHA-256."""
    assert 16 == holds(exported)


def test_anyone_can_see_a_change(exported: bytes) -> None:
    """One word of one entry."""
    with pytest.raises(AssertionError, match="8"):
        holds(exported.replace(b"the first of the rollout", b"the last of the rollout"))
