"""Whoever has ended is told, by pidfds and without them."""

import os
import signal

import pytest

from lastack import errors
from lastack.kernel import endings
from tests import own_descriptors, waiting
from tests.sensors import given


def child() -> int:
    """A process that waits for its end."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    return pid


@pytest.mark.parametrize("pidfd", [True, False], ids=["pidfd", "no pidfd"])
def test_those_that_ended_are_told_until_they_are_discarded(pidfd: bool) -> None:
    """A zombie has ended; the others have not."""
    before = own_descriptors.count()
    first, second = child(), child()
    with endings.Endings(pidfd=pidfd) as watched:
        watched.add(first)
        watched.add(second)
        seen = [set(watched.ended())]
        os.kill(first, signal.SIGKILL)
        waiting.wait_until(lambda: set(watched.ended()) == {first}, within=given.SOON, what="the first end")
        os.waitpid(first, 0)
        seen.append(set(watched.ended()))
        watched.discard(first)
        seen.append(set(watched.ended()))
        os.kill(second, signal.SIGKILL)
        os.waitpid(second, 0)
        seen.append(set(watched.ended()))
        watched.discard(0)
    assert [set(), {first}, set(), {second}] == seen
    assert before == own_descriptors.count()


@pytest.mark.parametrize("pidfd", [True, False], ids=["pidfd", "no pidfd"])
def test_a_process_that_is_gone_cannot_be_watched(pidfd: bool) -> None:
    """The caller learns it at once, and nothing is kept."""
    gone = child()
    os.kill(gone, signal.SIGKILL)
    os.waitpid(gone, 0)
    with endings.Endings(pidfd=pidfd) as watched:
        with pytest.raises(errors.NotReachable):
            watched.add(gone)
        assert not watched.ended()
