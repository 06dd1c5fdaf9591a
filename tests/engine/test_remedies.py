"""What can help, what cannot, and why a stage that is for something else would not."""

from __future__ import annotations

import dataclasses

import pytest

from lastack.engine import causes, findings, reasons, remedies, samples
from lastack.policy import valid, vocabulary
from tests.engine import makers
from tests.engine.makers import Code

NO_DISEASE = {Code.HEALTHY, Code.UNKNOWN, Code.HALF_CLOSE_IN_USE}


@pytest.mark.parametrize("code", list(Code))
def test_every_diagnosis_has_an_answer_for_the_restart(code: Code) -> None:
    """Yes or no, with a sentence; without a disease there is nothing to help against."""
    advised = remedies.advise(makers.finding(code), makers.window(makers.look()))
    answers = {remedy.remedy: remedy.why for remedy in (*advised.can_help, *advised.cannot_help)}
    assert (code in NO_DISEASE) == (answers == {})
    assert code in NO_DISEASE or answers[vocabulary.ActionKind.ROLLING_RESTART]


def test_a_larger_somaxconn_helps_where_it_was_the_cap() -> None:
    """The listener's limit is the old cap; the answer has the numbers."""
    finding = makers.finding(Code.BACKLOG_TOO_SMALL, signals={makers.Name.ACCEPT_QUEUE_LIMIT: 128})
    help_ = remedies.sysctl_help("net.core.somaxconn", finding, makers.NAMESPACE, "4096")
    assert help_.can
    assert "somaxconn 128 caps the listener's limit of 128" in help_.why


def test_without_the_limit_a_larger_somaxconn_is_not_known_to_help() -> None:
    """What is missing is never a yes."""
    finding = makers.finding(Code.BACKLOG_TOO_SMALL)
    assert not remedies.sysctl_help("net.core.somaxconn", finding, makers.NAMESPACE, "4096").can


@pytest.mark.parametrize(
    ("stage", "space", "sentence"),
    [
        (
            makers.TUNE,
            makers.NAMESPACE,
            "this is fd-leak; net.core.somaxconn: acts on the cap of every listen backlog",
        ),
        (makers.TUNE, None, "this is fd-leak; stage tune (sysctl) is for backlog-too-small"),
        (
            makers.stage(makers.REPLACE, when=valid.When(frozenset({Code.ACCEPT_STALL}))),
            makers.NAMESPACE,
            "this is fd-leak; stage replace (rollingRestart) is for accept-stall",
        ),
    ],
)
def test_a_stage_for_something_else_says_why_it_would_not_help(
    stage: valid.Stage, space: samples.NamespaceSample | None, sentence: str
) -> None:
    """Each of its settings by name where they can be judged, else what the stage is for."""
    said = remedies.why_not(stage, Code.FD_LEAK, space, makers.finding(Code.FD_LEAK))
    assert said.startswith(sentence)


def test_every_reason_has_a_meaning() -> None:
    """Docs and status render from one table."""
    assert set(reasons.Reason) == set(reasons.MEANINGS)


@pytest.mark.parametrize("kind", list(vocabulary.CauseKind))
def test_a_restart_is_not_offered_against_a_cause_that_it_never_helps(kind: vocabulary.CauseKind) -> None:
    """A quota, a memory limit and slow clients stay as they are."""
    cause = findings.Cause(kind, "cgroup", vocabulary.Confidence.LOW)
    finding = dataclasses.replace(makers.finding(Code.ACCEPT_STALL), cause=cause)
    advised = remedies.advise(finding, makers.window(makers.look()))
    never = kind in causes.RESTART_NEVER_HELPS
    assert never == ("rollingRestart" in {one.remedy for one in advised.cannot_help})
    assert never != ("rollingRestart" in {one.remedy for one in advised.can_help})
