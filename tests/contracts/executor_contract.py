"""What every Executor keeps: the tests of an executor subclass `ExecutorContract` and give a `bed`.

Not collected by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import pytest

from lastack import ports
from lastack.engine import actions, outcomes, reasons
from tests.executors import worlds

_T = TypeVar("_T")

LONGEST_CALL_SECONDS = 1.0


class Bed(Protocol):
    """A world in which `step` can succeed."""

    step: actions.Step
    stale: actions.Step
    """The same, expecting a life that is over."""
    leaves_traces: bool
    """Whether the world shows afterwards that the step happened."""

    def executor(self) -> ports.Executor:
        """A new instance, that remembers nothing."""
        ...


def promptly(call: Callable[[], _T]) -> _T:
    """The value of a call that must not block its worker."""
    began = time.monotonic()
    value = call()
    assert time.monotonic() - began < LONGEST_CALL_SECONDS
    return value


class ExecutorContract:
    """The claims."""

    @pytest.fixture
    def bed(self) -> Bed:
        """Each executor brings its own."""
        raise NotImplementedError

    def test_begin_and_poll_return_promptly_until_an_outcome(self, bed: Bed) -> None:
        """A worker of the pool is never held for the whole length of a step."""
        executor = bed.executor()
        found = promptly(lambda: executor.begin(bed.step))
        deadline = time.monotonic() + worlds.WITHIN.total_seconds()
        while isinstance(found, outcomes.Running):
            assert time.monotonic() < deadline, found.text
            time.sleep(0.01)
            found = promptly(lambda: executor.poll(bed.step))
        assert isinstance(found, outcomes.Succeeded), found

    def test_a_step_for_a_life_that_is_over_is_refused(self, bed: Bed) -> None:
        """The precondition on the incarnation is checked by the executor itself."""
        found = bed.executor().begin(bed.stale)
        assert isinstance(found, outcomes.Refused)
        assert reasons.Reason.INCARNATION_CHANGED == found.reason

    def test_what_was_not_begun_has_not_happened(self, bed: Bed) -> None:
        """A crash between the intent and the act leaves the world as it was, and reconcile says so."""
        assert isinstance(promptly(lambda: bed.executor().reconcile(bed.step)), outcomes.NotHappened)

    def test_a_new_instance_tells_what_happened(self, bed: Bed) -> None:
        """A crash between the act and its record: the world tells, not a memory."""
        worlds.carried(bed.executor(), bed.step)
        found = bed.executor().reconcile(bed.step)
        expected = outcomes.Happened if bed.leaves_traces else outcomes.NotHappened
        assert isinstance(found, expected), found
