"""A drawn slice of the honest proof: each server sick once and healthy once. `make corpus` runs all of it.

CORPUS_SEED repeats a draw. Drawn is what ripens within 45 s and leaves the processor to the others.
"""

import os
import random

import pytest

from tests.corpus import conditions, runs, servers, shapes

pytestmark = [pytest.mark.timeout(420), pytest.mark.xdist_group("corpus")]

RIPENS_AT_MOST_SECONDS = 45
SIDE_BY_SIDE = 7
ATTEMPTS = 3
SEED = int(os.environ.get("CORPUS_SEED") or random.SystemRandom().randrange(10_000))
IN_CI = tuple(each for each in servers.ALL if each.in_ci)


def drawn(seed: int) -> list[shapes.Cell]:
    """One sick and one healthy cell of each server."""
    chance = random.Random(seed)
    found = []
    for server in IN_CI:
        fit = [
            cell
            for cell in conditions.cells((server,))
            if cell.ripens_seconds <= RIPENS_AT_MOST_SECONDS and not cell.condition.heavy
        ]
        found += [chance.choice([cell for cell in fit if cell.sick is sick]) for sick in (True, False)]
    return found


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, runs.Outcome]:
    """What came of each drawn cell, by its name; one that proved nothing is run again, with less beside it."""
    found: dict[str, runs.Outcome] = {}
    cells, side_by_side = drawn(SEED), SIDE_BY_SIDE
    for _ in range(ATTEMPTS):
        folder = tmp_path_factory.mktemp("corpus")
        found |= {each.cell.name: each for each in runs.run(cells, folder, jobs=side_by_side)}
        cells, side_by_side = [each.cell for each in found.values() if each.void is not None], 2
        if not cells:
            break
    return found


@pytest.mark.parametrize("server", [each.name for each in IN_CI])
@pytest.mark.parametrize("sick", [True, False], ids=["sick", "healthy"])
def test_the_diagnosis_of_a_real_server_is_right(
    outcomes: dict[str, runs.Outcome], server: str, sick: bool
) -> None:
    """The right code, or unknown that names the missing signal; silence about the healthy; no wrong cause."""
    (cell,) = [each for each in drawn(SEED) if each.server.name == server and each.sick is sick]
    outcome = outcomes[cell.name]
    assert outcome.void is None, f"CORPUS_SEED={SEED}\n{outcome.void}\n{outcome.case()}"
    assert () == outcome.verdict.faults, f"CORPUS_SEED={SEED}\n{outcome.case()}"
    assert 0 == outcome.verdict.disruptive, outcome.case()


def test_every_server_can_be_drawn_sick_and_healthy() -> None:
    """A slice that leaves a server out would prove less than it says."""
    found = {(cell.server.name, cell.sick) for cell in drawn(1)}
    assert {(server.name, sick) for server in IN_CI for sick in (True, False)} == found
