"""What holds for every command: help, usage errors, exit codes, one JSON document, pipes and colours."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import re
import resource
import sqlite3
import subprocess
import sys
from typing import Any

import pytest

from tests.contracts import command_runs, run_processes

pytestmark = [pytest.mark.xdist_group("commands")]

PROGRAM = run_processes.PROGRAM
COMMANDS: dict[str, tuple[str, ...]] = {
    "demo": (),
    "diagnose": (),
    "top": (),
    "record": (),
    "dump": (),
    "run": (),
    "status": (),
    "policy": ("check",),
    "incidents": ("list", "show", "report"),
    "ledger": ("verify", "export"),
    "sysctl": ("leases", "restore"),
    "pause": (),
    "resume": (),
    "lab": (),
}
"""Every command and its subcommands; a test compares it with what --help says."""

ALL = [(name, *([sub] if sub else [])) for name, subs in COMMANDS.items() for sub in ("", *subs)]
LEAVES = [words for words in ALL if len(words) == 2 or not COMMANDS[words[0]]]

USAGE_ERRORS = [
    ("dignose",),
    ("--no-such-option",),
    *((*words, "--no-such-option") for words in LEAVES),
    *((*words, "-o", "xml") for words in LEAVES if words != ("run",)),
    ("diagnose", "--port", "http"),
    ("diagnose", "--port", "65536"),
    ("diagnose", "--for", "soon"),
    ("diagnose", "8080"),
    ("diagnose", "--replay", "/nonexistent.rec"),
    ("diagnose", "--replay", "/etc/hostname", "--netns", "1"),
    ("diagnose", "--at", "5s"),
    ("top",),
    ("top", "-o", "json"),
    ("record",),
    ("record", "/nonexistent.rec", "--limit", "1"),
    ("dump",),
    ("dump", "0"),
    ("dump", "no unit"),
    ("run", "--config", "/nonexistent.toml"),
    ("policy", "check"),
    ("policy", "chekc"),
    ("incidents", "show"),
    ("incidents", "report"),
    ("ledger", "export", "--since", "0"),
    ("sysctl", "restore", "a", "b"),
    ("pause",),
    ("pause", "--reason", "  "),
    ("pause", "--reason", "deploying", "--for", "tomorrow"),
    ("lab", "no-such-disease"),
]

READS = [
    ("status",),
    ("incidents", "list"),
    ("incidents", "show", "demo-aaaaaaaaaa"),
    ("incidents", "report", "demo-aaaaaaaaaa"),
    ("ledger", "verify"),
    ("sysctl", "leases"),
    ("sysctl", "restore"),
]
"""Whatever needs a state directory that is there; `ledger export` too, which has no -o json."""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A state directory on which nothing runs and nothing happened but a pause and its end."""
    place = tmp_path_factory.mktemp("commands") / "state"
    found = command_runs.run_all(
        [
            ("pause", "--reason", "deploying 4.2", "--for", "2h", "--state-dir", str(place)),
            ("resume", "--state-dir", str(place)),
        ]
    )
    assert [0, 0] == [run.status for run in found], found
    return place


