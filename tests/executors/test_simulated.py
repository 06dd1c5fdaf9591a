"""The dry run says in a sentence what would be done, for every kind of step."""

from __future__ import annotations

import dataclasses

import pytest

from lastack import ports
from lastack.engine import actions, outcomes, samples
from lastack.executors import simulated
from tests.contracts import executor_contract
from tests.executors import worlds

SYSCTL = actions.SysctlWrite("net.core.somaxconn", "4096", "128", "member", samples.Pid(4711), 4026531999)


@pytest.mark.parametrize(
    ("work", "sentence"),
    [
        (
            worlds.dump_series(4711, 4712, count=3, every_ms=5000),
            "would take 3 thread dumps 5s apart of a, 2 processes (4711, 4712)",
        ),
        (
            SYSCTL,
            "would set net.core.somaxconn from 128 to 4096 in the network namespace of a (pid 4711), inode 4026531999",
        ),
        (
            dataclasses.replace(SYSCTL, scope="host"),
            "would set net.core.somaxconn from 128 to 4096 in the host's network namespace, inode 4026531999",
        ),
        (
            worlds.replacement(probe=worlds.PROBE),
            "would replace a (now 1@1.00), ask /health and wait up to 20s until it is ready",
        ),
        (worlds.replacement(), "would replace a (now 1@1.00) and wait up to 20s until it is ready"),
    ],
)
def test_the_sentence_says_what_to_whom(work: actions.Work, sentence: str) -> None:
    """A person who reads it in the ledger knows what enforce would have done."""
    assert outcomes.Simulated(sentence) == simulated.SimulatedExecutor().begin(worlds.step_of(work))


class SimulatedBed:
    """A dry run of a replacement."""

    def __init__(self) -> None:
        self.step = worlds.step_of(worlds.replacement())
        self.stale = worlds.step_of(worlds.replacement(), expected=actions.Incarnation("9@9.00"))
        self.leaves_traces = False

    def executor(self) -> ports.Executor:
        """A new instance."""
        return simulated.SimulatedExecutor()


class TestSimulatedKeepsTheContract(executor_contract.ExecutorContract):
    """The claims of every executor."""

    @pytest.fixture
    def bed(self) -> executor_contract.Bed:
        """Nothing but values."""
        return SimulatedBed()
