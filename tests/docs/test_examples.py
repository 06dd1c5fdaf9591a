"""What a page tells people to copy works as it stands: policies, the check of the chain, and the unit."""

import datetime as dt
import pathlib
import subprocess
import sys

import pytest
from click.testing import CliRunner

from lastack.cli.policy import policy_group
from lastack.engine import facts, instants
from lastack.runbook import chain, entries
from tests import waiting
from tests.box import boxes
from tests.docs import pages

HOWTO = pages.DOCS / "howto"
PROGRAM = pathlib.Path(sys.executable).with_name("lastack")
POLICY = """\
apiVersion: lastack.dev/v1alpha1
kind: RemediationPolicy
metadata: {name: page}
spec:
  target: {systemd: {units: ["page.service"]}}
  sampleEvery: 500ms
  triggers: [{name: stalled, diagnosis: [accept-stall], sustainedFor: 30s, clearFor: 2m}]
  stages: [{name: evidence, action: threadDump}]
  limits: {minAvailable: 0}
"""
SERVICE = """\
import ctypes, os, signal, socket
listener = socket.create_server(("127.0.0.1", 9191))
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE: as a process that never was root
signal.pause()
"""
"""It becomes nobody by itself: nobody may not be able to reach the Python of the tests."""


def chained(count: int) -> list[bytes]:
    """A ledger of that many entries, as `ledger export` prints it."""
    head, lines = chain.Head(), []
    for number in range(count):
        wall = dt.datetime(2026, 11, 22, 10, 0, number, tzinfo=dt.UTC)
        now = instants.Now(wall, dt.timedelta(seconds=number), "boot")
        fact = facts.Fact(
            facts.FactKind.LASTACK_STARTED, now, f"grüße {number}", data={"b": 1, "a": ("x", None)}
        )
        entry = chain.link(head, entries.settled(fact))
        lines.append(entries.to_line(entry))
        head = chain.head_of(entry)
    return lines


def checked(lines: list[bytes], folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """What the script of the page says about these lines, without anything of ours on its path."""
    (script,) = pages.fenced(HOWTO / "read-an-incident.md", "python")
    (folder / "check.py").write_text(script, encoding="utf-8")
    (folder / "ledger.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    words = [sys.executable, "-I", "check.py", "ledger.jsonl"]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


def test_the_script_of_the_page_finds_a_whole_chain_whole(tmp_path: pathlib.Path) -> None:
    """Also one that begins later than the first entry."""
    for lines in (chained(5), chained(5)[2:]):
        said = checked(lines, tmp_path)
        assert (0, "") == (said.returncode, said.stderr)


def test_the_script_of_the_page_names_what_was_edited_or_taken_out(tmp_path: pathlib.Path) -> None:
    """Ten lines are enough."""
    lines = chained(5)
    edited = [*lines[:2], lines[2].replace(b"2", b"7", 1), *lines[3:]]
    assert "was edited" in checked(edited, tmp_path).stderr
    assert "entry 4 does not follow" in checked([*lines[:2], *lines[3:]], tmp_path).stderr


def test_the_script_of_the_page_has_the_length_that_is_promised() -> None:
    """Ten lines between the imports and the last word."""
    (script,) = pages.fenced(HOWTO / "read-an-incident.md", "python")
    assert len(script.splitlines()) <= 11


def test_the_policies_of_the_pages_are_valid(tmp_path: pathlib.Path) -> None:
    """Without an error and without a warning."""
    texts = [text for page in pages.every() for text in pages.fenced(page, "yaml") if "apiVersion" in text]
    assert texts
    for number, text in enumerate(texts):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text, encoding="utf-8")
        said = CliRunner().invoke(policy_group, ["check", "--strict", str(file)])
        assert 0 == said.exit_code, said.output


@pytest.mark.xdist_group("box")
class TestTheUnitOfThePage:
    """docs/howto/observe-a-systemd-host.md, in a real systemd."""

    def test_it_sees_the_owner_of_another_users_socket(self, box: boxes.Box) -> None:
        """With the capabilities of the page, and no others."""
        unit, dropin = pages.fenced(HOWTO / "observe-a-systemd-host.md", "ini")
        here = unit.replace("/opt/lastack/.venv/bin/lastack", str(PROGRAM)).replace(
            "ProtectHome=yes", "ProtectHome=read-only"
        )
        # The clone under test may lie below /tmp, as that of continuous integration does.
        here = here.replace("PrivateTmp=yes", "PrivateTmp=no")
        assert here != unit
        box.path("/run/page.py").write_text(SERVICE, encoding="utf-8")
        box.write_unit("page.service", f"[Service]\nExecStart={sys.executable} /run/page.py\n")
        directory = box.path("/etc/lastack/policies.d")
        directory.mkdir(mode=0o755, parents=True)
        (directory / "page.yaml").write_text(POLICY, encoding="utf-8")
        for name, extra in (("lastack.service", None), ("lastack.service", dropin)):
            if extra is not None:
                folder = box.path(f"/etc/systemd/system/{name}.d")
                folder.mkdir(parents=True)
                (folder / "enforce.conf").write_text(extra, encoding="utf-8")
            box.write_unit(name, here)
            box.run(["systemctl", "restart", "page", name])
            try:
                waiting.wait_until(
                    lambda: "healthy" in box.run([PROGRAM, "status"], check=False).stdout,
                    within=dt.timedelta(seconds=40),
                    what="a diagnosis of page.service",
                )
                assert 0 == box.run([PROGRAM, "status"], check=False).returncode
            finally:
                box.run(["systemctl", "stop", name, "page"])

    def test_systemd_finds_nothing_wrong_with_it(self, tmp_path: pathlib.Path) -> None:
        """Every setting is known to systemd, and little is left exposed."""
        unit, _ = pages.fenced(HOWTO / "observe-a-systemd-host.md", "ini")
        file = tmp_path / "lastack.service"
        file.write_text(unit.replace("/opt/lastack/.venv/bin/lastack", str(PROGRAM)), encoding="utf-8")
        said = subprocess.run(
            ["systemd-analyze", "verify", file], capture_output=True, text=True, check=False
        )
        assert (0, "") == (said.returncode, said.stderr)
        words = ["systemd-analyze", "security", "--offline=true", "--threshold=35", str(file)]
        rated = subprocess.run(words, capture_output=True, text=True, check=False)
        assert 0 == rated.returncode, rated.stdout
