"""Wait for a condition of the real world with a deadline; used by tests instead of fixed sleeps."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_LOOK_EVERY_SECONDS = 0.01


def wait_until(condition: Callable[[], T | None], *, within: dt.timedelta, what: str) -> T:
    """Call `condition` until its value is true and return that value, which is never None.

    Fails the test with an AssertionError that says `what` was awaited, how long, and the last value seen.
    The condition is looked at once more after the deadline: a slow machine is not a failure.
    """
    deadline = time.monotonic() + within.total_seconds()
    while True:
        late = time.monotonic() >= deadline
        value = condition()
        if value:
            return value
        if late:
            raise AssertionError(f"waited {within.total_seconds():g} s for {what}; last seen: {value!r}")
        time.sleep(_LOOK_EVERY_SECONDS)
