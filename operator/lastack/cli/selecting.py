"""The selectors that every command that looks has: which listeners, in which network namespaces. For all of cli."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lastack import quantities

if TYPE_CHECKING:
    from lastack.sensors import places

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--port",
        "port_numbers",
        type=click.IntRange(1, 65535),
        multiple=True,
        help="Only listeners on this port; may be given again.",
    ),
    click.option(
        "--pid",
        "pids",
        type=click.IntRange(1),
        multiple=True,
        help="Only listeners of this process, in its network namespace; may be given again.",
    ),
    click.option(
        "--unit",
        "units",
        metavar="UNIT",
        multiple=True,
        help="Only listeners of this systemd unit, in its network namespace; may be given again.",
    ),
    click.option(
        "--netns",
        metavar="PID|PATH",
        multiple=True,
        help="In the network namespace of a process, or of a file such as /run/netns/NAME; may be given again.",
    ),
    click.option("--all-netns", is_flag=True, help="In every network namespace that has a process."),
)


def options(command: F) -> F:
    """Add the selectors; the parameters are those of `wanted`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def wanted(
    port_numbers: Sequence[int],
    pids: Sequence[int],
    units: Sequence[str],
    netns: Sequence[str],
    *,
    all_netns: bool,
) -> places.Wanted:
    """What was asked for, in the words of sensors."""
    from lastack.engine import samples  # not for --help
    from lastack.sensors import places

    return places.Wanted(
        ports=frozenset(port_numbers),
        pids=frozenset(samples.Pid(pid) for pid in pids) if pids else None,
        units=frozenset(unit if "." in unit else f"{unit}.service" for unit in units) if units else None,
        netns=tuple(netns),
        all_netns=all_netns,
    )


def words(asked: places.Wanted) -> tuple[str, ...]:
    """The selectors as they could be typed again."""
    found = [f"--port={port}" for port in sorted(asked.ports)]
    found += [f"--pid={pid}" for pid in sorted(asked.pids or ())]
    found += [f"--unit={unit}" for unit in sorted(asked.units or ())]
    found += [f"--netns={where}" for where in asked.netns]
    if asked.all_netns:
        found.append("--all-netns")
    return tuple(found)


def window(_context: click.Context, _option: click.Parameter, text: str) -> dt.timedelta:
    """The value of a `--for` that may be 0; a callback of click."""
    return dt.timedelta(0) if text == "0" else duration(text)


def duration(text: str) -> dt.timedelta:
    """The value of an option that is a duration; raises what click shows."""
    try:
        return quantities.duration(text)
    except ValueError as problem:
        raise click.BadParameter(str(problem)) from problem
