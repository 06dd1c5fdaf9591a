"""Conditions, limits and values. A table for test_invalid_policies."""

from tests.policy.mistakes import Case

CASES = [
    Case(
        "a cause that there is not",
        [
            ("when: {diagnosis: [backlog-too-small]}", "when: {cause: [deadlock]}"),
        ],
        [
            (
                "bad-value",
                (
                    '18:22: error: spec.stages[1].when.cause[0] is "deadlock"; expected lock, downstream, pool, cpu, '
                    "throttled, memory, stopped, client or unknown (did you mean lock?)"
                ),
            ),
        ],
    ),
    Case(
        "peers that are none",
        [
            (
                "    - {name: replace, ",
                (
                    "    - {name: unhook, action: socketDestroy, with: {sockets: stuckOutbound, "
                    'peers: [db.example, "10.9.0.7:70000", "[::1", 7], pace: fast, limit: 0}}\n'
                    "    - {name: replace, "
                ),
            ),
        ],
        [
            (
                "bad-value",
                (
                    '21:84: error: spec.stages[2].with.peers[0] is "db.example"; expected an address and a port, like '
                    "10.9.0.7:7000 or [2001:db8::7]:7000, or an address alone (a name has several addresses, which "
                    "change: write each)"
                ),
            ),
            (
                "out-of-range",
                (
                    "21:96: error: spec.stages[2].with.peers[1] has port 70000; expected a port from 1 to 65535"
                ),
            ),
            (
                "bad-value",
                (
                    '21:114: error: spec.stages[2].with.peers[2] is "[::1"; expected an address and a port, like '
                    "10.9.0.7:7000 or [2001:db8::7]:7000, or an address alone"
                ),
            ),
            (
                "wrong-type",
                (
                    "21:122: error: spec.stages[2].with.peers[3] is the number 7; expected an address and a port, like "
                    "10.9.0.7:7000 or [2001:db8::7]:7000, or an address alone"
                ),
            ),
            (
                "bad-value",
                ('21:132: error: spec.stages[2].with.pace is "fast"; expected a rate, like 5/s'),
            ),
            (
                "out-of-range",
                (
                    "21:145: error: spec.stages[2].with.limit is the number 0; expected a number from 1 to 1000"
                ),
            ),
        ],
    ),
    Case(
        "a pace of nothing",
        [
            (
                "    - {name: replace, ",
                (
                    "    - {name: unhook, action: socketDestroy, with: {sockets: stuckOutbound, "
                    'peers: ["2001:db8::7", "[::ffff:10.9.0.7]:7000"], pace: 0/s}}\n'
                    "    - {name: replace, "
                ),
            ),
        ],
        [
            (
                "out-of-range",
                (
                    '21:132: error: spec.stages[2].with.pace is "0/s"; expected more than 0, and at most 1000/s'
                ),
            ),
        ],
    ),
    Case(
        "an approval",
        [
            ("action: rollingRestart", "action: rollingRestart, approval: required"),
        ],
        [
            (
                "not-supported-yet",
                (
                    "21:47: error: spec.stages[2].approval is known but not supported by this version; "
                    "expected it left out"
                ),
            ),
        ],
    ),
    Case(
        "a calendar",
        [
            ("limits: {", "limits: {calendar: {timezone: UTC}, "),
        ],
        [
            (
                "not-supported-yet",
                (
                    "22:12: error: spec.limits.calendar is known but not supported by this version; "
                    "expected it left out"
                ),
            ),
        ],
    ),
    Case(
        "a share above everything",
        [
            ("minAvailable: 1", "minAvailable: 120%"),
        ],
        [
            (
                "bad-value",
                (
                    '22:71: error: spec.limits.minAvailable is "120%"; expected a number of members, like '
                    "1, or a share of them, 0% to 100%"
                ),
            ),
        ],
    ),
    Case(
        "a number of members that is none",
        [
            ("minAvailable: 1", "minAvailable: true"),
        ],
        [
            (
                "wrong-type",
                (
                    "22:71: error: spec.limits.minAvailable is true; expected a number of members, like "
                    "1, or a share of them, 0% to 100%"
                ),
            ),
        ],
    ),
    Case(
        "a number of members that nobody has",
        [
            ("minAvailable: 1", "minAvailable: 100000"),
        ],
        [
            (
                "out-of-range",
                (
                    "22:71: error: spec.limits.minAvailable is the number 100000; expected a number of "
                    "members, like 1, or a share of them, 0% to 100%"
                ),
            ),
        ],
    ),
    Case(
        "a threshold below zero",
        [
            ("raiseAbove: 0.05/s", "raiseAbove: -1"),
        ],
        [
            (
                "out-of-range",
                (
                    "13:61: error: spec.triggers[1].raiseAbove is the number -1; expected a number from 0 "
                    "to 1e15"
                ),
            ),
        ],
    ),
    Case(
        "a threshold that is no amount",
        [
            ("raiseAbove: 0.05/s", "raiseAbove: many"),
        ],
        [
            (
                "bad-value",
                (
                    '13:61: error: spec.triggers[1].raiseAbove is "many"; expected a number, a rate like '
                    "0.05/s, a share like 80% or a duration like 30s, as the signal has it"
                ),
            ),
        ],
    ),
    Case(
        "no statuses",
        [
            ("200-399", "[]"),
        ],
        [
            (
                "bad-value",
                (
                    "9:42: error: spec.probe.expect is an empty list; expected HTTP statuses: 200, a "
                    "range 200-399, or a list of these"
                ),
            ),
        ],
    ),
    Case(
        "a status that is none",
        [
            ("200-399", "[200, ok]"),
        ],
        [
            (
                "bad-value",
                (
                    '9:48: error: spec.probe.expect[1] is "ok"; expected HTTP statuses: 200, a range '
                    "200-399, or a list of these"
                ),
            ),
        ],
    ),
    Case(
        "a count that is yes",
        [
            ("max: 3", "max: yes"),
        ],
        [
            (
                "wrong-type",
                '22:43: error: spec.limits.restarts.max is "yes"; expected a number from 1 to 1000',
            ),
        ],
    ),
    Case(
        "a sysctl value that is none",
        [
            ('"4096"', "lots"),
        ],
        [
            (
                "bad-value",
                (
                    '19:56: error: spec.stages[1].with.values.net.core.somaxconn is "lots"; expected the '
                    'value as /proc/sys shows it, like "4096" or "4096 87380 6291456"'
                ),
            ),
        ],
    ),
]
