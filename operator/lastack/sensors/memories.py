"""What is remembered of a listener between two looks: its rows, and how its queue moved since. Called by sampler."""

import dataclasses
from collections.abc import Collection, Iterable

from lastack.engine import samples
from lastack.kernel import descriptors, sock_diag
from lastack.sensors import connections

_FIRST_LOOK = samples.Missing("there was no look before")
_REMEMBERED_LOOKS = 1000
"""A listener that nobody has looked at for so many looks is forgotten."""

Key = tuple[int, int]
"""Network namespace and cookie of a listener."""


@dataclasses.dataclass(slots=True)
class _Before:
    """The accepted CLOSE_WAIT rows at the look before, which look that was, and the extremes of the queue since."""

    rows: samples.CloseWaitRows
    look: int
    peak: int | None = None
    trough: int | None = None


class ListenerMemories:
    """Remembers listeners that were looked at; flat in memory, whatever comes and goes."""

    def __init__(self) -> None:
        """Know nothing."""
        self._before: dict[Key, _Before] = {}
        self._looks = 0

    def __len__(self) -> int:
        return len(self._before)

    def glance(self, namespace: int, seen: Iterable[sock_diag.Listener]) -> None:
        """Keep the largest and the smallest depth of each listener that was looked at before."""
        for each in seen:
            before = self._before.get((namespace, each.cookie))
            if before is not None:
                before.peak = each.depth if before.peak is None else max(before.peak, each.depth)
                before.trough = each.depth if before.trough is None else min(before.trough, each.depth)

    def peak(self, key: Key, depth: int) -> int | None:
        """The largest depth since the look before, `depth` now included; None where nobody glanced."""
        before = self._before.get(key)
        return None if before is None or before.peak is None else max(before.peak, depth)

    def trough(self, key: Key, depth: int) -> int | None:
        """The smallest depth since the look before, `depth` now included; None where nobody glanced."""
        before = self._before.get(key)
        return None if before is None or before.trough is None else min(before.trough, depth)

    def vanished_open(
        self, key: Key, rows: samples.CloseWaitRows, owner: samples.Owner
    ) -> int | samples.Missing:
        """Accepted rows of the look before that are gone although a process of the owner still has them open."""
        before = self._before.get(key)
        if before is None:
            return _FIRST_LOOK
        gone = connections.vanished(before.rows, rows)
        if not gone:
            return 0
        if owner.missing is not None:
            return owner.missing
        still_open: set[int] = set()
        for process in owner.processes:
            held = descriptors.sockets(process.pid, wanted=gone)
            if isinstance(held, samples.Missing):
                return held
            still_open.update(held)
        return len(still_open)

    def keep(self, key: Key, rows: samples.CloseWaitRows) -> None:
        """Remember this look of a listener; its peak and trough begin anew."""
        self._before[key] = _Before(rows, self._looks)

    def end_look(self, namespace: int, cookies: Collection[int]) -> None:
        """Forget the listeners of the namespace that are gone, and those that nobody looks at any more."""
        self._looks += 1
        oldest = self._looks - _REMEMBERED_LOOKS
        self._before = {
            key: before
            for key, before in self._before.items()
            if before.look >= oldest and (key[0] != namespace or key[1] in cookies)
        }
