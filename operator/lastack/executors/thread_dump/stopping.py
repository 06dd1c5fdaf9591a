"""A dump by a child that may stop threads of the process: wait for it, end it, leave the process as it was found.

Used by `node`, `native` and `delve`, each with a child of its own. A child that did not end by itself, but
by the alarm that bounds its stop or because nobody waits for it any more, may leave the process stopped.
"""

import dataclasses
import datetime as dt
import signal
from collections.abc import Callable

from lastack import errors
from lastack.executors.thread_dump import children, forks
from lastack.kernel import procfs


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """One dump: of which process, `what` of it, by which child, within which time."""

    pid: int
    what: str
    """As it stands in messages: `the native stacks`."""
    whose: str
    """Who stands while it is read, as it stands in messages: `a thread`."""
    work: Callable[[], int]
    """Runs in the child; its result is the exit status. See `children` for what it says on failure."""
    within: dt.timedelta
    max_pause: dt.timedelta
    mend: Callable[[], None]
    """Puts right what the child left behind. Raises NotReachable where the process is not as before."""
    mends_always: bool
    """Also after a child that ended by itself."""
    failure: Callable[[str, str], errors.WorldError | None] = lambda _code, _words: None
    """The error for a code and the words with it; None for what is told alike of all."""
    longer: str = "raise maxPause, or look when the machine is less busy"
    """What to do when the stop was too short."""


class Stopping:
    """One dump that is being taken; close() ends it early."""

    def __init__(self, plan: Plan) -> None:
        """Start the child."""
        self._plan = plan
        self._left = plan.within
        self._to_mend = True
        self._child = forks.Child(plan.work)

    def wait(self, within: dt.timedelta) -> bytes | None:
        """What the child found, or None when it is not there `within` this time: call again.

        Raises NotPermitted, NotReachable or Unsupported with the reason.
        """
        status = self._child.wait(min(within, self._left))
        if status is None:
            self._left -= within
            if self._left > dt.timedelta(0):
                return None
            self.close()
            raise errors.NotReachable(f"{self._plan.what} of process {self._plan.pid} were not there in time")
        self._to_mend = status < 0 or self._plan.mends_always
        found, said = self._child.output(), self._child.said()
        self.close()
        if status == 0:
            return found
        raise self._failure(status, said)

    def close(self) -> None:
        """End it; the process runs on as before. Raises NotReachable where it does not."""
        self._child.close()
        if self._to_mend:
            self._to_mend = False
            self._plan.mend()

    def _failure(self, status: int, said: str) -> errors.WorldError:
        plan = self._plan
        code, _, words = said.strip().partition(" ")
        if status == -signal.SIGALRM or code == children.LATE:
            return errors.NotReachable(
                f"{plan.whose} of process {plan.pid} would have been stopped longer than "
                f"{plan.max_pause.total_seconds() * 1000:g} ms (maxPause); the stop was ended, and it runs on",
                fix=plan.longer,
            )
        if code == children.GONE or procfs.is_gone(plan.pid):
            return errors.NotReachable(f"process {plan.pid} has ended")
        return plan.failure(code, words) or errors.NotReachable(
            f"{plan.what} of process {plan.pid} could not be read: {words[:300] or f'status {status}'}"
        )
