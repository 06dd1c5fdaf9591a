"""Triggers and stages. A table for test_invalid_policies."""

from tests.policy.mistakes import Case

CASES = [
    Case(
        "no triggers",
        [
            (
                (
                    "  triggers:\n    - {name: stalled, diagnosis: [accept-stall, fd-leak], sustainedFor: 30s}\n"
                    "    - {name: dropping, signal: listen.dropRate, raiseAbove: 0.05/s, clearBelow: 0.01/s}"
                ),
                "  triggers: []",
            ),
        ],
        [
            ("empty-value", "11:13: error: spec.triggers is an empty list; expected at least one entry"),
        ],
    ),
    Case(
        "a misspelt diagnosis",
        [
            ("accept-stall", "accept-stal"),
        ],
        [
            (
                "bad-value",
                (
                    '12:35: error: spec.triggers[0].diagnosis[0] is "accept-stal"; expected '
                    "fd-exhaustion, accept-stall, overload, backlog-too-small, handler-stall, fd-leak, "
                    "syn-pressure, outbound-leak, half-close-in-use, not-listening, healthy or unknown "
                    "(did you mean accept-stall?)"
                ),
            ),
        ],
    ),
    Case(
        "a diagnosis outside of a list",
        [
            ("[accept-stall, fd-leak]", "accept-stall"),
        ],
        [
            (
                "wrong-type",
                (
                    '12:34: error: spec.triggers[0].diagnosis is "accept-stall"; expected a list (in '
                    "brackets: [accept-stall])"
                ),
            ),
        ],
    ),
    Case(
        "a trigger without condition",
        [
            ("diagnosis: [accept-stall, fd-leak], ", ""),
        ],
        [
            (
                "missing-field",
                "12:7: error: spec.triggers[0] has no condition; expected diagnosis, signal or all",
            ),
        ],
    ),
    Case(
        "a trigger with two conditions",
        [
            ("diagnosis: [accept-stall, fd-leak]", "diagnosis: [fd-leak], signal: closeWait.held"),
        ],
        [
            (
                "conflict",
                "12:45: error: spec.triggers[0].signal stands beside diagnosis; expected one of them",
            ),
        ],
    ),
    Case(
        "a signal without thresholds",
        [
            (", raiseAbove: 0.05/s, clearBelow: 0.01/s", ""),
        ],
        [
            (
                "missing-field",
                (
                    "13:7: error: spec.triggers[1] has signal listen.dropRate without clearBelow; "
                    "expected clearBelow, a rate like 0.05/s"
                ),
            ),
            (
                "missing-field",
                (
                    "13:7: error: spec.triggers[1] has signal listen.dropRate without raiseAbove; "
                    "expected raiseAbove, a rate like 0.05/s"
                ),
            ),
        ],
    ),
    Case(
        "a threshold in another unit",
        [
            ("raiseAbove: 0.05/s", "raiseAbove: 5"),
        ],
        [
            (
                "wrong-unit",
                (
                    "13:61: error: spec.triggers[1].raiseAbove is not in the unit of listen.dropRate; "
                    "expected a rate like 0.05/s"
                ),
            ),
        ],
    ),
    Case(
        "a threshold without signal",
        [
            ("sustainedFor: 30s", "raiseAbove: 5"),
        ],
        [
            (
                "conflict",
                (
                    "12:59: error: spec.triggers[0].raiseAbove stands here without signal; expected "
                    "signal beside it"
                ),
            ),
        ],
    ),
    Case(
        "thresholds that flap",
        [
            ("clearBelow: 0.01/s", "clearBelow: 0.05/s"),
        ],
        [
            (
                "out-of-range",
                (
                    "13:81: error: spec.triggers[1].clearBelow is not smaller than raiseAbove; expected a "
                    "smaller one"
                ),
            ),
        ],
    ),
    Case(
        "a signal of a later version",
        [
            ("listen.dropRate", "established.slope"),
        ],
        [
            (
                "not-supported-yet",
                (
                    "13:32: error: spec.triggers[1].signal is established.slope, which is known but "
                    "not supported by this version; expected one that it supports, like closeWait.total"
                ),
            ),
        ],
    ),
    Case(
        "two stages of one name",
        [
            ("name: replace", "name: tune"),
        ],
        [
            (
                "duplicate-name",
                (
                    '21:14: error: spec.stages[2].name is "tune" like that of spec.stages[1]; expected a '
                    "name of its own"
                ),
            ),
        ],
    ),
    Case(
        "no action",
        [
            ("action: threadDump, ", ""),
        ],
        [
            (
                "missing-field",
                (
                    "15:7: error: spec.stages[0].action is missing; expected threadDump, sysctl, "
                    "socketDestroy or rollingRestart"
                ),
            ),
        ],
    ),
    Case(
        "an unknown action",
        [
            ("rollingRestart", "restart"),
        ],
        [
            (
                "bad-value",
                (
                    '21:31: error: spec.stages[2].action is "restart"; expected threadDump, sysctl, '
                    "socketDestroy or rollingRestart (did you mean rollingRestart?)"
                ),
            ),
        ],
    ),
    Case(
        "an action of a later version",
        [
            (
                "action: rollingRestart, with: {readyWithin: 2m}",
                "action: backlogRaise, with: {backlog: 4096}",
            ),
        ],
        [
            (
                "not-supported-yet",
                (
                    "21:31: error: spec.stages[2].action is backlogRaise, which is known but not "
                    "supported by this version; expected threadDump, sysctl, socketDestroy or rollingRestart"
                ),
            ),
        ],
    ),
]
