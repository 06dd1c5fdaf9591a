"""Who waits in the accept queue over a window, and for how long that was seen."""

from __future__ import annotations

import datetime as dt

import pytest

from lastack.engine import queues, samples
from tests.engine.makers import look, queued, window

BLIND = samples.Missing("not permitted")


def waits(age: float, second: float) -> samples.Look:
    """One connection has waited for that long."""
    return look(second, waiting=queued({1: age}))


@pytest.mark.parametrize(
    ("claim", "seen", "seconds"),
    [
        ("from the first look that saw one of those who wait now", [look(0), waits(1, 2), waits(3, 4)], 2),
        ("whoever came since is not known to wait", [look(0), waits(9, 4)], 0),
        ("nobody waits", [waits(1, 0), look(4)], 0),
        (
            "behind SO_REUSEPORT it is not known who does",
            [look(at, depth=5, waiting=BLIND) for at in (0, 4)],
            0,
        ),
    ],
)
def test_a_wait_is_as_long_as_it_was_seen(claim: str, seen: list[samples.Look], seconds: float) -> None:
    """Not as old as the connection, whose handshake may have ended late."""
    assert dt.timedelta(seconds=seconds) == queues.stood(window(*seen)), claim
