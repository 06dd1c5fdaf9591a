"""Where a running process gets its policies: a directory that is read again on request, or a fixed set.

Implements ports.PolicySource. Reading validates in a child process and may take a second, so it has a thread of its
own; the tick thread only takes what is ready.
"""

import pathlib
import queue
import threading
from collections.abc import Sequence

from lastack import errors, ports
from lastack.policy import problems, valid
from lastack.stores import policy_files


class FixedPolicies:
    """A set that never changes."""

    def __init__(self, policies: Sequence[valid.Policy]) -> None:
        """Take the policies."""
        self._news: ports.PolicyNews | None = ports.PolicyNews(tuple(policies))

    def news(self) -> ports.PolicyNews | None:
        """The set, once."""
        news, self._news = self._news, None
        return news


class PolicyDirectory:
    """The policies of a directory; `reload` reads it again, and a set with an error is refused whole."""

    def __init__(self, directory: pathlib.Path) -> None:
        """Read the directory now. Raises PolicyError with every problem when the set cannot be used."""
        self._directory = directory
        self._ready: queue.SimpleQueue[ports.PolicyNews] = queue.SimpleQueue()
        first = policy_files.read_policy_set(directory)
        if not first.usable:
            raise errors.PolicyError(
                written(first.problems), fix=f"`lastack policy check {directory}` shows the same"
            )
        self.warnings = first.problems
        self._ready.put(ports.PolicyNews(first.policies))

    def reload(self) -> None:
        """Read the directory again, beside everything else; called on SIGHUP."""
        threading.Thread(target=self._read, name="policies", daemon=True).start()

    def news(self) -> ports.PolicyNews | None:
        """The newest set that was read since the last call."""
        found = None
        while not self._ready.empty():
            found = self._ready.get_nowait()
        return found

    def _read(self) -> None:
        found = policy_files.read_policy_set(self._directory)
        rejected = None if found.usable else written(found.problems)
        self._ready.put(ports.PolicyNews(found.policies if rejected is None else (), rejected))


def written(found: Sequence[problems.Problem]) -> str:
    """Every problem, one a line."""
    return "\n".join(str(problem) for problem in found)
