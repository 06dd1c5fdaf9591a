"""The runbook pages: one for each diagnosis and cause, of one shape, and their commands show what they say."""

from __future__ import annotations

import datetime as dt
import os
import pathlib
import re
import signal

import pytest

from lastack.policy import vocabulary
from tests import waiting
from tests.docs import pages
from tests.lab import labs

RUNBOOKS = pages.ROOT / "runbooks"
CODES = sorted({*vocabulary.DiagnosisCode, *vocabulary.CauseKind})
SHAPE = (
    "What it means",
    "How to confirm it by hand",
    "What lastack does",
    "What only a human can do",
    "What does not help, and why",
)
SHORT = {
    "healthy": SHAPE[:4],
    "unknown": (
        "What it means",
        "How to go on",
        "What lastack does",
        "What only a human can do",
        "When only the cause is unknown",
    ),
}
"""Where there is no disease nothing has to help."""

SEEN: dict[str, dict[str, str | labs.Many]] = {
    "fd-exhaustion": {
        "ls /proc/PID/fd | wc -l": r"^64$",
        "grep 'open files'": r" 64 +64 ",
        "grep -c 'socket:'": r"^[56]\d$",
        "ss -tnp state close-wait | wc -l": r"^[4-9]\d$",
        "ss -ltn": r"LISTEN +[1-9]\d* +50 ",
    },
    "accept-stall": {
        "ss -ltn": r"LISTEN +[1-9]\d* +50 ",
        "ss -tne state close-wait": labs.Many(r"ino:0 ", 2),
        "nstat": r"TcpExtListenOverflows",
        "py-spy": labs.Many(r"wait_for_inventory_lock", 8),
    },
    "overload": {
        "ss -ltn": r"LISTEN +[45]\d +50 ",
        "ss -tne": labs.Many(r"ino:0 ", 25),
        "nstat": r"ListenDrops +[1-9]",
    },
    "backlog-too-small": {
        "ss -ltnm": r"LISTEN +\d+ +16 .*\n.*,d[1-9]\d*\)",
        "nstat": r"ListenOverflows +[1-9]",
        "sysctl": r"net.core.somaxconn = 16",
    },
    "handler-stall": {
        "ss -tnep state close-wait": labs.Many(r"users:.*ino:[1-9]", 2),
        "grep -o 'lastack": r"lastack:\d{4}",
        "ss -tnp state established": labs.Many(r":9090 +users", 2),
        "py-spy": labs.Many(r"ask_without_time_out", 2),
    },
    "fd-leak": {
        "ss -tnp state close-wait": labs.Many(r"\n0 +0 .*users:", 4),
        "grep -o 'lastack": labs.Many(r"lastack:\d+", 4),
        "ls /proc/PID/fd | wc -l": r"^[1-9]\d$",
        "grep 'open files'": r"files +\d+ +\d+ ",
        "grep -c 'socket:'": r"^[1-9]",
        "ss -apH": r"^[1-9]",
    },
    "syn-pressure": {
        "ss -tn state syn-recv": labs.Many(r"\n0 +0 ", 38),
        "ss -ltn": r"LISTEN +0 +50 ",
        "sysctl": r"tcp_syncookies = 0\nnet.ipv4.tcp_max_syn_backlog = \d+",
        "nstat": r"ReqQFullDrop +[1-9]",
    },
    "outbound-leak": {
        "uniq -c": r"(?m)^ +[1-9]\d* 127\.0\.0\.1:9090$",
        "ss -ltn": r"127\.0\.0\.1:8080",
        "ls /proc/PID/fd | wc -l": r"^[1-9]\d$",
        "grep 'open files'": r"files +\d+ +\d+ ",
        "grep -c 'socket:'": r"^[1-9]",
        "ss -apH": r"^[1-9]",
    },
    "half-close-in-use": {
        "ss -tin state close-wait": labs.Many(r"lastsnd:\d{1,3} ", 24),
        "ss -ltn": r"LISTEN +0 +50 ",
    },
    "not-listening": {"ss -ltnp": r"127\.0\.0\.1:8080"},
    "healthy": {"ss -ltn": r"LISTEN +\d +50 ", "nstat": r"TcpPassiveOpens +[1-9]"},
    "lock": {
        "py-spy": labs.Many(r"wait_for_inventory_lock", 8),
        "ls /proc/PID/task": r"^\d+$",
        "top": labs.Many(r"\d S +0\.0 ", 8),
    },
    "downstream": {
        "ss -tnp state established": labs.Many(r":9090 +users", 2),
        "ss -tin state established": labs.Many(r":9090.*\n.*lastrcv:\d+", 2),
        "syscall": r"(?m)^\d+ 0x",
        "py-spy": labs.Many(r"ask_without_time_out", 2),
    },
    "stopped": {"TracerPid": r"State:\tT \(stopped\)\nTracerPid:\t0", "ps -o": labs.Many(r" T[NsLl+<]* ", 8)},
    "cpu": {"ctxt_switches": r"nonvoluntary_ctxt_switches:\t\d+", "loadavg": r"^\d"},
    "throttled": {"cpu.stat": r"nr_throttled \d+"},
    "memory": {
        "VmRSS": r"VmRSS:\t +[1-9]",
        "MemAvailable": r"MemAvailable: +[1-9]",
        "ps -o": r" S[NsLl+<]* ",
    },
    "pool": {},
    "client": {"ss -tin": r"State"},
    "unknown": {"nstat": r"TcpExtListenDrops"},
}
"""What the output of a page's commands has in the end, by a part of the command; the others only have to end well."""

