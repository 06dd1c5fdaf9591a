"""Thresholds and conditions of triggers. A table for test_invalid_policies."""

from tests.policy.mistakes import Case

_SIGNAL = "signal: listen.dropRate, raiseAbove: 0.05/s, clearBelow: 0.01/s"


def _of(written: str) -> list[tuple[str, str]]:
    return [(_SIGNAL, written)]


CASES = [
    Case(
        "both pairs of thresholds",
        _of(f"{_SIGNAL}, raiseBelow: 1/s, clearAbove: 2/s"),
        [
            (
                "conflict",
                (
                    "13:89: error: spec.triggers[1].raiseBelow stands here with raiseAbove; expected one pair "
                    "of thresholds"
                ),
            )
        ],
    ),
    Case(
        "half a pair below",
        _of("signal: established, raiseBelow: 5"),
        [
            (
                "missing-field",
                (
                    "13:7: error: spec.triggers[1] has signal established without clearAbove; expected "
                    "clearAbove, a number like 100"
                ),
            )
        ],
    ),
    Case(
        "a forecast that is worse when smaller",
        _of("signal: openFiles.exhaustsIn, raiseAbove: 1h, clearBelow: 30m"),
        [
            (
                "conflict",
                (
                    "13:54: error: spec.triggers[1].raiseAbove stands here for openFiles.exhaustsIn, which is "
                    "worse when it is smaller; expected raiseBelow and clearAbove"
                ),
            )
        ],
    ),
    Case(
        "a forecast without thresholds",
        _of("signal: openFiles.exhaustsIn"),
        [
            (
                "missing-field",
                (
                    "13:7: error: spec.triggers[1] has signal openFiles.exhaustsIn without clearAbove; "
                    "expected clearAbove, a duration like 36h"
                ),
            ),
            (
                "missing-field",
                (
                    "13:7: error: spec.triggers[1] has signal openFiles.exhaustsIn without raiseBelow; "
                    "expected raiseBelow, a duration like 36h"
                ),
            ),
        ],
    ),
    Case(
        "a slope that is not per time",
        _of("signal: openFiles.slope, raiseAbove: 100, clearBelow: 10"),
        [
            (
                "wrong-unit",
                (
                    "13:61: error: spec.triggers[1].raiseAbove is not in the unit of openFiles.slope; expected "
                    "a rate like 10/h"
                ),
            ),
            (
                "wrong-unit",
                (
                    "13:78: error: spec.triggers[1].clearBelow is not in the unit of openFiles.slope; expected "
                    "a rate like 10/h"
                ),
            ),
        ],
    ),
    Case(
        "a forecast that is no time",
        _of("signal: openFiles.exhaustsIn, raiseBelow: 36, clearAbove: 72"),
        [
            (
                "wrong-unit",
                (
                    "13:66: error: spec.triggers[1].raiseBelow is not in the unit of openFiles.exhaustsIn; "
                    "expected a duration like 36h"
                ),
            ),
            (
                "wrong-unit",
                (
                    "13:82: error: spec.triggers[1].clearAbove is not in the unit of openFiles.exhaustsIn; "
                    "expected a duration like 36h"
                ),
            ),
        ],
    ),
    Case(
        "a calm side that is not calmer",
        _of("signal: openFiles.exhaustsIn, raiseBelow: 72h, clearAbove: 36h"),
        [
            (
                "out-of-range",
                "13:83: error: spec.triggers[1].clearAbove is not larger than raiseBelow; expected a larger one",
            )
        ],
    ),
    Case(
        "thresholds without a signal",
        _of("diagnosis: [fd-leak], raiseBelow: 5"),
        [
            (
                "conflict",
                "13:46: error: spec.triggers[1].raiseBelow stands here without signal; expected signal beside it",
            )
        ],
    ),
    Case(
        "no condition",
        [(", " + _SIGNAL, "")],
        [
            (
                "missing-field",
                "13:7: error: spec.triggers[1] has no condition; expected diagnosis, signal or all",
            )
        ],
    ),
    Case(
        "a signal beside several conditions",
        _of(f"{_SIGNAL}, all: [{{diagnosis: [fd-leak]}}, {{{_SIGNAL}}}]"),
        [("conflict", "13:89: error: spec.triggers[1].all stands beside signal; expected one of them")],
    ),
    Case(
        "one condition of several",
        _of(f"all: [{{{_SIGNAL}}}]"),
        [
            (
                "out-of-range",
                (
                    "13:29: error: spec.triggers[1].all holds one condition; expected two or more, or this one "
                    "without all"
                ),
            )
        ],
    ),
    Case(
        "several that are none",
        _of("all: []"),
        [("empty-value", "13:29: error: spec.triggers[1].all is an empty list; expected at least one entry")],
    ),
    Case(
        "an empty condition",
        _of(f"all: [{{}}, {{{_SIGNAL}}}]"),
        [
            (
                "missing-field",
                "13:30: error: spec.triggers[1].all[0] has no condition; expected diagnosis or signal",
            )
        ],
    ),
    Case(
        "a condition with two",
        _of(f"all: [{{diagnosis: [fd-leak], {_SIGNAL}}}, {{{_SIGNAL}}}]"),
        [
            (
                "conflict",
                "13:53: error: spec.triggers[1].all[0].signal stands beside diagnosis; expected one of them",
            )
        ],
    ),
    Case(
        "a condition with an unknown field",
        _of(f"all: [{{{_SIGNAL}, name: x}}, {{{_SIGNAL}}}]"),
        [
            (
                "unknown-field",
                (
                    "13:96: error: spec.triggers[1].all[0].name is not a field; expected diagnosis, signal, "
                    "raiseAbove, clearBelow, raiseBelow or clearAbove"
                ),
            )
        ],
    ),
]
