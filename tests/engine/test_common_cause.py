"""Members and targets that wait for one peer: nobody is restarted, and people are told once."""

from __future__ import annotations

import dataclasses

import pytest

from lastack.engine import actions, facts, findings, member_causes, told_causes
from lastack.policy import valid, vocabulary
from tests import wards
from tests.engine import makers, stories

Kind = facts.FactKind
Health = wards.Health
Cause = vocabulary.CauseKind


def without_limits(*, observe: bool = False, **more: object) -> valid.Policy:
    """Nothing but the common cause holds: no member has to be left, many restarts are allowed."""
    limits = makers.limits(min_available=0, restarts=valid.RestartBudget(99, makers.seconds(3600)))
    made = makers.policy(observe=observe, limits=limits, stages=(makers.DUMP, makers.REPLACE))
    return dataclasses.replace(made, **more)  # type: ignore[arg-type] # fields of the policy, by name


def all_hung(*names: str, of: valid.Policy | None = None) -> stories.Story:
    """Every member waits for the downstream."""
    story = stories.Story(*names, policy=of or without_limits())
    story.tick(10)
    for name in names:
        story.ward.fall_sick(name, Health.HUNG)
    return story


def common(story: stories.Story) -> list[str]:
    """What was refused for the common cause."""
    return [e.fact.text for e in story.of(Kind.ACTION_REFUSED) if e.fact.reason == "common-cause"]


@pytest.mark.parametrize("observe", [False, True])
def test_three_members_on_one_dead_peer_are_not_restarted_and_resolve_when_it_returns(
    observe: bool,
) -> None:
    """0 restarts, one refusal, one notification, in any mode; nobody claims the recovery."""
    story = all_hung("a", "b", "c", of=without_limits(observe=observe))
    story.tick(120)
    assert [] == story.ward.deeds
    (text,) = common(story)
    assert "a, b, c wait for 10.9.0.7:7000, which does not answer: it has to come back" in text
    raised = [e.fact for e in story.of(Kind.NOTIFICATION_RAISED)]
    assert [("10.9.0.7:7000", ("a", "b", "c"))] == [(f.data["peer"], f.data["waiting"]) for f in raised]
    story.ward.answer_downstream()
    assert "recovered-unaided" == story.until_closed().outcome
    assert [] == story.ward.deeds
    assert 1 == len(story.of(Kind.NOTIFICATION_RAISED))
    story.assert_whole()


def test_a_member_alone_on_its_peer_may_be_restarted() -> None:
    """One that waits is no common cause; the policy decides."""
    story = stories.sick(Health.HUNG, policy=without_limits())
    story.until_closed()
    assert ["replace a 1000@1"] == story.ward.deeds


def test_a_policy_that_forbids_the_cause_is_obeyed() -> None:
    """notCause: the restart is refused with the cause, and a human gets it."""
    when = valid.When(not_causes=frozenset({Cause.DOWNSTREAM}))
    stages = (makers.DUMP, makers.stage(makers.REPLACE, when=when))
    story = stories.sick(Health.HUNG, policy=without_limits(stages=stages))
    story.until_kind(Kind.INCIDENT_EXHAUSTED)
    assert ("replace", "a", "cause-forbids") in story.refusals()
    assert [] == story.ward.deeds


def test_the_last_that_waits_is_still_held() -> None:
    """The peer has come back for one: the other is about to go on as well, and no moment to restart it."""
    story = all_hung("a", "b")
    story.until(lambda: bool(common(story)))
    story.ward.fall_sick("a", Health.HEALTHY)
    story.tick(60)
    assert [] == story.ward.deeds


def test_a_member_of_which_nobody_knows_for_whom_it_waits_is_held_too() -> None:
    """Two of three wait for a dead peer; the third is stuck and its dumps tell nothing."""
    story = all_hung("a", "b", "c")
    story.ward.fall_sick("c", Health.STALLED)
    story.tick(60)
    assert [] == story.ward.deeds


def test_a_member_with_a_cause_of_its_own_is_restarted_all_the_same() -> None:
    """A lock is nobody else's fault."""
    story = all_hung("a", "b", "c")
    story.ward.fall_sick("c", Health.STALLED)
    story.until(lambda: bool(story.history()) and len(story.incident.evidence) == 2)
    story.ways.dumps_tell = {"cause": "lock", "peer": None, "stuck": 4, "of": 4, "dumps": 3}
    story.until(lambda: bool(story.ward.deeds))
    assert ["replace c 1002@1"] == story.ward.deeds


