"""What became of accepted CLOSE_WAIT rows: each counts once, with the age at which it was seen last."""

from __future__ import annotations

import pytest

from lastack.engine import close_waits, samples
from tests.engine import makers
from tests.engine.makers import look, window

STAY = [40.0, 41.0, 42.0]


def looked(second: float, *others: float, unread: int = 9, vanished: int = 0) -> samples.Look:
    """Three rows that stay, and others of these ages, unread unless said otherwise."""
    rows = makers.close_waits([*(age + second for age in STAY), *others], unread=unread)
    return look(second, held=rows, vanished_open=vanished)


COURSES = [
    ("nobody ended", [looked(0), looked(5)], (3, 0, 0, 0)),
    ("one look shows no course", [looked(0)], (0, 0, 0, 0)),
    ("one that was seen twice ended once, old", [looked(0, 33.0), looked(2, 35.0), looked(5)], (3, 0, 1, 0)),
    ("one ended young", [looked(0, 3.0), looked(2, 5.0), looked(5)], (3, 0, 0, 1)),
    ("one may have been old when it ended: it counts as old", [looked(0, 26.0), looked(5)], (3, 0, 1, 0)),
    ("one came and went between", [looked(0), looked(2, 1.0), looked(5)], (3, 0, 0, 1)),
    ("one was read: somebody worked on it", [looked(0), looked(5, unread=2)], (2, 0, 1, 0)),
    ("held rows stay as well", [looked(0, unread=0), looked(5, unread=0)], (0, 3, 0, 0)),
    (
        "one vanished and its descriptor stayed: not ended",
        [looked(0, 33.0), looked(5, vanished=1)],
        (3, 0, 0, 0),
    ),
]


@pytest.mark.parametrize(("claim", "seen", "expected"), COURSES)
def test_the_course_of_rows_over_a_window(
    claim: str, seen: list[samples.Look], expected: tuple[int, int, int, int]
) -> None:
    """Those that stood all the time by class, and those that ended by age."""
    course = close_waits.follow(window(*seen))
    assert expected == (len(course.unread), len(course.held), course.ended_old, course.ended_young), claim


def test_what_joined_in_the_window_has_not_stood_all_of_it() -> None:
    """However old it claims to be: keep-alive makes an age an upper bound."""
    assert 0 == len(close_waits.follow(window(look(0), looked(5))).unread)
