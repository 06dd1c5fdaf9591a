"""A call outward is tried again only when trying again can help."""

import datetime as dt

import pytest

from lastack import errors, retrying


class Flaky:
    """Fails with the given errors, one per call, then answers with the number of calls."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls = 0

    def __call__(self) -> int:
        """Fail, or answer."""
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return self.calls


def test_a_transient_failure_is_tried_again_after_growing_waits() -> None:
    """Two transient failures cost two waits, the second twice as long, and then the answer comes."""
    waits: list[float] = []
    backoff = retrying.Backoff(
        attempts=3,
        first=dt.timedelta(milliseconds=100),
        longest=dt.timedelta(seconds=1),
        jitter=dt.timedelta(0),
    )
    flaky = Flaky(errors.Transient("gone"), errors.Transient("gone"))
    assert 3 == retrying.call(flaky, backoff=backoff, wait=waits.append)
    assert [0.1, 0.2] == waits


def test_attempts_are_bounded_and_the_last_error_is_told() -> None:
    """When every attempt fails, the caller sees the last error itself and not the retry machinery."""
    flaky = Flaky(*(errors.Transient(f"failure {n}") for n in range(1, 10)))
    with pytest.raises(errors.Transient, match="failure 3"):
        retrying.call(flaky, wait=lambda _seconds: None)
    assert 3 == flaky.calls


@pytest.mark.parametrize(
    "failure",
    [errors.NotPermitted("no"), errors.NotReachable("no"), errors.InvariantBroken("no"), ValueError("no")],
)
def test_nothing_else_is_tried_again(failure: Exception) -> None:
    """A missing right, a thing that is gone and a defect are told at once, without a wait."""
    waits: list[float] = []
    flaky = Flaky(failure)
    with pytest.raises(type(failure)):
        retrying.call(flaky, wait=waits.append)
    assert (1, []) == (flaky.calls, waits)


def test_jitter_keeps_callers_apart() -> None:
    """With jitter the same failure does not wait for exactly the same time twice."""
    waits: list[float] = []
    for _ in range(20):
        retrying.call(Flaky(errors.Transient("gone")), wait=waits.append)
    assert len(set(waits)) > 1
    assert all(0.05 <= wait <= 0.1 for wait in waits)
