"""Decisions from circumstances that no short story comes by: odd judgements, odd policies, several namespaces."""

from __future__ import annotations

import dataclasses

import pytest

from lastack.engine import (
    actions,
    decisions,
    drafts,
    facts,
    incidents,
    instants,
    judgements,
    samples,
    standings,
)
from lastack.policy import valid, vocabulary
from tests import wards
from tests.engine import makers, stories
from tests.engine.makers import LIFE, A, B, Code, at, fact

Kind = facts.FactKind
Health = wards.Health
FIRED = fact(Kind.INCIDENT_FIRED, -90)
EVIDENCED = fact(Kind.EVIDENCE_STORED, -80, member=A)
SICK = fact(Kind.MEMBER_SICKENED, -90, member=A, data={"diagnosis": "accept-stall", "life": LIFE})


def said(decision: decisions.Decision) -> list[tuple[str, str | None]]:
    """What a decision writes: kinds and reasons."""
    return [(str(news.kind), news.reason) for news in decision.news]


def test_nothing_raised_decides_nothing() -> None:
    """No entry, no step, no question."""
    quiet = makers.circumstances(seen=[makers.well("a"), makers.well("b")])
    assert decisions.Decision() == decisions.decide(None, quiet)


def test_a_raised_trigger_without_a_finding_opens_nothing() -> None:
    """A judgement that is sent may be anything; an incident needs a finding."""
    odd = makers.circumstances(seen=[makers.judged("a", found=[])])
    assert decisions.Decision() == decisions.decide(None, odd)


def test_a_firing_member_without_a_finding_is_not_acted_on() -> None:
    """Nor does it count as sick."""
    odd = makers.circumstances(seen=[makers.judged("a", found=[]), makers.well("b")])
    decision = decisions.decide(makers.opened(SICK, FIRED, EVIDENCED), odd)
    assert {vocabulary.ActionKind.THREAD_DUMP} == {step.kind for step in decision.steps}


def test_a_closed_incident_may_be_followed_by_another() -> None:
    """In the same tick, if something is still raised."""
    closed = makers.opened(fact(Kind.INCIDENT_ABANDONED))
    news = decisions.decide(closed, makers.circumstances()).news
    assert Kind.INCIDENT_OPENED is news[0].kind
    assert closed.id != news[0].incident


def test_an_incident_without_a_rung_is_handed_to_a_human() -> None:
    """A policy of dumps alone looks, keeps evidence, and tells somebody."""
    story = stories.sick(Health.STALLED, policy=makers.policy(stages=(makers.DUMP,)))
    story.until_kind(Kind.NOTIFICATION_RAISED)
    assert ["api needs a human: accept-stall, no further stage is left"] == [
        e.fact.text for e in story.of(Kind.NOTIFICATION_RAISED)
    ]
    assert 1 == len(story.of(Kind.EVIDENCE_STORED))
    story.ward.fall_sick("a", Health.HEALTHY)
    assert "recovered-unaided" == story.until_closed().outcome


def test_a_symptom_that_goes_after_a_simulated_act_is_nobodys_merit() -> None:
    """Settled and quiet in observe mode: nothing was done."""
    story = stories.sick(Health.STALLED, policy=makers.policy(observe=True))
    story.until(lambda: any(e.fact.stage == "replace" for e in story.of(Kind.ACTION_SIMULATED)))
    story.ward.fall_sick("a", Health.HEALTHY)
    assert "recovered-unaided" == story.until_closed().outcome
    assert "the symptom went by itself; nothing was done" in story.of(Kind.INCIDENT_RESOLVED)[0].fact.text


WAITS = makers.finding(
    Code.BACKLOG_TOO_SMALL, signals={makers.Name.ACCEPT_QUEUE_LIMIT: 128, makers.Name.LISTEN_DROP_RATE: 5.0}
)


def tuned(*, standing: standings.Standing = makers.STANDING, **more: object) -> decisions.Decision:
    """What is decided about a member that drops bursts, at the sysctl rung."""
    given: dict[str, object] = {
        "seen": [makers.judged("a", found=[WAITS]), makers.well("b")],
        "standing": standing,
        **more,
    }
    return decisions.decide(makers.opened(SICK, FIRED, EVIDENCED), makers.circumstances(**given))  # type: ignore[arg-type] # by name


def test_a_setting_is_held_like_any_act_and_the_rung_waits() -> None:
    """Paused: refused once, nothing climbs past it."""
    pause = standings.Pause(makers.EPOCH, None, "a release", "ada")
    held = tuned(standing=dataclasses.replace(makers.STANDING, pause=pause))
    assert ("action.refused", "paused") == said(held)[-1]
    assert Kind.INCIDENT_ESCALATED not in {news.kind for news in held.news}


@pytest.mark.parametrize(
    "seen",
    [
        [makers.judged("a", found=[WAITS], space=None), makers.well("b")],
        [makers.judged("a", found=[WAITS], space=samples.NamespaceSample(9, {}, {})), makers.well("b")],
    ],
)
def test_a_setting_that_was_not_read_is_not_written(seen: list[judgements.Judgement]) -> None:
    """What it was before has to be known, to be given back."""
    decision = tuned(seen=seen)
    assert "sysctl" not in {step.kind for step in decision.steps}


