"""One instant, told by two clocks. Made by the shell, an argument everywhere in the engine."""

import dataclasses
import datetime as dt

UTC = dt.UTC


@dataclasses.dataclass(frozen=True, slots=True)
class Now:
    """An instant of one host.

    `wall` is UTC: calendars, budgets and cooldowns use it. `steady` is the time since boot including
    suspend (CLOCK_BOOTTIME): waits use it. `boot_id` tells which boot `steady` counts from.
    """

    wall: dt.datetime
    steady: dt.timedelta
    boot_id: str

    def since(self, earlier: "Now") -> dt.timedelta:
        """Time that passed since `earlier`; across a reboot the wall clock is all there is."""
        if self.boot_id == earlier.boot_id:
            return self.steady - earlier.steady
        return max(self.wall - earlier.wall, dt.timedelta(0))


def rfc3339(wall: dt.datetime, *, microseconds: bool = False) -> str:
    """Write a UTC time as the contracts want it: 2026-11-22T10:00:42Z."""
    spec = "microseconds" if microseconds else "seconds"
    return wall.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=spec) + "Z"


def from_rfc3339(text: str) -> dt.datetime:
    """Read what `rfc3339` wrote. Raises ValueError on anything else."""
    if not text.endswith("Z"):
        raise ValueError(f"{text!r} is not a UTC time; expected the form 2026-11-22T10:00:42Z")
    return dt.datetime.fromisoformat(text[:-1]).replace(tzinfo=UTC)
