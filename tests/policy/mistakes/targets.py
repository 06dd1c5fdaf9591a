"""Modes, targets, ports and probes. A table for test_invalid_policies."""

from tests.policy.mistakes import Case

CASES = [
    Case(
        "a mode that YAML 1.1 took for false",
        [
            ("mode: enforce", "mode: off"),
        ],
        [
            ("bad-value", '5:9: error: spec.mode is "off"; expected observe or enforce'),
        ],
    ),
    Case(
        "propose",
        [
            ("mode: enforce", "mode: propose"),
        ],
        [
            (
                "not-supported-yet",
                (
                    "5:9: error: spec.mode is propose, which is known but not supported by this version; "
                    "expected observe or enforce"
                ),
            ),
        ],
    ),
    Case(
        "a number without unit",
        [
            ("sampleEvery: 5s", "sampleEvery: 5"),
        ],
        [
            (
                "wrong-type",
                (
                    "10:16: error: spec.sampleEvery is the number 5; expected a duration from 200ms to "
                    "5m, like 5s (did you mean 5s?)"
                ),
            ),
        ],
    ),
    Case(
        "a duration that is none",
        [
            ("sampleEvery: 5s", "sampleEvery: five seconds"),
        ],
        [
            (
                "bad-value",
                (
                    '10:16: error: spec.sampleEvery is "five seconds"; expected a duration from 200ms to '
                    "5m, like 5s"
                ),
            ),
        ],
    ),
    Case(
        "a duration out of bounds",
        [
            ("sampleEvery: 5s", "sampleEvery: 100ms"),
        ],
        [
            (
                "out-of-range",
                ('10:16: error: spec.sampleEvery is "100ms"; expected a duration from 200ms to 5m, like 5s'),
            ),
        ],
    ),
    Case(
        "no target",
        [
            ('    systemd: {units: ["api@*.service"]}\n', ""),
        ],
        [
            (
                "missing-field",
                "7:5: error: spec.target names no target; expected one of systemd or supervised",
            ),
        ],
    ),
    Case(
        "two targets",
        [
            (
                '    systemd: {units: ["api@*.service"]}\n',
                '    systemd: {units: ["api@*.service"]}\n    supervised: {name: demo}\n',
            ),
        ],
        [
            (
                "conflict",
                ("8:5: error: spec.target.supervised stands beside systemd; expected exactly one of them"),
            ),
        ],
    ),
    Case(
        "a target of a cluster",
        [
            ('    systemd: {units: ["api@*.service"]}\n', "    kubernetes: {kind: Deployment, name: api}\n"),
        ],
        [
            (
                "not-supported-yet",
                (
                    "7:5: error: spec.target.kubernetes is known but not supported by this version; "
                    "expected it left out"
                ),
            ),
        ],
    ),
    Case(
        "a unit outside of a list",
        [
            ('["api@*.service"]', "api.service"),
        ],
        [
            (
                "wrong-type",
                (
                    '7:22: error: spec.target.systemd.units is "api.service"; expected a list (in '
                    "brackets: [api.service])"
                ),
            ),
        ],
    ),
    Case(
        "a unit that is no service",
        [
            ("api@*.service", "api.socket"),
        ],
        [
            (
                "bad-value",
                (
                    '7:23: error: spec.target.systemd.units[0] is "api.socket"; expected a service unit '
                    "or a pattern of them, like app.service or app@*.service"
                ),
            ),
        ],
    ),
    Case(
        "a port in quotes",
        [
            ("[8080]", '["8080"]'),
        ],
        [
            (
                "wrong-type",
                (
                    '8:13: error: spec.target.ports[0] is "8080"; expected a port from 1 to 65535 '
                    "(without quotes: 8080)"
                ),
            ),
        ],
    ),
    Case(
        "a port out of range",
        [
            ("[8080]", "[8080, 70000]"),
        ],
        [
            (
                "out-of-range",
                ("8:19: error: spec.target.ports[1] is the number 70000; expected a port from 1 to 65535"),
            ),
        ],
    ),
    Case(
        "one port outside of a list",
        [
            ("[8080]", "8080"),
        ],
        [
            (
                "wrong-type",
                ("8:12: error: spec.target.ports is the number 8080; expected a list (in brackets: [8080])"),
            ),
        ],
    ),
    Case(
        "a probe path without slash",
        [
            ("/health", "health"),
        ],
        [
            (
                "bad-value",
                (
                    '9:24: error: spec.probe.http.path is "health"; expected a path that starts with /, '
                    "like /health"
                ),
            ),
        ],
    ),
    Case(
        "statuses the wrong way round",
        [
            ("200-399", "399-200"),
        ],
        [
            (
                "bad-value",
                (
                    '9:42: error: spec.probe.expect is "399-200"; expected HTTP statuses: 200, a range '
                    "200-399, or a list of these (did you mean 200-399?)"
                ),
            ),
        ],
    ),
]
