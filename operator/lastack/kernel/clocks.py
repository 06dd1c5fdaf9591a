"""The two clocks of this host and the name of its boot. Called by bootstrap and cli; implements ports.Clock."""

import datetime as dt
import functools
import time

from lastack.engine import instants, samples
from lastack.kernel import procfs


class SystemClock:
    """Tells the time of this host."""

    def now(self) -> instants.Now:
        """Wall time in UTC, and the time since boot with suspend."""
        return instants.Now(
            wall=dt.datetime.now(dt.UTC),
            steady=dt.timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME)),
            boot_id=_boot_id(),
        )


@functools.cache
def _boot_id() -> str:
    """It cannot change under a running process; where it is hidden (some sandboxes) every boot looks the same."""
    found = procfs.boot_id()
    return "unknown" if isinstance(found, samples.Missing) else found
