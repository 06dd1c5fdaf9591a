"""How much processor time looking may take, as a share of the time that passes. Called by rounds."""

import datetime as dt

_SAVED = dt.timedelta(seconds=2)
"""What is not spent is kept for so long, so that a quiet minute does not end in a burst."""
_LEAST_FOR_WORK = 0.1
"""Of what comes in, so much is for whole looks even when the glances alone take everything."""


class Budget:
    """Earns with time and pays for what was done. A work that costs more than is there is paid for afterwards."""

    def __init__(self, share: float) -> None:
        """Take the share of one processor, 0.01 for a hundredth."""
        self._share = share
        self._left = dt.timedelta(0)

    def earn(self, passed: dt.timedelta, fixed: dt.timedelta) -> None:
        """Time has passed, in which `fixed` was spent on what has to be done in any case."""
        earned = self._share * passed
        most = max(self._share * _SAVED, earned)
        self._left = min(self._left + max(earned - fixed, _LEAST_FOR_WORK * earned), most)

    def pay(self, spent: dt.timedelta) -> None:
        """Something was done; there may be a debt now."""
        self._left -= spent

    @property
    def is_open(self) -> bool:
        """Whether something may be begun."""
        return self._left > dt.timedelta(0)
