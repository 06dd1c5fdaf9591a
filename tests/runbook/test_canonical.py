"""Canonical JSON: one value, one sequence of bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from lastack import errors
from lastack.engine import outcomes
from lastack.runbook import canonical
from tests.runbook import given as worlds


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"b": 1, "a": None, "A": True}, b'{"A":true,"a":null,"b":1}'),
        ({"text": '\b\t\n\f\r"\\\x00\x1f\x7f/'}, b'{"text":"\\b\\t\\n\\f\\r\\"\\\\\\u0000\\u001f\x7f/"}'),
        ({"text": "ü€😀\u2028"}, '{"text":"ü€😀\u2028"}'.encode()),
        ({"n": (2**53 - 1, -(2**53) + 1, 0)}, b'{"n":[9007199254740991,-9007199254740991,0]}'),
        ({"deep": {"z": (), "y": {}}}, b'{"deep":{"y":{},"z":[]}}'),
    ],
)
def test_writes_as_rfc_8785_says(value: outcomes.Json, written: bytes) -> None:
    """Keys in order, no blanks, only the escapes that the RFC has."""
    assert written == canonical.write(value)


@pytest.mark.parametrize(
    "value", [1.5, 2**53, -(2**53), {"ü": 1}, "\udc80", b"bytes", {"a": (1, float("nan"))}, {1: 2}, [1]]
)
def test_refuses_to_write_what_cannot_be_checked_elsewhere(value: object) -> None:
    """A fraction or a large integer reads differently in another language: it may not get in."""
    with pytest.raises(errors.InvariantBroken, match="cannot stand in an entry"):
        canonical.write(value)  # type: ignore[arg-type]  # the claim is about values of the wrong type


@pytest.mark.parametrize(
    ("said", "settled"),
    [
        (2**53 - 1, 2**53 - 1),
        (2**64, "18446744073709551616"),
        (-(2**60), "-1152921504606846976"),
        (True, True),
        (None, None),
        (b"caf\xe9".decode(errors="surrogateescape"), "caf\ufffd"),
        ({"naïve": (1, "\ud800")}, {"na\\xefve": (1, "\ufffd")}),
    ],
)
def test_settles_what_the_world_said(said: outcomes.Json, settled: outcomes.Json) -> None:
    """Broken text and large numbers are brought into form instead of stopping the ledger."""
    assert settled == canonical.settle(said)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"\xff{}", "not valid UTF-8 at byte 0"),
        (b'{"a":1', "not JSON"),
        (b"", "not JSON"),
        (b"[]", "expected an object"),
        (b'{"a":1.0}', "not a whole number"),
        (b'{"a":1e3}', "not a whole number"),
        (b'{"a":NaN}', "not a whole number"),
        (b'{"a":9007199254740992}', "beyond 2"),
        (b'{"a":' + b"9" * 5000 + b"}", "beyond 2"),
        (b'{"a":1,"a":2}', "twice"),
        (b'{"b":{"a":1,"a":2}}', "twice"),
        ('{"ü":1}'.encode(), "not ASCII"),
        (b'{"a":"\\ud800"}', "half a character"),
        (b'{"a":' + b"[" * 70 + b"]" * 70 + b"}", "too deeply"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "too deeply"),
    ],
)
def test_reads_nothing_that_it_would_not_write(line: bytes, why: str) -> None:
    """What two readers could understand differently is refused, with the reason."""
    with pytest.raises(errors.NotAnEntry, match=why):
        canonical.read(line)


@given(worlds.values)
def test_whatever_is_settled_reads_back_the_same(value: outcomes.Json) -> None:
    """Settled, written and read again is the same value, and another JSON reader agrees."""
    settled = canonical.settle_object({"value": value})
    written = canonical.write(settled)
    assert settled == canonical.read(written)
    assert written == canonical.write(canonical.read(written))
    assert json.loads(written) == json.loads(json.dumps(settled))
