"""Whether one more start would drive a unit into `failed` (start-limit-hit). Pure; called by replacements.

Every start counts, a restart too, whoever asks for it; the start beyond StartLimitBurst within StartLimitInterval
stops the unit and leaves it failed. systemd does not tell its count, so what is provable from its time stamps
decides, and what cannot be proven is refused until it can: the count is at most the starts within the last interval.
"""

import dataclasses
import datetime as dt

from lastack import quantities


@dataclasses.dataclass(frozen=True, slots=True)
class Limit:
    """StartLimitBurst starts within StartLimitInterval (None: for ever). Zero for either is no limit."""

    burst: int
    interval: dt.timedelta | None

    @property
    def holds(self) -> bool:
        """Whether there is a limit at all."""
        return self.burst > 0 and self.interval != dt.timedelta(0)

    def covers(self, age: dt.timedelta | None) -> bool:
        """Whether something that old (None: it never was) is within the interval."""
        return age is not None and (self.interval is None or age <= self.interval)


@dataclasses.dataclass(frozen=True, slots=True)
class Starts:
    """What systemd's time stamps tell about the starts of a unit, as ages; None is never.

    `stopped` is the latest stop since systemd loaded the unit: everything before it began earlier still.
    """

    latest: dt.timedelta | None
    stopped: dt.timedelta | None


def most_starts(limit: Limit, starts: Starts) -> int:
    """The largest number of starts that systemd may have counted by now."""
    if not limit.covers(starts.latest):
        return 0
    if not limit.covers(starts.stopped):
        return 1
    return limit.burst


def refusal(limit: Limit, starts: Starts) -> str | None:
    """Why one more start is not safe, with the numbers and when it will be; None when it is safe."""
    if not limit.holds or most_starts(limit, starts) < limit.burst:
        return None
    if limit.interval is None or starts.latest is None:
        return (
            f"the unit may be started {limit.burst} times in all (StartLimitIntervalSec=infinity) and has been "
            "started before: one more start could leave it failed and stopped"
        )
    left = quantities.short(limit.interval - starts.latest)
    return (
        f"the unit may be started {limit.burst} times within {quantities.short(limit.interval)}; it was last started "
        f"{quantities.short(starts.latest)} ago, and systemd does not tell how often before: "
        f"one more start could leave it failed and stopped. Safe in {left}"
    )