def documents(text: str) -> list[Any]:
    """Every JSON document in a text."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        document, at = decoder.raw_decode(text, at)
        found.append(document)
    return found


def listed(help_text: str) -> tuple[str, ...]:
    """The commands in a help text."""
    _, _, commands = help_text.partition("\nCommands:\n")
    return tuple(re.findall(r"^  (\w+) ", commands, re.MULTILINE))


def test_help_lists_every_command() -> None:
    """The table of this file is what the program says of itself."""
    top = command_runs.run("--help")
    groups = {name: subs for name, subs in COMMANDS.items() if subs}
    found = command_runs.run_all([(name, "--help") for name in groups])
    assert tuple(COMMANDS) == listed(top.out)
    assert [sorted(subs) for subs in groups.values()] == [sorted(listed(run.out)) for run in found]
    # A sentence that is cut ends in three dots, as the words after COMMAND do in the line before.
    assert [] == [run.out for run in found if "..." in run.out.partition("Commands:")[2]]


def test_help_of_every_command_is_light() -> None:
    """Exit 0, on stdout, within 80 columns, and no heavy module was imported for it."""
    for run in command_runs.run_all([(*words, "--help") for words in ALL]):
        assert (0, "", ()) == (run.status, run.err, run.heavy), run
        assert run.out.startswith("Usage: "), run
        assert [] == [line for line in run.out.splitlines() if len(line) > 80], run


def cpu_seconds(*command: str) -> float:
    """Processor time of one run, the lesser of two: what a busy machine does not change much."""
    best = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(best)


def test_help_is_fast() -> None:
    """At most eight times what the import of the command line library alone costs, for whichever command."""
    bare = cpu_seconds(sys.executable, "-c", "import click")
    slow = {words: ratio for words in LEAVES if (ratio := cpu_seconds(PROGRAM, *words, "--help") / bare) > 8}
    assert {} == slow


def test_usage_errors_exit_two_and_say_so_on_stderr() -> None:
    """Nothing on stdout, a sentence on stderr, no traceback, nothing done."""
    for run in command_runs.run_all(USAGE_ERRORS, environment=run_processes.UNREACHABLE):
        assert (2, "") == (run.status, run.out), run
        assert run.err.strip(), run
        assert "Traceback" not in run.err, run


def test_a_usage_error_names_what_was_wrong() -> None:
    """Where, what was found, and what was expected."""
    expected = {
        ("dignose",): "dignose",
        ("ledger", "verify", "-o", "xml"): "'xml' is not one of 'text', 'json'",
        ("diagnose", "--port", "65536"): "65536",
        ("pause", "--reason", "r", "--for", "tomorrow"): "tomorrow",
        ("lab", "no-such-disease"): "accept-stall",
    }
    for (words, said), run in zip(expected.items(), command_runs.run_all(list(expected)), strict=True):
        assert said in run.err, (words, run.err)


def test_reading_a_state_directory_that_is_not_there(tmp_path: pathlib.Path) -> None:
    """Exit 3, the path, the next step; nothing is made by looking."""
    place = tmp_path / "nowhere"
    for run in command_runs.run_all(
        [(*words, "--state-dir", str(place)) for words in (*READS, ("ledger", "export"))]
    ):
        assert (3, "") == (run.status, run.out), run
        assert str(place) in run.err, run
        assert "next step" in run.err, run
    assert not place.exists()


def test_json_is_one_document_also_when_there_is_no_state(tmp_path: pathlib.Path) -> None:
    """Exit 3 all the same; the document has its kind, and says what is missing."""
    place = ("--state-dir", str(tmp_path / "nowhere"))
    for run in command_runs.run_all([(*words, "-o", "json", *place) for words in READS]):
        assert 3 == run.status, run
        (document,) = documents(run.out)
        assert "lastack.dev/v1alpha1" == document["apiVersion"], run
        assert document["missing"][0]["why"], run


def test_json_is_one_document_also_when_there_is_nothing_to_say(state: pathlib.Path) -> None:
    """Empty lists, not empty output."""
    expected: dict[tuple[str, ...], tuple[int, str, list[Any] | None]] = {
        ("incidents", "list"): (0, "IncidentList", []),
        ("sysctl", "leases"): (0, "SysctlLeaseList", []),
        ("sysctl", "restore"): (0, "SysctlRestoreList", []),
        ("ledger", "verify"): (0, "LedgerVerification", None),
        ("status",): (3, "Status", None),
    }
    commands = [(*words, "-o", "json", "--state-dir", str(state)) for words in expected]
    for told, run in zip(expected.values(), command_runs.run_all(commands), strict=True):
        (document,) = documents(run.out)
        assert "lastack.dev/v1alpha1" == document["apiVersion"], run
        assert told == (run.status, document["kind"], document.get("items")), run


def test_json_of_the_commands_that_need_no_state(tmp_path: pathlib.Path) -> None:
    """One document each, whatever the exit code."""
    policy = tmp_path / "p.yaml"
    policy.write_text(run_processes.POLICY, encoding="utf-8")
    policy.chmod(0o644)
    commands = {
        ("policy", "check", str(policy), "-o", "json"): 0,
        ("policy", "check", str(tmp_path / "none.yaml"), "-o", "json"): 2,
        ("diagnose", "--pid", "4194305", "--for", "0", "-o", "json"): 3,
        ("top", "--once", "--pid", "4194305", "--for", "0", "-o", "json"): 3,
        ("dump", "4194305", "-o", "json"): 3,
        ("ledger", "verify", str(tmp_path / "none.jsonl"), "-o", "json"): 3,
    }
    for status, run in zip(commands.values(), command_runs.run_all(list(commands)), strict=True):
        assert (status, 1) == (run.status, len(documents(run.out))), run
        assert "lastack.dev/v1alpha1" == documents(run.out)[0]["apiVersion"], run


def test_an_incident_that_never_was(state: pathlib.Path) -> None:
    """Named in the message, with the command that names the others in the same place; not a traceback."""
    at = ("demo-aaaaaaaaaa", "--state-dir", str(state))
    for run in command_runs.run_all([("incidents", "show", *at), ("incidents", "report", *at)]):
        assert 3 == run.status, run
        assert "demo-aaaaaaaaaa" in run.err, run
        assert f"`lastack incidents list --state-dir {state}`" in run.err, run
        assert "Traceback" not in run.err, run


def test_a_pause_and_its_end_are_on_record(state: pathlib.Path) -> None:
    """By whom, why and until when; written without a running lastack."""
    run = command_runs.run("ledger", "export", "-o", "jsonl", "--state-dir", str(state))
    entries = [json.loads(line) for line in run.out.splitlines()]
    assert ["operator.paused", "operator.resumed"] == [entry["kind"] for entry in entries]
    assert "deploying 4.2" in entries[0]["text"]
    assert entries[0]["at"] < entries[0]["data"]["until"]
    assert "lastack" != entries[0]["actor"]


def edited(line: str) -> str:
    """The line with one word changed, as one would to look better."""
    return line.replace("deploying 4.2", "deploying 4.3")


def test_an_export_that_was_edited_by_hand_does_not_verify(
    state: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Exit 1, and the first bad entry by its number; the untouched one is well."""
    lines = command_runs.run("ledger", "export", "--state-dir", str(state)).out.splitlines()
    cases = {
        "whole": (lines, 0, "ok 2 entries from seq 1"),
        "later": (lines[1:], 0, "ok 1 entries from seq 2"),
        "edited": ([edited(lines[0]), lines[1]], 1, "seq 1"),
        "swapped": ([lines[1], lines[0]], 1, "seq 1"),
        "torn": ([lines[0], lines[1][:-9]], 1, "seq 2"),
    }
    for name, (kept, _, _) in cases.items():
        (tmp_path / name).write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    runs = command_runs.run_all([("ledger", "verify", str(tmp_path / name)) for name in cases])
    for (_, status, said), run in zip(cases.values(), runs, strict=True):
        assert status == run.status, run
        assert said in run.out, run


