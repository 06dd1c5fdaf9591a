"""What a valid policy becomes: every field, every default, the shipped files."""

import dataclasses
import datetime as dt
import hashlib
import pathlib

import pytest

from lastack import quantities
from lastack.policy import loading, valid, vocabulary
from tests.policy import documents

Code = vocabulary.DiagnosisCode
Signal = vocabulary.SignalName
POLICIES = pathlib.Path(__file__).parents[2] / "policies"

SHORTEST = """\
apiVersion: lastack.dev/v1alpha1
kind: RemediationPolicy
metadata: {name: short}
spec:
  target: {supervised: {name: demo}}
  triggers: [{name: stalled, diagnosis: [accept-stall, backlog-too-small]}]
  stages:
    - {name: evidence, action: threadDump}
    - {name: tune, action: sysctl, when: {diagnosis: [backlog-too-small]}, with: {values: {net.core.somaxconn: 4096}}}
    - {name: replace, action: rollingRestart}
"""


def only(text: str) -> valid.Policy:
    """The one policy of a text that has no errors."""
    loaded = loading.load({"p.yaml": text.encode()})
    assert loaded.usable, "\n".join(map(str, loaded.problems))
    (policy,) = loaded.policies
    return policy


def test_every_field_arrives_as_it_was_written() -> None:
    """Each value stands in the policy with its final type; text, digest and source say where it came from."""
    second, minute, hour = dt.timedelta(seconds=1), dt.timedelta(minutes=1), dt.timedelta(hours=1)
    expected = valid.Policy(
        name=valid.PolicyName("api"),
        mode=vocabulary.Mode.ENFORCE,
        target=valid.SystemdTarget(("api@*.service",)),
        ports=frozenset({8080}),
        probe=valid.HttpProbe("/health", ((200, 399),), 3 * second),
        sample_every=5 * second,
        triggers=(
            valid.DiagnosisTrigger(
                valid.TriggerName("stalled"),
                frozenset({Code.ACCEPT_STALL, Code.FD_LEAK}),
                30 * second,
                2 * minute,
            ),
            valid.SignalTrigger(
                valid.TriggerName("dropping"),
                vocabulary.SignalName.LISTEN_DROP_RATE,
                0.05,
                0.01,
                30 * second,
                2 * minute,
            ),
        ),
        stages=(
            valid.Stage(
                valid.StageName("evidence"),
                valid.ThreadDump(3, 5 * second, second / 2, minute),
                valid.When(),
                0 * second,
                vocabulary.Mode.ENFORCE,
            ),
            valid.Stage(
                valid.StageName("tune"),
                valid.SysctlTuning({"net.core.somaxconn": "4096"}, 7 * 24 * hour, "host"),
                valid.When(frozenset({Code.BACKLOG_TOO_SMALL})),
                minute,
                vocabulary.Mode.ENFORCE,
            ),
            valid.Stage(
                valid.StageName("replace"),
                valid.RollingRestart(2 * minute, 30 * second),
                valid.When(),
                5 * minute,
                vocabulary.Mode.ENFORCE,
            ),
        ),
        limits=valid.Limits(10 * minute, 5 * minute, 30 * minute, valid.RestartBudget(3, 24 * hour), 1),
        text=documents.VALID,
        digest="sha256:" + hashlib.sha256(documents.VALID.encode()).hexdigest(),
        source="p.yaml:1",
    )

    assert expected == only(documents.VALID)


def test_what_is_left_out_has_a_sensible_default() -> None:
    """The shortest policy observes, with times for production."""
    policy = only(SHORTEST)
    second, minute = dt.timedelta(seconds=1), dt.timedelta(minutes=1)
    trigger = policy.triggers[0]

    assert (vocabulary.Mode.OBSERVE, frozenset(), None, 5 * second) == (
        policy.mode,
        policy.ports,
        policy.probe,
        policy.sample_every,
    )
    assert (30 * second, 2 * minute) == (trigger.sustained_for, trigger.clear_for)
    assert [
        (valid.ThreadDump(3, 5 * second, second / 2, minute), 0 * minute),
        (valid.SysctlTuning({"net.core.somaxconn": "4096"}, None, "member"), minute),
        (valid.RollingRestart(2 * minute, 30 * second), 5 * minute),
    ] == [(stage.action, stage.settle) for stage in policy.stages]
    assert {vocabulary.Mode.OBSERVE} == {stage.mode for stage in policy.stages}
    assert (
        valid.Limits(10 * minute, 5 * minute, 30 * minute, valid.RestartBudget(3, dt.timedelta(hours=24)), 1)
        == policy.limits
    )


@pytest.mark.parametrize(("written", "expected"), [("count: 3", False), ("nativeStacks: true", True)])
def test_stops_are_allowed_by_name_only(written: str, expected: bool) -> None:
    """Not by default."""
    text = SHORTEST.replace("action: threadDump", f"action: threadDump, with: {{{written}}}")
    (dump, *_) = [stage.action for stage in only(text).stages]
    assert isinstance(dump, valid.ThreadDump)
    assert expected is dump.native_stacks


