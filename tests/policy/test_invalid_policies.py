"""Invalid policies: each kind with its code, its place and its very sentence."""

import pytest

from lastack.policy import loading
from tests.policy import documents, mistakes
from tests.policy.mistakes import amounts, conditions, fields, ladders, targets
from tests.policy.mistakes import documents as wrong_documents

CASES = [
    *fields.CASES,
    *targets.CASES,
    *ladders.CASES,
    *amounts.CASES,
    *conditions.CASES,
    *wrong_documents.CASES,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_an_invalid_policy_is_refused_with_place_and_sentence(case: mistakes.Case) -> None:
    """Each mistake is found at its line and column, and said in one sentence; nothing else is said."""
    loaded = loading.load({"p.yaml": documents.edited(*case.edits).encode()})

    assert case.expected == [
        (problem.code, str(problem).removeprefix("p.yaml:")) for problem in loaded.problems
    ]
    assert () == loaded.policies


def test_all_problems_of_all_files_come_in_one_run_in_the_order_of_their_lines() -> None:
    """Nobody has to mend one mistake to see the next."""
    text = documents.edited(
        ("mode: enforce", "mode: off"), ("[8080]", "[0]"), ("cooldown: 30m", "cooldwn: 30m")
    )
    loaded = loading.load({"b.yaml": text.encode(), "a.yaml": b"[", "c.yaml": documents.VALID.encode()})

    assert [("a.yaml", 1), ("b.yaml", 5), ("b.yaml", 8), ("b.yaml", 22), ("c.yaml", 3)] == [
        (problem.file, problem.line) for problem in loaded.problems
    ]
    assert not loaded.usable
