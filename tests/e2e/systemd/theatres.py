"""Plays scenarios side by side in one box, each in a thread of its own. Used by test_systemd."""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Self

from tests.box import boxes
from tests.e2e.systemd import beds, scenarios

LONGEST_SECONDS = 280.0


class Theatre:
    """Begins all wanted scenarios when it is entered; `played` waits for one of them."""

    def __init__(self, box: boxes.Box, program: Mapping[str, tuple[scenarios.Scenario, beds.Bed]]) -> None:
        self._box = box
        self._program = program
        self._closing = contextlib.ExitStack()
        self._futures: dict[str, concurrent.futures.Future[scenarios.Played]] = {}

    def __enter__(self) -> Self:
        """Lay the beds and begin."""
        threads = concurrent.futures.ThreadPoolExecutor(max(len(self._program), 1))
        self._closing.callback(threads.shutdown)
        self._closing.enter_context(beds.made(self._box, *(bed for _, bed in self._program.values())))
        for name, (scenario, bed) in self._program.items():
            self._futures[name] = threads.submit(_play, scenario, bed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what is still played: its lastack goes, and its thread notices."""
        self._closing.close()

    def played(self, name: str) -> scenarios.Played:
        """What is left of a scenario; raises what it raised."""
        return self._futures[name].result(LONGEST_SECONDS)


def _play(scenario: scenarios.Scenario, bed: beds.Bed) -> scenarios.Played:
    """One scenario; its stage is cleared at once, so that it costs the others nothing."""
    try:
        return scenario(bed)
    finally:
        bed.clear()


def program(box: boxes.Box, wanted: Collection[str]) -> dict[str, tuple[scenarios.Scenario, beds.Bed]]:
    """The wanted scenarios with their beds. Names of units and ports are used once."""
    limit = "StartLimitBurst=2\nStartLimitIntervalSec=1m"
    everything: dict[str, tuple[scenarios.Scenario, beds.Bed]] = {
        "story": (scenarios.story, beds.Bed(box, "warehouse", (8081, 8082))),
        "intent": (scenarios.ended_before_it_arrives, beds.Bed(box, "intent", (8111,))),
        "job": (scenarios.killed_during_the_job, beds.Bed(box, "job", (8121,))),
        "outcome": (scenarios.ended_before_the_outcome, beds.Bed(box, "outcome", (8131,))),
        "dumps": (scenarios.killed_during_the_dumps, beds.Bed(box, "dumps", (8141,))),
        "sigterm": (scenarios.terminated_during_the_job, beds.Bed(box, "sigterm", (8151,))),
        "limit": (scenarios.at_the_start_limit, beds.Bed(box, "limit", (8161,), limit=limit)),
        "reload": (scenarios.under_other_policies, beds.Bed(box, "reload", (8171, 8172))),
    }
    return {name: each for name, each in everything.items() if name in wanted}