def test_a_stage_may_go_another_way_than_its_policy() -> None:
    """The mode of a stage is its own: evidence may be taken where everything else is only observed."""
    text = SHORTEST.replace("action: threadDump", "action: threadDump, mode: enforce")

    assert ["enforce", "observe", "observe"] == [stage.mode for stage in only(text).stages]


@pytest.mark.parametrize(
    ("signal", "written", "expected"),
    [
        ("listen.dropRate", ("3/m", "1/m"), (0.05, 1 / 60)),
        ("acceptQueue.fill", ("80%", "12.5%"), (0.8, 0.125)),
        ("closeWait.oldest", ("5m", "500ms"), (300.0, 0.5)),
        ("closeWait.held", ("100", "0"), (100.0, 0.0)),
        ("threads", ("1e2", "20.5"), (100.0, 20.5)),
    ],
)
def test_thresholds_are_in_the_signals_own_unit(
    signal: str, written: tuple[str, str], expected: tuple[float, float]
) -> None:
    """A rate is per second, a share 0 to 1, an age in seconds, everything else a count."""
    condition = f"signal: {signal}, raiseAbove: {written[0]}, clearBelow: {written[1]}"
    (trigger,) = only(SHORTEST.replace("diagnosis: [accept-stall, backlog-too-small]", condition)).triggers

    assert isinstance(trigger, valid.SignalTrigger)
    assert expected == (trigger.raise_above, trigger.clear_below)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (
            "signal: openFiles.exhaustsIn, raiseBelow: 36h, clearAbove: 72h",
            valid.Below(Signal.OPEN_FILES_EXHAUSTS_IN, 129600.0, 259200.0),
        ),
        ("signal: acceptRate, raiseBelow: 1/s, clearAbove: 5/s", valid.Below(Signal.ACCEPT_RATE, 1.0, 5.0)),
    ],
)
def test_what_is_worse_when_smaller_is_raised_below(condition: str, expected: valid.Below) -> None:
    """A forecast in seconds, a rate per second; one condition without a list is one condition."""
    text = SHORTEST.replace("diagnosis: [accept-stall, backlog-too-small]", condition)
    (trigger,) = only(text).triggers

    assert isinstance(trigger, valid.AllTrigger)
    assert (expected,) == trigger.conditions


def test_a_slope_is_per_hour() -> None:
    """Whatever unit of time it is written in."""
    condition = "signal: closeWait.held.slope, raiseAbove: 1/m, clearBelow: 10/h"
    (trigger,) = only(SHORTEST.replace("diagnosis: [accept-stall, backlog-too-small]", condition)).triggers

    assert isinstance(trigger, valid.SignalTrigger)
    assert [60, 10] == pytest.approx([trigger.raise_above, trigger.clear_below])


def test_conditions_that_hold_together_are_kept_in_order() -> None:
    """Each of its own kind, with the times of the whole trigger."""
    written = (
        "all: [{diagnosis: [fd-leak]}, {signal: openFiles.exhaustsIn, raiseBelow: 36h, clearAbove: 72h}, "
        "{signal: closeWait.held, raiseAbove: 100, clearBelow: 20}], sustainedFor: 30m, clearFor: 30m"
    )
    text = SHORTEST.replace("diagnosis: [accept-stall, backlog-too-small]", written)
    (trigger,) = loading.load({"p.yaml": text.encode()}).policies[0].triggers

    half = dt.timedelta(minutes=30)
    assert (
        valid.AllTrigger(
            valid.TriggerName("stalled"),
            (
                valid.Diagnosed(frozenset({Code.FD_LEAK})),
                valid.Below(Signal.OPEN_FILES_EXHAUSTS_IN, 129600.0, 259200.0),
                valid.Above(Signal.CLOSE_WAIT_HELD, 100.0, 20.0),
            ),
            half,
            half,
        )
        == trigger
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("200", ((200, 200),)),
        ('"204"', ((204, 204),)),
        ("200-399", ((200, 399),)),
        ("[200, 301-302]", ((200, 200), (301, 302))),
    ],
)
def test_statuses_are_inclusive_ranges(written: str, expected: tuple[tuple[int, int], ...]) -> None:
    """One status, a range, or a list of both."""
    probe = only(documents.edited(("expect: 200-399", f"expect: {written}"))).probe

    assert probe is not None
    assert expected == probe.expect


@pytest.mark.parametrize(("written", "expected"), [("0", 0), ("50%", quantities.Share(0.5)), ("2", 2)])
def test_members_that_must_be_left_are_a_number_or_a_share(
    written: str, expected: int | quantities.Share
) -> None:
    """0 means that downtime is allowed."""
    assert (
        expected
        == only(documents.edited(("minAvailable: 1", f"minAvailable: {written}"))).limits.min_available
    )


