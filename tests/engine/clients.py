"""Values of processes that are clients: looks and windows of their own connections whose other side has closed."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from lastack.engine import samples, trends
from tests.engine import makers

DATABASE = "10.9.0.7:7000"
CACHE = "[2001:db8::7]:6379"


def look(
    second: float,
    ages: Mapping[str, Sequence[float]],
    *,
    files: int | samples.Missing = 60,
    files_limit: int | samples.Missing = 1024,
    pid: int = 7,
    started: float = 5,
    dead: Mapping[str, Sequence[float]] | samples.Missing = samples.NOT_WALKED,
    first_dead: int = 1000,
) -> samples.OutboundLook:
    """A look at one process: by server, the ages in seconds of the connections that it did not close.

    `dead` likewise of those that are over, numbered from `first_dead`; a row with such a number is what was before.
    """
    columns = [age for those in ages.values() for age in those]
    over: Mapping[str, Sequence[float]] = {} if isinstance(dead, samples.Missing) else dead
    peers = tuple(ages) + tuple(peer for peer in over if peer not in ages)
    gone = makers.dead([age for those in over.values() for age in those], first=first_dead)
    return samples.OutboundLook(
        at=makers.at(second),
        process=samples.ProcessSample(
            samples.Pid(pid),
            samples.Pid(1),
            "worker",
            makers.seconds(started),
            files,
            files_limit,
            4,
            dead=dead if isinstance(dead, samples.Missing) else len(gone.inodes),
        ),
        rows=makers.close_waits(columns),
        peers=peers,
        peer_of=array("I", [peers.index(peer) for peer, those in ages.items() for _ in those]),
        namespace=makers.NAMESPACE,
        dead=dead if isinstance(dead, samples.Missing) else gone,
        dead_peer_of=None
        if isinstance(dead, samples.Missing)
        else array("I", [peers.index(peer) for peer, those in over.items() for _ in those]),
    )


def window(*looks: samples.OutboundLook, trend_of: trends.Trends | None = None) -> samples.OutboundWindow:
    """A window of looks."""
    return samples.OutboundWindow(looks, trend_of or {})


def spread(count: int, oldest: float, youngest: float = 0) -> list[float]:
    """So many ages, evenly from the oldest to the youngest."""
    step = (oldest - youngest) / max(1, count - 1)
    return [oldest - step * index for index in range(count)]