def test_a_database_that_was_edited_by_hand_does_not_verify(tmp_path: pathlib.Path) -> None:
    """The same in place: the authority itself is checked, not a copy of it."""
    place = ("--state-dir", str(tmp_path / "state"))
    command_runs.run_all([("pause", "--reason", "deploying 4.2", *place), ("resume", *place)])
    connection = sqlite3.connect(tmp_path / "state" / "ledger.sqlite")
    (line,) = connection.execute("SELECT line FROM entries WHERE seq = 1").fetchone()
    for (trigger,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f'DROP TRIGGER "{trigger}"')  # they stop mistakes, not somebody who means it
    connection.execute("UPDATE entries SET line = ? WHERE seq = 1", (edited(line.decode()).encode(),))
    connection.commit()
    connection.close()
    run = command_runs.run("ledger", "verify", *place)
    assert 1 == run.status
    assert "seq 1" in run.out


@pytest.mark.parametrize(
    "words",
    [
        ("diagnose", "--for", "0"),
        ("top", "--once"),
        ("record", "/nonexistent.rec"),
        ("dump", "1"),
        ("run",),
        ("demo",),
        ("lab", "healthy"),
    ],
)
def test_another_system_than_linux_is_refused(words: tuple[str, ...], tmp_path: pathlib.Path) -> None:
    """A clear sentence and where to run it instead, before anything is tried."""
    place = run_processes.Place.prepared(tmp_path)
    where = ("--policies", str(place.policies), "--state-dir", str(place.state)) if words == ("run",) else ()
    (run,) = command_runs.run_all(
        [(*words, *where)], platform="darwin", environment={"XDG_STATE_HOME": str(tmp_path)}
    )
    said = " ".join((run.out + run.err).split())
    assert 3 == run.status, run
    assert "this system is 'darwin'; lastack reads sockets from the Linux kernel (4.18 or newer)" in said
    assert "run lastack on the Linux host" in said, run
    assert "Traceback" not in run.err, run


def test_a_reader_that_leaves_is_no_error(tmp_path: pathlib.Path) -> None:
    """`| head -1` on more than a pipe holds: the line, exit without noise."""
    place = str(tmp_path / "state")
    pauses = [("pause", "--reason", str(n) * 9_000, "--state-dir", place) for n in range(10)]
    assert {0} == {run.status for run in command_runs.run_all(pauses)}
    for words in ("ledger export", "incidents list -o json", "--help", "diagnose --help"):
        at = "" if "help" in words else f"--state-dir {place}"
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {PROGRAM} {words} {at} | head -1"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (0, "", 1) == (done.returncode, done.stderr, len(done.stdout.splitlines())), words


@pytest.mark.parametrize("arguments", ["--help", "ledger verify", "incidents list -o json"])
def test_a_stdout_that_is_closed_already(arguments: str, state: pathlib.Path) -> None:
    """Nobody ever reads: no traceback, and nothing from the interpreter's own end."""
    at = [] if "help" in arguments else ["--state-dir", str(state)]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [PROGRAM, *arguments.split(), *at], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (0, "") == (done.returncode, done.stderr)


def on_a_terminal(*arguments: str, **environment: str) -> str:
    """What a command writes when its stdout is a terminal."""
    ours, theirs = pty.openpty()
    kept = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    process = subprocess.Popen(
        [PROGRAM, *arguments], stdout=theirs, stderr=theirs, env={**kept, "TERM": "xterm", **environment}
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed: that is how a terminal says so
            break
        if not part:
            break
        written += part
    os.close(ours)
    process.wait()
    return written.decode()


def test_no_color_is_respected(state: pathlib.Path) -> None:
    """Colours on a terminal, none with NO_COLOR or on a dumb one."""
    words = ("ledger", "verify", "--state-dir", str(state))
    assert "\x1b[" in on_a_terminal(*words)
    assert "\x1b" not in on_a_terminal(*words, NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(*words, TERM="dumb")