def test_settings_that_act_at_once_are_given_time_to_settle() -> None:
    """One that acts at once among those that were written is judged after settle; what was refused does not count."""
    both = valid.SysctlTuning({"net.core.somaxconn": "4096", "net.ipv4.tcp_syncookies": "1"}, None, "member")
    stage = makers.stage(
        makers.TUNE, action=both, when=valid.When(frozenset({Code.BACKLOG_TOO_SMALL, Code.SYN_PRESSURE}))
    )
    story = stories.sick(Health.DROPPING, policy=makers.policy(stages=(makers.DUMP, stage, makers.REPLACE)))
    story.until_kind(Kind.INCIDENT_ESCALATED)
    assert "net.core.somaxconn waits for the next listen()" in story.of(Kind.INCIDENT_ESCALATED)[0].fact.text
    assert ("tune", "a", "cannot-help") in story.refusals()

    pressed = makers.finding(Code.SYN_PRESSURE)
    space = samples.NamespaceSample(9, {}, {"net.ipv4.tcp_syncookies": "0", "net.core.somaxconn": "128"})
    at_hand = makers.circumstances(
        of=makers.policy(stages=(stage, makers.REPLACE)),
        seen=[makers.judged("a", found=[pressed], space=space), makers.well("b")],
    )
    before = makers.opened(SICK, FIRED)
    first = decisions.decide(before, at_hand)
    (step,) = first.steps
    for news in (*first.news, ended(first.news[-1], step)):
        before = incidents.evolve(before, news) or before
    after = decisions.decide(before, at_hand)
    assert ["the settings are written; settling for 2s"] == [news.text for news in after.news]


def ended(planned: facts.Fact, step: actions.Step) -> facts.Fact:
    """The success of a step."""
    assert planned.action_id == step.id
    return dataclasses.replace(planned, kind=Kind.ACTION_SUCCEEDED, data={})


def test_a_queue_whose_limit_was_not_measured_is_not_restarted_for() -> None:
    """Nothing is known of what a new listen() would change."""
    policy = makers.policy(stages=(makers.DUMP, makers.REPLACE))
    blind = makers.finding(Code.BACKLOG_TOO_SMALL)
    for space in (makers.NAMESPACE, None):
        decision = decisions.decide(
            makers.opened(SICK, FIRED, EVIDENCED),
            makers.circumstances(
                of=policy, seen=[makers.judged("a", found=[blind], space=space), makers.well("b")]
            ),
        )
        assert ([("action.refused", "cannot-help")] if space else []) == [
            (kind, reason) for kind, reason in said(decision) if kind == "action.refused"
        ]


def test_a_trouble_that_only_needs_a_start_may_be_restarted_again_in_its_next_life() -> None:
    """A plan that was interrupted before it happened is made again, for the life that is there."""
    plan = fact(
        Kind.ACTION_PLANNED,
        -70,
        member=A,
        stage="replace",
        action=vocabulary.ActionKind.ROLLING_RESTART,
        action_id=actions.StepId("s1"),
        data={"expected": LIFE},
    )
    cut = dataclasses.replace(plan, kind=Kind.ACTION_INTERRUPTED, data={"happened": "no", "life": None})
    policy = makers.policy(stages=(makers.DUMP, makers.REPLACE))
    dumped = dataclasses.replace(
        plan,
        stage=valid.StageName("evidence"),
        action=vocabulary.ActionKind.THREAD_DUMP,
        action_id=dump_id(),
    )
    incident = makers.opened(SICK, FIRED, dumped, EVIDENCED, plan, cut)
    (step,) = decisions.decide(incident, makers.circumstances(of=policy)).steps
    assert (LIFE, False) == (step.expected, step.id == "s1")


def dump_id() -> actions.StepId:
    """The id that the dump of a has in this incident."""
    draft = drafts.Draft(makers.opened(), makers.circumstances())
    return draft.step_id(makers.DUMP, "a", LIFE)


def test_the_same_circumstances_give_the_same_decision() -> None:
    """A pure function of its arguments."""
    incident = makers.opened(SICK, FIRED, EVIDENCED)
    assert decisions.decide(incident, makers.circumstances()) == decisions.decide(
        incident, makers.circumstances()
    )


def test_a_policy_that_only_changed_its_limits_still_fits() -> None:
    """The table of what abandons an incident is in the stories of test_giving_back."""
    before = makers.policy()
    after = makers.policy(digest="sha256:" + "3" * 64, limits=makers.limits(min_available=0))
    assert decisions.unfit(makers.opened(), before, after) is None
    assert decisions.unfit(makers.opened(), None, before) is None


def test_time_across_a_boot_is_told_by_the_wall_clock() -> None:
    """Never negative."""
    assert makers.seconds(10) == at(10, "boot-2").since(at(0))
    assert makers.seconds(0) == at(0, "boot-2").since(at(10))


def test_times_are_written_and_read_in_one_form() -> None:
    """UTC with Z; anything else is refused."""
    assert makers.EPOCH == instants.from_rfc3339(instants.rfc3339(makers.EPOCH))
    with pytest.raises(ValueError, match="not a UTC time"):
        instants.from_rfc3339("2026-11-22T10:00:42+01:00")


def test_members_of_two_namespaces_are_tuned_each_in_its_own() -> None:
    """One lease per namespace, not per member."""
    other = samples.NamespaceSample(10, {}, {"net.core.somaxconn": "128"})
    seen = [
        makers.judged("a", found=[WAITS]),
        makers.judged("b", found=[WAITS]),
        makers.judged("c", found=[WAITS], space=other),
    ]
    members = [makers.member(name) for name in ("a", "b", "c")]
    decision = tuned(seen=seen, members=members)
    leased = [step.work.namespace for step in decision.steps if isinstance(step.work, actions.SysctlWrite)]
    assert [9, 10] == leased
    assert B in {news.member for news in decision.news}
