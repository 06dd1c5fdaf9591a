"""Calls outward that are tried again: the only file that imports tenacity. Called by adapters (D-Bus, HTTP).

Only errors.Transient is tried again; everything else is told at once. What must not happen twice (a restart)
is never passed through here.
"""

import dataclasses
import datetime as dt
import time
from collections.abc import Callable
from typing import TypeVar

import tenacity

from lastack import errors

_Answer = TypeVar("_Answer")


@dataclasses.dataclass(frozen=True, slots=True)
class Backoff:
    """How often a call is tried, and how long to wait in between: `first`, doubled up to `longest`.

    Up to `jitter` is added at random, so that many callers do not come back in the same instant.
    """

    attempts: int = 3
    first: dt.timedelta = dt.timedelta(milliseconds=50)
    longest: dt.timedelta = dt.timedelta(milliseconds=400)
    jitter: dt.timedelta = dt.timedelta(milliseconds=50)


def call(
    ask: Callable[[], _Answer], *, backoff: Backoff | None = None, wait: Callable[[float], None] = time.sleep
) -> _Answer:
    """The answer of `ask`, asked again after errors.Transient; raises the last error in the end.

    `wait` gets seconds; a test passes its own.
    """
    how = backoff or Backoff()
    retry = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(errors.Transient),
        stop=tenacity.stop_after_attempt(how.attempts),
        wait=tenacity.wait_exponential(multiplier=how.first.total_seconds(), max=how.longest.total_seconds())
        + tenacity.wait_random(0, how.jitter.total_seconds()),
        sleep=wait,
        reraise=True,
    )
    return retry(ask)