SHOWN_BY = {
    "lock": "accept-stall",
    "downstream": "handler-stall",
    "pool": "handler-stall",
    **dict.fromkeys(
        ("not-listening", "unknown", "stopped", "cpu", "throttled", "memory", "client"), "healthy"
    ),
}
"""The lab in which a page's commands are tried, where it is not the one of its name."""


def page(code: str) -> pathlib.Path:
    """The page of a diagnosis or of a cause; unknown is both."""
    return RUNBOOKS / f"{code}.md"


def commands(code: str) -> list[str]:
    """The commands of a page: its indented lines that are not part of a table or a list."""
    return [
        line.strip()
        for line in page(code).read_text(encoding="utf-8").splitlines()
        if re.match(r"( {4}| {6})[a-z]", line) and not line.strip().startswith("lastack ")
    ]


def test_each_diagnosis_and_each_cause_has_a_page() -> None:
    """And no page is about something else."""
    assert CODES == sorted(file.stem for file in RUNBOOKS.glob("*.md"))


@pytest.mark.parametrize("code", CODES)
def test_each_page_has_the_same_parts(code: str) -> None:
    """In an outage nobody looks for where the answer stands."""
    said = page(code).read_text(encoding="utf-8")
    kind = "" if code in {*vocabulary.DiagnosisCode} else "Cause "
    assert said.startswith(f"# {kind}{code}: ")
    assert list(SHORT.get(code, SHAPE)) == re.findall(r"^## (.*)$", said, re.MULTILINE)
    assert [] == [line for line in said.splitlines() if len(line) > 120 and not line.startswith("|")]


@pytest.mark.parametrize("code", CODES)
def test_its_links_lead_to_other_pages(code: str) -> None:
    """A record is stored with the pages that it leads to, so they link to nothing else."""
    assert [] == [link for link in pages.links(page(code)) if not (RUNBOOKS / link).is_file()]


@pytest.mark.timeout(150)
@pytest.mark.parametrize("code", sorted(SEEN))
def test_its_commands_show_what_it_says(code: str) -> None:
    """Each is run in the lab of that disease, as it stands on the page, PID being the service."""
    told = commands(code)
    assert [] == [part for part in SEEN[code] if not any(part in command for command in told)]
    with labs.terminal(SHOWN_BY.get(code, code)) as terminal:
        if code == "stopped":
            os.kill(terminal.service, signal.SIGSTOP)
        for command in told:
            meant = next((SEEN[code][part] for part in SEEN[code] if part in command), "")

            def shows(command: str = command, meant: str | labs.Many = meant) -> bool:
                done = terminal.run(command)
                return done.returncode == 0 and labs.says(done.stdout, meant)

            waiting.wait_until(shows, within=dt.timedelta(seconds=50), what=f"{meant!r} from {command}")


def test_the_commands_of_every_page_are_tried() -> None:
    """None is left out."""
    assert [code for code in CODES if commands(code)] == sorted(SEEN)
