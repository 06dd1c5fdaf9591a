"""Facts on a timeline: a time, a word, a sentence; every kind has one, and nothing from the world escapes."""

from __future__ import annotations

import datetime as dt
import json
import re

import pytest

from lastack.cli import printing, timeline
from lastack.engine import actions, facts, instants, outcomes, reasons
from lastack.policy import valid, vocabulary

AT = instants.Now(dt.datetime(2026, 11, 22, 10, tzinfo=dt.UTC), dt.timedelta(seconds=100), "boot")
SPAN = dt.timedelta(seconds=12.34)


@pytest.mark.parametrize("kind", list(facts.FactKind))
def test_every_kind_of_fact_has_a_word(kind: facts.FactKind) -> None:
    """The participle of its kind, which is one word of the vocabulary and fits its column."""
    word = timeline.row_of(facts.Fact(kind, AT, "so it is"), SPAN).word
    assert kind.value.endswith(f".{word}")
    assert len(word) <= 12


def test_a_refusal_shows_its_stage_and_its_code() -> None:
    """What was refused, the code to look up, and the sentence."""
    fact = facts.Fact(
        facts.FactKind.ACTION_REFUSED,
        AT,
        "a longer queue buys room",
        stage=valid.StageName("tune"),
        reason=reasons.Reason.CANNOT_HELP,
    )
    expected = timeline.Row(
        SPAN, "refused", printing.Tone.WARN, "tune: cannot-help: a longer queue buys room"
    )
    assert expected == timeline.row_of(fact, SPAN)


def test_a_sickness_shows_its_name() -> None:
    """The diagnosis as the docs call it, before the sentence."""
    data = {"diagnosis": "accept-stall", "severity": "critical", "confidence": "high"}
    fact = facts.Fact(facts.FactKind.INCIDENT_OPENED, AT, "b: nobody accepts", data=data)
    expected = "accept-stall, critical, high confidence: b: nobody accepts"
    assert expected == timeline.row_of(fact, SPAN).text


def test_stored_evidence_shows_how_much_it_is() -> None:
    """Its own sentence is that of the act before it."""
    files: tuple[outcomes.Json, ...] = ({"path": "x", "bytes": 1000}, {"path": "y", "bytes": 24})
    member = actions.MemberName("b")
    fact = facts.Fact(facts.FactKind.EVIDENCE_STORED, AT, "8 of 8", member=member, data={"files": files})
    assert "2 files of evidence of b, 1024 bytes" == timeline.row_of(fact, SPAN).text


def test_a_row_is_wrapped_under_itself_and_never_wider_than_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """80 columns where there is no terminal, and no escape codes."""
    text = "many words " * 30
    timeline.show(timeline.Row(SPAN, "planned", printing.Tone.ACT, text))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(" 12.3 s  planned      many words")
    assert all(line.startswith((" " * 22 + "m", " " * 22 + "w")) for line in lines[1:])
    assert (True, text.split()) == (max(map(len, lines)) <= 80, " ".join(lines).split()[3:])


def test_no_escape_sequence_of_the_world_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A process may be called anything."""
    timeline.show(timeline.Row(SPAN, "opened", printing.Tone.BAD, "\x1b[2Jevil\r\n\x07"))
    assert re.findall(r"[\x00-\x09\x0b-\x1f]", capsys.readouterr().out) == []


def test_a_json_row_has_the_fields_of_its_entry_but_no_place_in_the_chain() -> None:
    """Seconds as a decimal string, like every fraction of the ledger."""
    fact = facts.Fact(
        facts.FactKind.ACTION_PLANNED, AT, "so", action=vocabulary.ActionKind.THREAD_DUMP, data={"n": 1}
    )
    row = json.loads(json.dumps(timeline.json_row(fact, SPAN)))
    assert ("12.340", "action.planned", "threadDump", {"n": 1}) == tuple(
        row[name] for name in ("seconds", "kind", "action", "data")
    )
    assert [] == [name for name in ("seq", "prev", "hash") if name in row]
