"""Each guard alone, the order in which they are tried, and the numbers in what they say."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from lastack import quantities
from lastack.engine import actions, censuses, facts, guards, incidents, judgements, reasons, standings
from lastack.policy import valid, vocabulary
from tests.engine import makers
from tests.engine.makers import A, B, Code, at, seconds

Kind = facts.FactKind
Reason = reasons.Reason
EVIDENCED = makers.opened(makers.fact(Kind.EVIDENCE_STORED, -50, member=A))


def situation(
    *,
    stage: valid.Stage = makers.REPLACE,
    policy: valid.Policy | None = None,
    member: censuses.Member | None = None,
    others: tuple[censuses.Member, ...] = (makers.member("b"),),
    seen: tuple[judgements.Judgement, ...] | None = None,
    incident: incidents.Incident = EVIDENCED,
    standing: standings.Standing = makers.STANDING,
) -> guards.Situation:
    """A stalled a, a healthy b, and nothing that holds."""
    member = member or makers.member("a")
    seen = (makers.judged("a"), makers.well("b")) if seen is None else seen
    return guards.Situation(
        policy=policy or makers.policy(),
        stage=stage,
        member=member,
        census=censuses.Census((member, *others)),
        judged={each.member: each for each in seen},
        incident=incident,
        standing=standing,
        now=at(0),
    )


def standing(**more: object) -> standings.Standing:
    """What holds, with some of it changed."""
    return dataclasses.replace(makers.STANDING, **more)  # type: ignore[arg-type] # fields of the standing, by name


def restart(minutes_ago: float, *, shadow: bool = False, ours: bool = True) -> standings.Restart:
    """A restart of b."""
    when = makers.EPOCH - dt.timedelta(minutes=minutes_ago)
    return standings.Restart("api", B, when, shadow=shadow, ours=ours)


def limited(**more: object) -> valid.Policy:
    """The policy with other limits."""
    return makers.policy(limits=makers.limits(**more))


def remedied(member: str, seconds_ago: float) -> standings.Standing:
    """The standing after an incident in which the member was treated."""
    when = makers.EPOCH - seconds(seconds_ago)
    return standing(remediations=(standings.Remediation("api", actions.MemberName(member), when),))


PAUSE = standings.Pause(makers.EPOCH, None, "a release", "ada")
UNTIL = dataclasses.replace(PAUSE, until=makers.EPOCH + seconds(60))
OVER = dataclasses.replace(PAUSE, until=makers.EPOCH)
LOW = makers.finding(confidence=vocabulary.Confidence.LOW)
WHOLE, HALF = quantities.Share(1.0), quantities.Share(0.5)
NEXT = "limits.restarts allows 3, the next at 2026-11-22T10:01:00Z"
ANEW = actions.Incarnation("1@2")
LEAK = makers.finding(Code.FD_LEAK)

HELD = [
    (Reason.PAUSED, "paused by ada until `lastack resume`: a release", {"standing": standing(pause=PAUSE)}),
    (Reason.PAUSED, "paused by ada until 2026-11-22T10:01:00Z: a release", {"standing": standing(pause=UNTIL)}),
    (Reason.DISK_FULL, "1 MB is free", {"standing": standing(disk_full="1 MB is free")}),
    (Reason.STALE_SAMPLES, "nothing certain is known about a right now", {"seen": (makers.well("b"),)}),
    (Reason.STALE_SAMPLES, "nothing certain is known about a right now",
     {"seen": (makers.judged("a", stands=[makers.FIRING, makers.UNTOLD]), makers.well("b"))}),
    (Reason.STALE_SAMPLES, "the last look at a is 4s old; at most 3s",
     {"seen": (makers.judged("a", second=-4), makers.well("b"))}),
    (Reason.INCARNATION_CHANGED, "a was restarted after it was judged; it has to be judged again",
     {"member": makers.member("a", incarnation=ANEW)}),
    (Reason.LOW_CONFIDENCE, "the diagnosis of a is accept-stall at low confidence",
     {"seen": (makers.judged("a", found=[LOW]), makers.well("b"))}),
    (Reason.LOW_CONFIDENCE, "the diagnosis of a is nothing",
     {"seen": (makers.judged("a", found=[]), makers.well("b"))}),
    (Reason.WARM_UP, "lastack has watched for less than limits.warmUp (5s); it may act after that",
     {"standing": standings.Standing(at(-4))}),
    (Reason.START_LIMIT, "5 starts in 10 s",
     {"member": makers.member("a", hold=censuses.Hold(Reason.START_LIMIT, "5 starts in 10 s"))}),
    (Reason.YOUNG_PROCESS, "a is younger than limits.minProcessAge (5s)",
     {"member": makers.member("a", age=seconds(4))}),
    (Reason.COOLDOWN, "a was remediated before; its cooldown of 1m ends 2026-11-22T10:00:01Z",
     {"standing": remedied("a", 59)}),
    (Reason.BUDGET_SPENT, f"3 restarts of api in the last 1h; {NEXT}",
     {"standing": standing(restarts=(restart(59), restart(20), restart(3)))}),
    (Reason.BUDGET_SPENT,
     f"3 restarts of api in the last 1h, 2 of them by others; {NEXT}",
     {"standing": standing(restarts=(restart(59, ours=False), restart(20), restart(3, ours=False)))}),
    (Reason.BUDGET_SPENT, "limits.restarts.max is 0: lastack never restarts this target",
     {"policy": limited(restarts=valid.RestartBudget(0, seconds(60)))}),
    (Reason.MIN_AVAILABLE, "without a 0 of 1 members would serve; limits.minAvailable is 1", {"others": ()}),
    (Reason.MIN_AVAILABLE, "without a 1 of 2 members would serve; limits.minAvailable is 100%, that is 2",
     {"policy": limited(min_available=WHOLE)}),
    (Reason.EVIDENCE_PENDING, "the evidence of a is not stored yet; the act waits for it",
     {"incident": makers.opened()}),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "text", "given"), HELD)
def test_each_guard_holds_alone_and_says_its_numbers(
    reason: Reason, text: str, given: dict[str, object]
) -> None:
    """One thing is not as it should be: that guard, with that sentence."""
    found = guards.refusal(situation(**given))  # type: ignore[arg-type] # parameters of situation, by name
    assert guards.Refusal(reason, text) == found


FREE: list[tuple[str, dict[str, object]]] = [
    ("nothing is wrong", {}),
    ("a pause that is over", {"standing": standing(pause=OVER)}),
    ("the warm-up is over", {"standing": standings.Standing(at(-5))}),
    ("old enough", {"member": makers.member("a", age=seconds(5))}),
    ("an age that the host does not tell", {"member": makers.member("a", age=None)}),
    ("the cooldown is over", {"standing": remedied("a", 60)}),
    ("the cooldown of another member", {"standing": remedied("b", 1)}),
    (
        "restarts that are too old to count",
        {"standing": standing(restarts=tuple(restart(60) for _ in range(9)))},
    ),
    ("simulated restarts", {"standing": standing(restarts=tuple(restart(1, shadow=True) for _ in range(9)))}),
    ("one left in the budget", {"standing": standing(restarts=(restart(1), restart(2)))}),
    ("downtime is allowed", {"others": (), "policy": limited(min_available=0)}),
    ("samples as old as they may be", {"seen": (makers.judged("a", second=-3), makers.well("b"))}),
]


@pytest.mark.parametrize(("claim", "given"), FREE)
def test_what_is_within_its_limits_holds_nothing(claim: str, given: dict[str, object]) -> None:
    """Exactly at the limit is within it."""
    assert guards.refusal(situation(**given)) is None, claim  # type: ignore[arg-type] # parameters, by name


def test_the_first_guard_that_holds_is_the_refusal() -> None:
    """From what concerns everything to what concerns this act: taking one away shows the next."""
    policy = limited(restarts=valid.RestartBudget(0, seconds(60)))
    young = makers.member("a", age=seconds(1), hold=censuses.Hold(Reason.START_LIMIT, "5 starts"))
    all_of_it = situation(
        policy=policy,
        member=young,
        others=(),
        seen=(makers.judged("a", found=[LOW], second=-9),),
        incident=makers.opened(),
        standing=dataclasses.replace(remedied("a", 1), pause=PAUSE, disk_full="full", started=at(-1)),
    )
    found = [refused.reason for guard in guards.DISRUPTING if (refused := guard(all_of_it)) is not None]
    assert [
        Reason.PAUSED,
        Reason.DISK_FULL,
        Reason.STALE_SAMPLES,
        Reason.LOW_CONFIDENCE,
        Reason.WARM_UP,
        Reason.START_LIMIT,
        Reason.YOUNG_PROCESS,
        Reason.COOLDOWN,
        Reason.BUDGET_SPENT,
        Reason.MIN_AVAILABLE,
        Reason.EVIDENCE_PENDING,
    ] == found


def test_every_kind_of_action_has_its_guards() -> None:
    """Adding an action without deciding what holds it fails here."""
    assert set(vocabulary.ActionKind) == set(guards.GUARDS)


@pytest.mark.parametrize("stage", [makers.DUMP, makers.TUNE])
def test_what_disturbs_no_process_is_not_held_by_what_protects_processes(stage: valid.Stage) -> None:
    """Neither evidence nor settings wait for budgets, ages or other members."""
    policy = limited(restarts=valid.RestartBudget(0, seconds(60)))
    young = makers.member("a", age=seconds(1))
    assert guards.refusal(situation(stage=stage, policy=policy, member=young, others=())) is None


def test_simulated_restarts_hold_what_only_simulates() -> None:
    """Observe counts real and simulated restarts: it is held as enforce would be."""
    observing = makers.stage(makers.REPLACE, mode=makers.Mode.OBSERVE)
    spent = standing(restarts=tuple(restart(1, shadow=True) for _ in range(3)))
    found = guards.refusal(situation(stage=observing, standing=spent))
    assert found is not None
    assert Reason.BUDGET_SPENT is found.reason


AVAILABLE = [
    ("well", makers.well("b"), makers.member("b"), True),
    ("leaking: it still serves", makers.judged("b", found=[LEAK]), makers.member("b"), True),
    ("stalled", makers.judged("b"), makers.member("b"), False),
    ("unknown", makers.judged("b", found=[makers.finding(Code.UNKNOWN)]), makers.member("b"), False),
    ("not seen", makers.judged("b", found=[]), makers.member("b"), False),
    ("not ready by its host's word", makers.well("b"), makers.member("b", ready=False), False),
    ("judged in another life", makers.well("b"), makers.member("b", incarnation=ANEW), False),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "judged", "member", "expected"), AVAILABLE)
def test_a_member_is_available_when_it_is_seen_to_serve(
    claim: str, judged: judgements.Judgement, member: censuses.Member, expected: bool
) -> None:
    """Running, seen in this life, and without a disease that serves nothing."""
    assert expected == bool(guards.available(censuses.Census((member,)), {B: judged})), claim
    assert guards.available(censuses.Census((member,)), {}) == set()


@pytest.mark.parametrize(
    ("whole", "limit", "expected"),
    [
        (1, 1, False), (1, 0, True), (2, 1, True), (2, 2, False), (3, 2, True), (3, 3, False),
        (1, HALF, False), (2, HALF, True), (3, HALF, True), (3, quantities.Share(0.7), False), (3, WHOLE, False),
    ],
)  # fmt: skip
def test_min_available_counts_the_members_that_would_be_left(
    whole: int, limit: int | quantities.Share, expected: bool
) -> None:
    """A share of all members, rounded up; one sick, the others well."""
    others = tuple(makers.member(f"b{number}") for number in range(whole - 1))
    seen = (makers.judged("a"), *(makers.well(str(other.name)) for other in others))
    given = situation(others=others, seen=seen, policy=limited(min_available=limit))
    assert expected == (guards.refusal(given) is None)
