"""Fields that are unknown, missing, empty or repeated. A table for test_invalid_policies."""

from tests.policy.mistakes import Case

CASES = [
    Case(
        "an unknown field",
        [
            ("sampleEvery", "sampelEvery"),
        ],
        [
            (
                "unknown-field",
                (
                    "10:3: error: spec.sampelEvery is not a field; expected target, mode, probe, "
                    "sampleEvery, triggers, stages or limits (did you mean sampleEvery?)"
                ),
            ),
        ],
    ),
    Case(
        "an unknown field that is like nothing",
        [
            ("sampleEvery: 5s", "colour: red"),
        ],
        [
            (
                "unknown-field",
                (
                    "10:3: error: spec.colour is not a field; expected target, mode, probe, sampleEvery, "
                    "triggers, stages or limits"
                ),
            ),
        ],
    ),
    Case(
        "a field of another action",
        [
            ("with: {count: 3, every: 5s}}", "restore: {after: 7d}}"),
        ],
        [
            (
                "unknown-field",
                (
                    "15:44: error: spec.stages[0].restore is not a field of a threadDump stage; expected "
                    "name, when, mode, action, with or settle"
                ),
            ),
        ],
    ),
    Case(
        "an unknown field deep inside",
        [
            ("every: 5s", "evry: 5s"),
        ],
        [
            (
                "unknown-field",
                (
                    "15:61: error: spec.stages[0].with.evry is not a field; expected count, every, "
                    "maxPause, nativeStacks or waitAtMost (did you mean every?)"
                ),
            ),
        ],
    ),
    Case(
        "a switch that is a number",
        [
            ("every: 5s", "nativeStacks: 1"),
        ],
        [
            (
                "wrong-type",
                "15:75: error: spec.stages[0].with.nativeStacks is the number 1; expected true or false",
            ),
        ],
    ),
    Case(
        "the inspector of Node.js",
        [
            ("every: 5s", "inspector: true"),
        ],
        [
            (
                "not-supported-yet",
                (
                    "15:61: error: spec.stages[0].with.inspector is known but not supported by this version; "
                    "expected it left out"
                ),
            ),
        ],
    ),
    Case(
        "a switch of YAML 1.1",
        [
            ("every: 5s", "nativeStacks: yes"),
        ],
        [
            (
                "wrong-type",
                (
                    '15:75: error: spec.stages[0].with.nativeStacks is "yes"; expected true or false '
                    "(without quotes: true)"
                ),
            ),
        ],
    ),
    Case(
        "a misspelt mandatory field",
        [
            ("triggers:", "triger:"),
        ],
        [
            (
                "unknown-field",
                (
                    "11:3: error: spec.triger is not a field; expected target, mode, probe, sampleEvery, "
                    "triggers, stages or limits (did you mean triggers?)"
                ),
            ),
        ],
    ),
    Case(
        "a missing section",
        [
            ("metadata: {name: api}\n", ""),
        ],
        [
            ("missing-field", "1:1: error: metadata is missing; expected a mapping with name"),
        ],
    ),
    Case(
        "a field without value",
        [
            ("sampleEvery: 5s", "sampleEvery:"),
        ],
        [
            (
                "empty-value",
                "10:15: error: spec.sampleEvery is empty; expected a value, or the field left out",
            ),
        ],
    ),
    Case(
        "a mandatory field without value",
        [
            ('    systemd: {units: ["api@*.service"]}\n', "    systemd:\n"),
        ],
        [
            (
                "empty-value",
                "7:13: error: spec.target.systemd is empty; expected a value, or the field left out",
            ),
        ],
    ),
    Case(
        "a repeated field",
        [
            ("sampleEvery: 5s", "mode: observe"),
        ],
        [
            ("duplicate-key", "10:3: error: mode stands twice, first in line 5; expected each field once"),
        ],
    ),
    Case(
        "another version",
        [
            ("v1alpha1", "v2"),
        ],
        [
            ("bad-value", '1:13: error: apiVersion is "lastack.dev/v2"; expected lastack.dev/v1alpha1'),
        ],
    ),
    Case(
        "another kind",
        [
            ("RemediationPolicy", "Deployment"),
        ],
        [
            ("bad-value", '2:7: error: kind is "Deployment"; expected RemediationPolicy'),
        ],
    ),
    Case(
        "a name that is no label",
        [
            ("name: api", "name: Api_1"),
        ],
        [
            (
                "bad-value",
                (
                    '3:18: error: metadata.name is "Api_1"; expected lower-case letters, digits and -, at '
                    "most 52"
                ),
            ),
        ],
    ),
    Case(
        "a name that is too long",
        [
            ("name: api", "name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ],
        [
            ("bad-value", "3:18: error: metadata.name has 53 characters; expected at most 52"),
        ],
    ),
]
