"""incidents, ledger, sysctl, pause: the history as people and scripts see it, with and without a running lastack."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lastack.runbook import pauses, render
from lastack.stores import control, ledger, readings, state_dir
from tests.runbook import stories

PROGRAM = pathlib.Path(sys.executable).with_name("lastack")
INCIDENT = "device-api-k3jq7w2m4a"


def lastack(where: pathlib.Path, *words: str, status: int = 0, stdin: bytes = b"") -> str:
    """Run one command on this state directory; its stdout."""
    done = subprocess.run(
        [PROGRAM, *words, "--state-dir", str(where)], input=stdin, capture_output=True, check=False
    )
    assert status == done.returncode, done
    return done.stdout.decode()


def document(where: pathlib.Path, *words: str, status: int = 0) -> dict[str, Any]:
    """The one JSON document that it prints."""
    found = json.loads(lastack(where, *words, "-o", "json", status=status))
    assert "lastack.dev/v1alpha1" == found["apiVersion"]
    assert isinstance(found, dict)
    return found


def write(place: pathlib.Path, news: list[Any]) -> None:
    """A ledger with these facts, and nothing that runs."""
    where = state_dir.prepare(place)
    with state_dir.locked(where):
        book = ledger.open_ledger(where, stories.START, keep_free_bytes=0)
        with book.transaction():
            book.append(news)
        book.close()


@pytest.fixture(scope="module")
def healed(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The ledger of an incident that is over."""
    place = tmp_path_factory.mktemp("healed") / "state"
    write(place, list(stories.STALL))
    return place


def test_incidents_are_listed_shown_and_reported(healed: pathlib.Path) -> None:
    """As text, as JSON, and as the record itself."""
    listed = lastack(healed, "incidents", "list")
    assert [INCIDENT, "2026-11-22", "10:00:42", "accept-stall", "verified"] == listed.splitlines()[1].split()
    (item,) = document(healed, "incidents", "list")["items"]
    shown = document(healed, "incidents", "show", INCIDENT)
    assert {
        **item,
        "entries": shown["entries"],
        "apiVersion": shown["apiVersion"],
        "kind": "Incident",
    } == shown
    assert list(range(1, 14)) == [entry["seq"] for entry in shown["entries"]]
    text = lastack(healed, "incidents", "show", INCIDENT)
    assert "cannot-help: this is accept-stall" in " ".join(text.split())
    assert [] == [line for line in text.splitlines() if len(line) > 80]
    record = lastack(healed, "incidents", "report", INCIDENT)
    assert render.record(stories.told(stories.STALL)) == record
    assert record == lastack(healed, "incidents", "report", INCIDENT, "-o", "text")
    assert record == document(healed, "incidents", "report", INCIDENT)["markdown"]


def test_an_incident_that_never_was_is_not_found(healed: pathlib.Path) -> None:
    """Exit 3, and a document all the same."""
    found = document(healed, "incidents", "show", "nope", status=3)
    assert "no incident nope" in found["missing"][0]["why"]


