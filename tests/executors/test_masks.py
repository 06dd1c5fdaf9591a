"""What looks like a secret in the name of a thread is not shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack.executors.thread_dump import masks, stacks


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET http://admin:hunter2@db/1", "GET http://***@db/1"),
        ("pool password=hunter2 size=3", "pool password=*** size=3"),
        ("call?api_key=abc123&page=2", "call?api_key=***&page=2"),
        ("x-auth-token: abc123", "x-auth-token: ***"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
        ("sends Bearer abcdefgh12345678", "sends Bearer ***"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "***"),
        ("key AKIAIOSFODNN7EXAMPLE", "key ***"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "***"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, shown: str) -> None:
    """Whatever stands around it stays."""
    assert shown == masks.masked(text)
    assert shown == stacks.plain(text)


@pytest.mark.parametrize(
    "name",
    [
        "http-nio-8080-exec-1",
        "kafka-coordinator-heartbeat-thread | orders",
        "TokenRefresher.refresh",
        "java.util.concurrent.locks.AbstractQueuedSynchronizer$ConditionObject.await",
        "main.(*Shop).stock",
        "pool-2-thread-17",
        "HikariPool-1 connection adder",
        "basic authentication cache",
    ],
)
def test_ordinary_names_are_left_as_they_are(name: str) -> None:
    """A mask that hides the place would hide the answer."""
    assert name == masks.masked(name)


@given(st.text(max_size=200))
def test_any_text_is_masked_once_and_for_all(text: str) -> None:
    """No crash, and what is masked stays as it is."""
    once = masks.masked(text)
    assert once == masks.masked(once)