def test_two_targets_that_wait_for_one_peer_hold_each_other() -> None:
    """Each has one member that waits: a refusal each, one notification in all."""
    web = dataclasses.replace(without_limits(), name=valid.PolicyName("web"), digest="sha256:" + "2" * 64)
    story = stories.Story("a", policy=without_limits())
    story.put(without_limits(), web)
    story.tick(10)
    story.ward.fall_sick("a", Health.HUNG)
    story.tick(60)
    assert [] == story.ward.deeds
    assert ["a, api/a", "a, web/a"] == sorted(text.partition(" wait")[0] for text in common(story))
    assert 1 == len(story.of(Kind.NOTIFICATION_RAISED))
    story.ward.answer_downstream()
    story.until(lambda: len(story.closed()) == 2)
    story.assert_whole()


def test_when_the_ladder_ends_people_hear_of_the_peer_and_not_of_each_target() -> None:
    """No stage restarts: the one notification names who is waited for."""
    story = all_hung("a", "b", of=without_limits(stages=(makers.DUMP, makers.UNHOOK)))
    story.ways.unhooking_heals = False
    story.until_kind(Kind.INCIDENT_EXHAUSTED)
    story.tick(20)
    (raised,) = story.of(Kind.NOTIFICATION_RAISED)
    assert raised.fact.text.endswith(
        "wait for 10.9.0.7:7000, which does not answer; nothing is restarted for it"
    )


def test_a_replacement_that_failed_beside_a_dead_peer_is_told_too() -> None:
    """The peer explains the others; that a member did not come back is another matter, and a human hears of it."""
    story = all_hung("a", "b", "c")
    story.ward.fall_sick("c", Health.STALLED)
    story.ward["c"].cures.append(wards.Cure.FAILS)
    story.until(lambda: bool(story.history()) and len(story.incident.evidence) == 2)
    story.ways.dumps_tell = {"cause": "lock", "peer": None, "stuck": 4, "of": 4, "dumps": 3}
    story.until_kind(Kind.INCIDENT_EXHAUSTED)
    texts = [e.fact.text for e in story.of(Kind.NOTIFICATION_RAISED)]
    assert 2 == len(texts)
    assert "wait for 10.9.0.7:7000" in texts[0]
    assert texts[1].startswith("api needs a human")


def test_a_second_outbreak_is_told_again() -> None:
    """The first has ended: people have put it aside."""
    story = all_hung("a", "b")
    story.until(lambda: bool(common(story)))
    story.ward.answer_downstream()
    story.until_closed()
    story.tick(100)
    for name in ("a", "b"):
        story.ward.fall_sick(name, Health.HUNG)
    story.until(lambda: len(story.of(Kind.NOTIFICATION_RAISED)) == 2)


def test_many_that_wait_are_counted_and_not_all_named() -> None:
    """A sentence stays a sentence."""
    story = all_hung(*"abcdefg")
    story.until(lambda: bool(common(story)))
    assert common(story)[0].startswith("a, b, c, d, e and 2 more wait for 10.9.0.7:7000")


@pytest.mark.parametrize("cause", ["throttled", "memory", "client"])
def test_causes_that_a_restart_never_helps_forbid_it(cause: str) -> None:
    """Whatever the policy says: the quota, the memory and the clients stay as they are."""
    story = stories.sick(Health.STALLED, policy=without_limits())
    story.ways.dumps_tell = {"cause": cause, "peer": None, "stuck": 4, "of": 4, "dumps": 3}
    story.tick(60)
    assert [] == story.ward.deeds
    assert ("replace", "a", "cause-forbids") in story.refusals()


@pytest.mark.parametrize(
    ("told", "least", "refused"),
    [
        ({"dumps": 3, "stuck": 4, "of": 4}, "high", None),
        ({"dumps": 3, "stuck": 2, "of": 4}, "high", "the cause lock is below high confidence"),
        ({"dumps": 3, "stuck": 2, "of": 4}, "medium", None),
        ({"dumps": 1, "stuck": 1, "of": 4}, "medium", "the cause lock is below medium confidence"),
        ({"dumps": None, "stuck": None, "of": None}, "medium", "the cause lock is below medium confidence"),
    ],
)
def test_a_stage_may_ask_how_sure_the_cause_is(
    told: dict[str, int | None], least: str, refused: str | None
) -> None:
    """Several dumps, and most of the workers: each is one sign."""
    when = valid.When(causes=frozenset({Cause.LOCK}), confidence=vocabulary.Confidence(least))
    story = stories.sick(
        Health.STALLED,
        policy=without_limits(stages=(makers.DUMP, makers.stage(makers.REPLACE, when=when))),
    )
    story.ways.dumps_tell = {"cause": "lock", "peer": None, **told}
    story.tick(60)
    texts = [e.fact.text for e in story.of(Kind.ACTION_REFUSED) if e.fact.reason == "low-confidence"]
    assert (["replace a 1000@1"] if refused is None else []) == story.ward.deeds
    assert (refused is None) == (texts == [])
    assert refused is None or texts[0].startswith(refused)


