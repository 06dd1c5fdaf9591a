"""The chain: every change to a ledger shows, and the answer says where."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack.engine import facts, instants
from lastack.runbook import chain, entries
from tests.runbook import given as worlds

START = instants.Now(dt.datetime(2026, 11, 22, 10, tzinfo=dt.UTC), dt.timedelta(seconds=5), "boot-1")


def ledger(count: int) -> list[bytes]:
    """A ledger of `count` entries as lines."""
    head, lines = chain.Head(), []
    for number in range(count):
        at = dataclasses.replace(START, wall=START.wall + dt.timedelta(seconds=number))
        entry = chain.link(head, facts.Fact(facts.FactKind.LEDGER_CHECKPOINTED, at, f"number {number}"))
        head = chain.head_of(entry)
        lines.append(entries.to_line(entry) + b"\n")
    return lines


TEN = ledger(10)


def edited(line: bytes, **fields: object) -> bytes:
    """The line with other values and the old hash."""
    return json.dumps({**json.loads(line), **fields}).encode() + b"\n"


def rehashed(line: bytes, **fields: object) -> bytes:
    """The line with other values and a hash that fits them: the work of somebody who knows how."""
    found = json.loads(edited(line, **fields))
    return json.dumps({**found, "hash": chain.digest(found)}).encode() + b"\n"


def test_an_untouched_ledger_is_intact() -> None:
    """All entries, from the first, and the head for comparison with the journal."""
    assert chain.Intact(10, 1, chain.Head(10, json.loads(TEN[-1])["hash"])) == chain.verify(TEN)


def test_an_export_that_starts_later_is_verified_from_its_first_prev() -> None:
    """`--since` gives a whole chain too."""
    assert chain.Intact(4, 7, chain.Head(10, json.loads(TEN[-1])["hash"])) == chain.verify(TEN[6:])


def test_an_empty_ledger_is_intact() -> None:
    """Nothing was said, and nothing is wrong."""
    assert chain.Intact(0, 1, chain.Head()) == chain.verify([])


def test_a_known_head_must_be_followed() -> None:
    """The part that was verified before is not trusted to the file."""
    head = chain.Head(6, json.loads(TEN[5])["hash"])
    assert chain.Intact(4, 7, chain.Head(10, json.loads(TEN[-1])["hash"])) == chain.verify(TEN[6:], head)
    forged = chain.verify(TEN[6:], chain.Head(6, chain.GENESIS))
    assert isinstance(forged, chain.Broken)
    assert (7, 6) == (forged.seq, forged.head.seq)


def test_other_blanks_and_order_of_keys_are_the_same_entry() -> None:
    """The chain is over values, so a ledger that went through jq still verifies."""
    reformatted = [json.dumps(json.loads(line), indent=None, sort_keys=False).encode() for line in TEN]
    assert chain.verify(TEN) == chain.verify(reformatted)


@pytest.mark.parametrize(
    ("lines", "seq", "line", "why"),
    [
        ([*TEN[:4], edited(TEN[4], text="nothing"), *TEN[5:]], 5, 5, "entry 5 was edited"),
        ([*TEN[:4], edited(TEN[4], seq=50), *TEN[5:]], 5, 5, "says that it is entry 50"),
        ([*TEN[:4], rehashed(TEN[4], text="nothing"), *TEN[5:]], 6, 6, "does not follow entry 5"),
        ([*TEN[:4], *TEN[5:]], 5, 5, "entry 5 is missing: entry 6 stands"),
        ([*TEN[:4], *TEN[7:]], 5, 5, "entries 5 to 7 are missing: entry 8 stands"),
        ([*TEN[:4], TEN[5], TEN[4], *TEN[6:]], 5, 5, "the order was changed"),
        ([*TEN[:4], TEN[6], b"rubbish", TEN[4]], 5, 5, "the order was changed"),
        ([*TEN[:5], TEN[4], *TEN[5:]], 5, 6, "entry 5 stands twice"),
        ([*TEN[:8], TEN[2], *TEN[8:]], 3, 9, "comes again, or too late, after entry 8"),
        ([*TEN[:9], TEN[9][:-40]], 10, 10, "line 10 cannot be read: it is cut"),
        ([*TEN[:4], b"{}\n"], 5, 5, "seq is None"),
        ([*TEN[:4], b"not json}\n"], 5, 5, "line 5 cannot be read: it is not JSON"),
        ([b"\xff", *TEN], 1, 1, "line 1 cannot be read"),
        ([rehashed(TEN[0], prev="sha256:" + "1" * 64)], 1, 1, "does not follow nothing"),
    ],
)
def test_names_the_first_bad_entry_and_what_is_wrong(
    lines: list[bytes], seq: int, line: int, why: str
) -> None:
    """Edited, missing, moved, doubled, cut or rewritten: each is told apart."""
    found = chain.verify(lines)
    assert isinstance(found, chain.Broken)
    assert (seq, line) == (found.seq, found.line)
    assert why in found.what


@given(st.data(), st.lists(worlds.any_facts, min_size=1, max_size=4))
def test_no_changed_byte_goes_unseen(data: st.DataObject, drawn: list[facts.Fact]) -> None:
    """Any one byte changed to another either leaves the values as they were or breaks the chain."""
    head, lines = chain.Head(), []
    for fact in drawn:
        entry = chain.link(head, fact)
        head = chain.head_of(entry)
        lines.append(entries.to_line(entry))
    which = data.draw(st.integers(0, len(lines) - 1))
    where = data.draw(st.integers(0, len(lines[which]) - 1))
    byte = data.draw(st.integers(0, 255))
    changed = lines[which][:where] + bytes([byte]) + lines[which][where + 1 :]
    found = chain.verify([*lines[:which], changed, *lines[which + 1 :]])
    if isinstance(found, chain.Broken):
        assert which + 1 in {found.seq, found.seq - 1}
    else:
        assert (len(lines), head) == (found.count, found.head)
        assert lines[which] == changed or json.loads(lines[which]) == json.loads(changed)