def test_each_document_of_a_file_keeps_its_own_text() -> None:
    """The texts of the documents are the whole file, cut where the next begins; the digest is of that text."""
    head, other = "# two services\n", documents.edited(("name: api", "name: web"), ("api@*", "web@*"))
    text = f"{head}{documents.VALID}---\n{other}---\n# nothing more\n"
    loaded = loading.load({"p.yaml": text.encode()})

    assert () == loaded.problems
    assert [("api", "p.yaml:2"), ("web", "p.yaml:25")] == [
        (policy.name, policy.source) for policy in loaded.policies
    ]
    assert [f"{head}{documents.VALID}", f"---\n{other}"] == [policy.text for policy in loaded.policies]


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    """An editor on another system is no reason to refuse."""
    text = documents.VALID.replace("\n", "\r\n")
    (policy,) = loading.load({"p.yaml": b"\xef\xbb\xbf" + text.encode()}).policies

    assert text == policy.text


def test_anchors_and_aliases_may_be_used() -> None:
    """A value that stands twice may be written once."""
    text = documents.edited(
        ("diagnosis: [accept-stall, fd-leak]", "diagnosis: &sick [accept-stall, fd-leak]"),
        ("with: {readyWithin: 2m}", "when: {diagnosis: *sick}"),
    )

    assert only(text).stages[2].when.diagnoses == {Code.ACCEPT_STALL, Code.FD_LEAK}


def test_the_target_bears_the_name_of_the_policy() -> None:
    """Entries and incident ids name the target so."""
    assert "short" == only(SHORTEST).target_name


def test_the_demo_dumps_then_tunes_then_replaces() -> None:
    """policies/demo.yaml enforces on supervised members, with somaxconn for backlog-too-small only."""
    loaded = loading.load({"demo.yaml": (POLICIES / "demo.yaml").read_bytes()})
    (policy,) = loaded.policies

    assert () == loaded.problems
    assert (vocabulary.Mode.ENFORCE, valid.SupervisedTarget("demo")) == (policy.mode, policy.target)
    assert [
        (valid.ThreadDump, frozenset()),
        (valid.SysctlTuning, {Code.BACKLOG_TOO_SMALL}),
        (valid.RollingRestart, {Code.ACCEPT_STALL, Code.BACKLOG_TOO_SMALL, Code.FD_LEAK}),
    ] == [(type(stage.action), stage.when.diagnoses) for stage in policy.stages]


def test_the_origin_story_is_observed_with_the_times_of_production() -> None:
    """policies/origin.yaml looks first, and its limits are the defaults."""
    loaded = loading.load({"origin.yaml": (POLICIES / "origin.yaml").read_bytes()})
    (policy,) = loaded.policies

    assert () == loaded.problems
    assert (vocabulary.Mode.OBSERVE, valid.SystemdTarget(("device-api@*.service",)), frozenset({8080})) == (
        policy.mode,
        policy.target,
        policy.ports,
    )
    assert only(SHORTEST).limits == policy.limits


def test_the_origin_story_restarts_for_what_a_restart_can_help() -> None:
    """Every diagnosis that it raises has an end, and overload is none of them."""
    policy = only((POLICIES / "origin.yaml").read_text(encoding="utf-8"))
    raised = frozenset[Code]().union(
        *(trigger.diagnoses for trigger in policy.triggers if isinstance(trigger, valid.DiagnosisTrigger))
    )
    (replace,) = (stage for stage in policy.stages if isinstance(stage.action, valid.RollingRestart))

    assert raised == replace.when.diagnoses
    assert {Code.HANDLER_STALL, Code.FD_EXHAUSTION} < raised
    assert not {Code.OVERLOAD, Code.SYN_PRESSURE} & raised


def test_the_stage_that_the_origin_story_offers_is_valid_when_it_is_taken_in() -> None:
    """Whoever removes the comment marks gets what the comment says, before the restart and without a complaint."""
    text = (POLICIES / "origin.yaml").read_text(encoding="utf-8")
    head, _, rest = text.partition("    # - name: unhook\n")
    lines = rest.split("\n")
    taken = [line.replace("    # ", "    ", 1) for line in lines[:4]]
    loaded = loading.load({"p.yaml": "\n".join([head + "    - name: unhook", *taken, *lines[4:]]).encode()})

    assert () == loaded.problems
    actions = [type(stage.action) for stage in loaded.policies[0].stages]
    assert [valid.ThreadDump, valid.SysctlTuning, valid.SocketDestroy, valid.RollingRestart] == actions


def test_every_short_time_of_the_demo_says_what_production_would_use() -> None:
    """Nobody copies a time of the demo without being told."""
    demo = only((POLICIES / "demo.yaml").read_text(encoding="utf-8"))
    shipped = only((POLICIES / "origin.yaml").read_text(encoding="utf-8"))
    shorter = [
        field.name
        for field in dataclasses.fields(demo.limits)
        if isinstance(mine := getattr(demo.limits, field.name), dt.timedelta)
        and mine < getattr(shipped.limits, field.name)
    ]
    lines = (POLICIES / "demo.yaml").read_text(encoding="utf-8").splitlines()
    timed = [
        line
        for line in lines
        if not line.lstrip().startswith("#") and any(f"{n}{u}" in line for n in "0123456789" for u in "smh")
    ]
    unexplained = [line.strip() for line in timed if "# production:" not in line]

    assert ["warm_up", "min_process_age", "cooldown"] == shorter
    assert ["maxPause: 500ms"] == unexplained
