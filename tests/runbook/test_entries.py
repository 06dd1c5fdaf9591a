"""Entries: a fact with a place in the chain, and back again without loss."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given

from lastack import errors
from lastack.engine import actions, facts, instants, reasons
from lastack.policy import valid, vocabulary
from lastack.runbook import chain, entries
from tests.runbook import given as worlds

NOW = instants.Now(
    dt.datetime(2026, 11, 22, 10, 0, 42, 120_000, dt.UTC), dt.timedelta(seconds=90, microseconds=7), "boot-1"
)
REFUSED = facts.Fact(
    kind=facts.FactKind.ACTION_REFUSED,
    at=NOW,
    text="restarted 12m ago, cooldown is 30m",
    incident=actions.IncidentId("device-api-k3jq7w2m4a"),
    policy=valid.PolicyName("device-api"),
    policy_hash="sha256:" + "1" * 64,
    mode=vocabulary.Mode.ENFORCE,
    target="device-api",
    member=actions.MemberName("device-api@1.service"),
    stage=valid.StageName("replace"),
    action=vocabulary.ActionKind.ROLLING_RESTART,
    action_id=actions.StepId("s1"),
    reason=reasons.Reason.COOLDOWN,
    data={"expected": "4711:99", "big": 2**63},
)
ENTRY = chain.link(chain.Head(6, "sha256:" + "2" * 64), REFUSED)


def test_has_every_field_of_the_contract_under_its_name() -> None:
    """Scripts rely on these names; steady and bootId are ours, for waits."""
    found = json.loads(entries.to_line(ENTRY))
    assert {
        "v": 1,
        "seq": 7,
        "at": "2026-11-22T10:00:42.120000Z",
        "steady": "90.000007",
        "bootId": "boot-1",
        "kind": "action.refused",
        "incident": "device-api-k3jq7w2m4a",
        "policy": "device-api",
        "policyHash": "sha256:" + "1" * 64,
        "mode": "enforce",
        "target": "device-api",
        "member": "device-api@1.service",
        "stage": "replace",
        "action": "rollingRestart",
        "actionId": "s1",
        "reason": "cooldown",
        "text": "restarted 12m ago, cooldown is 30m",
        "counterfactual": False,
        "data": {"expected": "4711:99", "big": "9223372036854775808"},
        "actor": "lastack",
        "prev": "sha256:" + "2" * 64,
        "hash": ENTRY.hash,
    } == found
    assert set(entries.FIELDS) == set(found)


def test_a_field_that_does_not_apply_is_null() -> None:
    """A reader finds every field in every entry."""
    found = json.loads(
        entries.to_line(chain.link(chain.Head(), facts.Fact(facts.FactKind.LASTACK_STARTED, NOW, "")))
    )
    nulls = {key for key, value in found.items() if value is None}
    assert {
        "incident",
        "policy",
        "policyHash",
        "mode",
        "target",
        "member",
        "stage",
        "action",
        "actionId",
        "reason",
    } == nulls


@given(worlds.any_facts)
def test_any_fact_comes_back_from_its_line(fact: facts.Fact) -> None:
    """Fact to entry to line to entry: the same entry, and the same bytes when written again."""
    entry = chain.link(chain.Head(), fact)
    line = entries.to_line(entry)
    again = entries.from_line(line)
    assert entry == again
    assert line == entries.to_line(again)
    assert b"\n" not in line


@given(worlds.any_facts)
def test_settling_twice_is_settling_once(fact: facts.Fact) -> None:
    """The fact that folds see while running is the fact that they read back later."""
    settled = entries.settled(fact)
    assert settled == entries.settled(settled)


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("v", 2, "reads entries of version 1"),
        ("v", True, "reads entries of version 1"),
        ("seq", 0, "from 1"),
        ("seq", True, "from 1"),
        ("seq", "7", "from 1"),
        ("at", "2026-11-22T10:00:42Z", "expected the form"),
        ("at", "yesterday", "expected the form"),
        ("at", 5, "expected a string"),
        ("steady", "90", "expected seconds"),
        ("steady", "-1.000000", "expected seconds"),
        ("kind", "action.dreamt", "newer"),
        ("mode", "god", "newer"),
        ("reason", "because", "newer"),
        ("member", 5, "expected a string"),
        ("counterfactual", None, "true or false"),
        ("data", None, "an object"),
        ("prev", "sha256:1", "64 hexadecimal digits"),
        ("hash", None, "expected a string"),
        ("mood", "fine", "not one of an entry"),
    ],
)
def test_says_which_field_of_a_line_is_wrong(field: str, value: object, why: str) -> None:
    """Where, what was found, what was expected."""
    found = {**json.loads(entries.to_line(ENTRY)), field: value}
    with pytest.raises(errors.NotAnEntry, match=why):
        entries.from_line(json.dumps(found).encode())


def test_says_which_field_is_missing() -> None:
    """A line without one of the fields is no entry."""
    found = json.loads(entries.to_line(ENTRY))
    del found["actor"]
    with pytest.raises(errors.NotAnEntry, match="'actor' is missing"):
        entries.from_line(json.dumps(found).encode())


def test_a_steady_clock_before_its_boot_is_a_defect() -> None:
    """Such a time could not be read back, so it is never written."""
    wrong = instants.Now(NOW.wall, dt.timedelta(seconds=-1), "boot-1")
    with pytest.raises(errors.InvariantBroken, match="before the boot"):
        chain.link(chain.Head(), facts.Fact(facts.FactKind.CLOCK_STEPPED, wrong, ""))