def test_a_stage_for_a_cause_is_not_for_a_diagnosis_without_one() -> None:
    """No cause is sought for a leak."""
    when = valid.When(causes=frozenset({Cause.LOCK}))
    stages = (makers.DUMP, makers.stage(makers.REPLACE, when=when))
    story = stories.sick(Health.LEAKING, policy=without_limits(stages=stages), ago=makers.seconds(600))
    story.until_kind(Kind.INCIDENT_EXHAUSTED)
    (refused,) = [e.fact.text for e in story.of(Kind.ACTION_REFUSED)]
    assert "no cause is sought for fd-leak; stage replace is for lock" == refused


def test_a_diagnosis_that_is_not_sure_enough_is_refused() -> None:
    """confidence alone asks for that of the diagnosis."""
    when = valid.When(confidence=vocabulary.Confidence.HIGH)
    policy = without_limits(stages=(makers.DUMP, makers.stage(makers.REPLACE, when=when)))
    story = stories.sick(Health.LEAKING, policy=policy, ago=makers.seconds(100))
    story.until_kind(Kind.INCIDENT_EXHAUSTED)
    (refused,) = [e.fact.text for e in story.of(Kind.ACTION_REFUSED)]
    assert "the diagnosis fd-leak is below high confidence, which stage replace asks for" == refused


def test_a_setting_that_asks_for_the_cause_waits_for_the_evidence() -> None:
    """As every stage that asks: the dumps tell, and the ladder does not run ahead of them."""
    when = valid.When(causes=frozenset({Cause.LOCK}))
    stages = (makers.DUMP, makers.stage(makers.TUNE, when=when), makers.REPLACE)
    story = stories.sick(Health.STALLED, policy=without_limits(stages=stages))
    story.ways.dumps_end = False
    story.until(lambda: ("tune", "a", "evidence-pending") in story.refusals())
    story.tick(3)
    assert [] == story.of(Kind.INCIDENT_ESCALATED)
    story.ways.dumps_end = True
    story.until_kind(Kind.INCIDENT_ESCALATED)


def test_what_is_done_to_a_process_comes_before_what_its_stacks_say() -> None:
    """A stopped process waits for whoever stopped it, wherever its threads stood."""
    stopped = findings.Cause(Cause.STOPPED, "processState", vocabulary.Confidence.LOW)
    lock = findings.Cause(Cause.LOCK, "threadDump", vocabulary.Confidence.HIGH)
    told = {makers.A: told_causes.ToldCause(makers.LIFE, lock)}
    incident = dataclasses.replace(makers.opened(), told=told)
    seen = dataclasses.replace(makers.finding(), cause=stopped)
    assert stopped == member_causes.of(incident, makers.judged(found=[seen]))
    assert lock == member_causes.of(incident, makers.judged())
    another = makers.judged(life=actions.Incarnation("2@2"))
    assert member_causes.of(incident, another) is None


LOCKED = findings.Cause(Cause.LOCK, "threadDump", vocabulary.Confidence.HIGH, stuck=4, of=4)


@pytest.mark.parametrize(
    ("code", "seen", "told", "expected"),
    [
        (makers.Code.HANDLER_STALL, "low", LOCKED, "medium"),
        (makers.Code.HANDLER_STALL, "low", dataclasses.replace(LOCKED, stuck=2), "low"),
        (makers.Code.HANDLER_STALL, "low", dataclasses.replace(LOCKED, stuck=None), "low"),
        (
            makers.Code.HANDLER_STALL,
            "low",
            dataclasses.replace(LOCKED, confidence=vocabulary.Confidence.LOW),
            "low",
        ),
        (makers.Code.HANDLER_STALL, "low", None, "low"),
        (makers.Code.HANDLER_STALL, "high", LOCKED, "high"),
        (makers.Code.FD_LEAK, "low", LOCKED, "low"),
    ],
)
def test_dumps_are_the_second_signal_of_a_handler_stall(
    code: vocabulary.DiagnosisCode, seen: str, told: findings.Cause | None, expected: str
) -> None:
    """Threads that stood still say that these are no long polls; of a leak they say nothing."""
    known = {} if told is None else {makers.A: told_causes.ToldCause(makers.LIFE, told)}
    incident = dataclasses.replace(makers.opened(), told=known)
    found = makers.finding(code, vocabulary.Confidence(seen))
    assert expected == member_causes.confidence(incident, makers.judged(found=[found]))


def test_nothing_found_is_of_the_lowest_confidence() -> None:
    """Where nothing was seen nothing is sure."""
    assert "low" == member_causes.confidence(makers.opened(), makers.judged(found=[]))
