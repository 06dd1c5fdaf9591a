"""The commands that a lab prints for a second terminal show what it says that they show."""

from __future__ import annotations

import datetime as dt

import pytest

from lastack.lab import plans, scenarios
from tests import waiting
from tests.lab import labs

QUEUE_EMPTY = r"LISTEN +0 +50 "
MEANT: dict[plans.Name, tuple[str | labs.Many, ...]] = {
    plans.Name.FD_EXHAUSTION: (r"^64$", r"files +64 +64 ", r"LISTEN +[1-9]\d* +50 "),
    plans.Name.ACCEPT_STALL: (
        r"LISTEN +51 +50 ",
        labs.Many(r"\n[1-9]\d* ", 9),
        labs.Many(r"wait_for_inventory_lock", 8),
    ),
    plans.Name.OVERLOAD: (r"LISTEN +51 +50 ", labs.Many(r"ino:0 ", 25), r"ListenDrops +[1-9]"),
    plans.Name.BACKLOG_TOO_SMALL: (r"LISTEN +\d+ +16 ", r"ListenDrops +[1-9]", r"^16$"),
    plans.Name.HANDLER_STALL: (
        QUEUE_EMPTY,
        r"\n1 +0 ",
        labs.Many(r"ask_without_time_out", 2),
        labs.Many(r"127\.0\.0\.1:9090", 2),
    ),
    plans.Name.FD_LEAK: (labs.Many(r"\n0 +0 ", 10), QUEUE_EMPTY, r"^[2-9]\d$"),
    plans.Name.SYN_PRESSURE: (r"^(49|5[01])$", QUEUE_EMPTY, r"FullDrop +[1-9]", r"^0$"),
    plans.Name.SYN_PRESSURE_COOKIES: (r"^(49|5[01])$", QUEUE_EMPTY, r"DoCookies +[1-9]", r"^1$"),
    plans.Name.OUTBOUND_LEAK: (labs.Many(r":9090 +users", 5), r"^Recv-Q[^\n]*\n?$", r"^[1-9]\d$"),
    # Half of them: what was sent this very moment stands in Send-Q until it is acknowledged.
    plans.Name.HALF_CLOSE_IN_USE: (labs.Many(r"\n0 +0 ", 12), labs.Many(r"lastsnd:\d{1,3}\b", 12)),
    plans.Name.HEALTHY: (r"LISTEN +\d +50 ", r"^Recv-Q"),
}
"""What the output of each command has in the end, in the order in which they are printed."""


@pytest.mark.timeout(150)
@pytest.mark.parametrize("name", list(plans.Name))
def test_each_look_shows_it(name: plans.Name) -> None:
    """Also that each command is printed as it can be copied."""
    looks = scenarios.SCENARIOS[name].looks
    with labs.terminal(name) as terminal:
        for look, meant in zip(looks, MEANT[name], strict=True):
            enter = f"nsenter --target {terminal.service} --net"
            command = look.command.format(enter=enter, pid=terminal.service)
            assert f"  {command}\n" in terminal.said

            def shows(command: str = command, meant: str | labs.Many = meant) -> bool:
                return labs.says(terminal.run(command).stdout, meant)

            waiting.wait_until(shows, within=dt.timedelta(seconds=60), what=f"{meant} from {command}")