def test_the_ledger_is_verified_in_place_and_as_a_file(healed: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Whole, from a later entry on, from stdin, and edited by hand."""
    assert "ok 13 entries from seq 1\n" == lastack(healed, "ledger", "verify")
    exported = lastack(healed, "ledger", "export", "-o", "jsonl")
    later = lastack(healed, "ledger", "export", "--since", "11")
    assert exported.endswith(later)
    assert "ok 3 entries from seq 11\n" == lastack(healed, "ledger", "verify", "-", stdin=later.encode())
    file = tmp_path / "edited.jsonl"
    file.write_text(exported.replace("the first of the rollout", "the last of the rollout"))
    assert "broken at seq 8: entry 8 was edited" in lastack(healed, "ledger", "verify", str(file), status=1)
    found = document(healed, "ledger", "verify", str(file), status=1)
    assert (False, 8, 7) == (found["ok"], found["problem"]["seq"], found["headSeq"])
    assert (True, 13, 1) == tuple(
        document(healed, "ledger", "verify")[key] for key in ("ok", "entries", "firstSeq")
    )


def test_an_export_without_an_entry_is_said_to_prove_nothing(tmp_path: pathlib.Path) -> None:
    """One that failed leaves an empty file, which holds no wrong entry either."""
    empty = tmp_path / "export.jsonl"
    empty.touch()
    done = subprocess.run(
        [PROGRAM, "ledger", "verify", str(empty)], capture_output=True, text=True, check=True
    )
    assert "ok 0 entries from seq 1\n" == done.stdout
    assert f"{empty} holds no entry, so that nothing was checked" in done.stderr


def test_a_pause_without_a_running_lastack_is_written_under_the_lock(tmp_path: pathlib.Path) -> None:
    """Also before the first run; who said it is on record."""
    place = tmp_path / "state"
    said = lastack(place, "pause", "--reason", "deploying 4.2", "--for", "2h")
    assert said.startswith("paused by ")
    assert said.endswith("Z: deploying 4.2\n")
    with readings.reading(state_dir.existing(place)) as reading:
        pause = reading.folded().pause
    assert pause is not None
    assert "deploying 4.2" == pause.reason
    assert document(place, "resume")["paused"] is False
    assert "ok 2 entries from seq 1\n" == lastack(place, "ledger", "verify")


def test_a_held_directory_whose_holder_does_not_answer_is_said(tmp_path: pathlib.Path) -> None:
    """Nobody writes beside the holder."""
    where = state_dir.prepare(tmp_path / "state")
    with state_dir.locked(where):
        done = subprocess.run(
            [PROGRAM, "pause", "--reason", "x", "--state-dir", str(where.path)],
            capture_output=True,
            check=False,
        )
    assert 3 == done.returncode
    assert b"is held by pid " in done.stderr


@pytest.fixture
def running(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A ledger with an open lease, and a process on it that answers like the loop does."""
    place = tmp_path / "state"
    write(place, [*stories.STALL[:8], stories.LEASED])
    where = state_dir.prepare(place)
    with state_dir.locked(where):
        book = ledger.open_ledger(where, stories.START, keep_free_bytes=0)
        server = control.ControlServer(where)
        ending = threading.Event()

        def tick() -> None:
            while not ending.wait(0.01):
                for request in server.pending():
                    reason = request.arguments.get("reason", "")
                    fact = (
                        stories.GIVEN_BACK
                        if request.verb == "restore"
                        else pauses.paused(stories.later(100), request.actor, reason, None)
                    )
                    with book.transaction():
                        book.append([fact])
                    request.reply({"text": fact.text})

        thread = threading.Thread(target=tick)
        thread.start()
        yield place
        ending.set()
        thread.join()
        server.close()
        book.close()


def test_a_running_lastack_is_asked(running: pathlib.Path) -> None:
    """It writes, and the command waits until the lease is given back."""
    (lease,) = document(running, "sysctl", "leases")["items"]
    assert ("net.core.somaxconn", "128", 4026531840) == (lease["name"], lease["original"], lease["namespace"])
    assert "net.core.somaxconn" in lastack(running, "sysctl", "leases")
    (given,) = document(running, "sysctl", "restore", "net.core.somaxconn")["items"]
    assert given["given"] is True
    assert [] == document(running, "sysctl", "leases")["items"]
    assert "until resumed: deploying" in lastack(running, "pause", "--reason", "deploying")


def test_a_lease_of_another_boot_is_yielded_without_a_running_lastack(tmp_path: pathlib.Path) -> None:
    """Its namespace is gone: nothing is written anywhere, and it is on record."""
    place = tmp_path / "state"
    write(place, [*stories.STALL[:8], stories.LEASED])
    assert "no lease of kernel.pid_max is open" not in lastack(place, "sysctl", "restore", "kernel.pid_max")
    (given,) = document(place, "sysctl", "restore")["items"]
    assert given["given"] is True
    assert "is gone" in given["text"]
    last = json.loads(lastack(place, "ledger", "export").splitlines()[-1])
    assert "sysctl.yielded" == last["kind"]
