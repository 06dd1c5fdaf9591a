"""Invalid policies: each kind with its code, its place and its very sentence."""

import dataclasses

import pytest

from lastack.policy import loading
from tests.policy import documents


@dataclasses.dataclass(frozen=True)
class Case:
    """An invalid policy: what it is, the edits that make it so, and (code, LINE:COLUMN: sentence) of each problem."""

    what: str
    edits: list[tuple[str, str]]
    expected: list[tuple[str, str]]


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
                    "maxPause or waitAtMost (did you mean every?)"
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
            ("missing-field", "12:7: error: spec.triggers[0] has no condition; expected diagnosis or signal"),
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
            ("listen.dropRate", "closeWait.held.slope"),
        ],
        [
            (
                "not-supported-yet",
                (
                    "13:32: error: spec.triggers[1].signal is closeWait.held.slope, which is known but "
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
                    "15:7: error: spec.stages[0].action is missing; expected threadDump, sysctl or "
                    "rollingRestart"
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
                    '21:31: error: spec.stages[2].action is "restart"; expected threadDump, sysctl or '
                    "rollingRestart (did you mean rollingRestart?)"
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
                    "supported by this version; expected threadDump, sysctl or rollingRestart"
                ),
            ),
        ],
    ),
    Case(
        "a cause",
        [
            ("when: {diagnosis: [backlog-too-small]}", "when: {cause: [lock]}"),
        ],
        [
            (
                "not-supported-yet",
                (
                    "18:14: error: spec.stages[1].when.cause is known but not supported by this version; "
                    "expected it left out"
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
        "a threshold of a later version",
        [
            ("raiseAbove: 0.05/s, clearBelow: 0.01/s", "raiseBelow: 5/s, clearAbove: 9/s"),
        ],
        [
            (
                "not-supported-yet",
                (
                    "13:49: error: spec.triggers[1].raiseBelow is known but not supported by this "
                    "version; expected it left out"
                ),
            ),
            (
                "not-supported-yet",
                (
                    "13:66: error: spec.triggers[1].clearAbove is known but not supported by this "
                    "version; expected it left out"
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
    Case(
        "text for a mapping",
        [
            ("{cooldown: 30m, restarts: {max: 3, per: 24h}, minAvailable: 1}", "strict"),
        ],
        [
            ("wrong-type", '22:11: error: spec.limits is "strict"; expected a mapping of names to values'),
        ],
    ),
    Case(
        "a list for a document",
        [
            (documents.VALID, "- a\n- b\n"),
        ],
        [
            (
                "wrong-type",
                (
                    "1:1: error: the document is a list of 2; expected a policy with apiVersion, kind, "
                    "metadata, spec"
                ),
            ),
        ],
    ),
    Case(
        "words for a document",
        [
            (documents.VALID, "hello\n"),
        ],
        [
            (
                "wrong-type",
                (
                    '1:1: error: the document is "hello"; expected a policy with apiVersion, kind, '
                    "metadata, spec"
                ),
            ),
        ],
    ),
    Case(
        "nothing",
        [
            (documents.VALID, "# all of it is commented out\n"),
        ],
        [
            (
                "empty-file",
                "1:1: error: the file holds no policy; expected one (remove the file if this is meant)",
            ),
        ],
    ),
    Case(
        "a tab",
        [
            ("  mode", "\tmode"),
        ],
        [
            (
                "yaml-syntax",
                (
                    "5:1: error: this is not YAML: while scanning for the next token found character that "
                    "cannot start any token; expected valid YAML (a tab stands here; YAML is indented "
                    "with spaces)"
                ),
            ),
        ],
    ),
    Case(
        "an unclosed bracket",
        [
            ("[8080]", "[8080"),
        ],
        [
            (
                "yaml-syntax",
                (
                    "9:8: error: this is not YAML: while parsing a flow sequence did not find expected "
                    "',' or ']'; expected valid YAML (it begins in line 8)"
                ),
            ),
        ],
    ),
    Case(
        "a merge key",
        [
            ("  mode: enforce", "  <<: {mode: enforce}"),
        ],
        [
            (
                "merge-key",
                (
                    "5:3: error: the merge key << stands here; expected the fields themselves (write it "
                    "out at each place)"
                ),
            ),
        ],
    ),
    Case(
        "a key that is a number",
        [
            ("sampleEvery: 5s", "5: s"),
        ],
        [
            (
                "bad-key",
                (
                    "10:3: error: a key is the number 5; expected the name of a field (put a name that "
                    "looks like a number in quotes)"
                ),
            ),
        ],
    ),
    Case(
        "a tag",
        [
            ("mode: enforce", "mode: !!python/name:os.system enforce"),
        ],
        [
            ("yaml-tag", '5:9: error: the tag "!!python/name:os.system" stands here; expected a plain value'),
        ],
    ),
    Case(
        "an alias for nothing",
        [
            ("mode: enforce", "mode: *level"),
        ],
        [
            (
                "unknown-alias",
                ("5:9: error: *level stands for nothing; expected an anchor &level earlier in this document"),
            ),
        ],
    ),
    Case(
        "an alias in itself",
        [
            ("[8080]", "&ports [8080, *ports]"),
        ],
        [
            (
                "endless-alias",
                (
                    "8:26: error: *ports stands inside of the value that it repeats; expected a value "
                    "without itself"
                ),
            ),
        ],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_an_invalid_policy_is_refused_with_place_and_sentence(case: Case) -> None:
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
