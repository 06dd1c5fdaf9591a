"""What holds in any world: random patients, people, clocks, disks and crashes, and the ledger that comes of it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping

import hypothesis
from hypothesis import strategies as st

from lastack import errors
from lastack.engine import facts
from lastack.policy import valid, vocabulary
from lastack.runbook import entries
from tests import wards
from tests.engine import makers, stories

Kind = facts.FactKind
Health = wards.Health
RESTART = vocabulary.ActionKind.ROLLING_RESTART
ENDS = frozenset({Kind.ACTION_SUCCEEDED, Kind.ACTION_FAILED, Kind.ACTION_INTERRUPTED})
EVIDENCE = frozenset({Kind.EVIDENCE_STORED, Kind.EVIDENCE_MISSED})
# A whole story per example: half as many as the profile says.
few = hypothesis.settings(
    max_examples=hypothesis.settings().max_examples // 2,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happens before so many seconds pass."""

    what: str
    member: str
    health: Health
    seconds: int


def change_health(story: stories.Story, event: Event) -> None:
    """A member falls sick or recovers."""
    story.ward.fall_sick(event.member, event.health, ago=makers.seconds(40))


def spread(story: stories.Story, event: Event) -> None:
    """Two fall sick at once."""
    for name in sorted({"a", "b", "c"} - {event.member}):
        story.ward.fall_sick(name, event.health, ago=makers.seconds(40))


def hide(story: stories.Story, event: Event) -> None:
    """It falls sick, and its dumps do not end for a while."""
    story.ward.fall_sick(event.member, Health.STALLED, ago=makers.seconds(40))
    story.ways.dumps_end = False


def begin_old_leak(story: stories.Story, event: Event) -> None:
    """It leaked for long already."""
    story.ward.fall_sick(event.member, Health.LEAKING, ago=dt.timedelta(minutes=10))


def restart(story: stories.Story, event: Event) -> None:
    """Somebody restarts a member."""
    story.ward.restart(event.member, event.health)


def stop_or_start(story: stories.Story, event: Event) -> None:
    """Somebody stops a member, or starts it."""
    (story.ward.stop if story.ward[event.member].up else story.ward.start)(event.member)


def spoil_cure(story: stories.Story, event: Event) -> None:
    """The next replacement goes wrong in some way."""
    cures = list(wards.Cure)
    story.ward[event.member].cures.append(cures[event.seconds % len(cures)])


def lose_sight(story: stories.Story, event: Event) -> None:
    """The host does not answer for a while."""
    story.ward.unreachable = "the system bus does not answer"


def fill_disk(story: stories.Story, event: Event) -> None:
    """No room for a new act for a while."""
    story.disk.no_room = "1 MB is free"


def break_disk(story: stories.Story, event: Event) -> None:
    """Nothing can be written at all for a while."""
    story.disk.unwritable = True


def hang_dumps(story: stories.Story, event: Event) -> None:
    """Dumps do not end for a while."""
    story.ways.dumps_end = False


def pass_over(story: stories.Story) -> None:
    """What lasts for a while is over."""
    story.ward.unreachable = story.disk.no_room = None
    story.disk.unwritable, story.ways.dumps_end = False, True


def pause(story: stories.Story, event: Event) -> None:
    """Somebody says stop for a while."""
    story.controls.say("pause", reason="a release", **{"for": f"{event.seconds + 1}s"})


def step_clock(story: stories.Story, event: Event) -> None:
    """The wall clock is set."""
    story.clock.step(makers.seconds(30 if event.seconds % 2 else -30))


def kill(story: stories.Story, event: Event) -> None:
    """lastack is killed and started again; where it cannot write it cannot start."""
    story.disk.unwritable = False
    story.boot()


def nothing(story: stories.Story, event: Event) -> None:
    """Time passes."""


HAPPENINGS: Mapping[str, Callable[[stories.Story, Event], None]] = {
    happening.__name__: happening
    for happening in (
        change_health, spread, hide, begin_old_leak, restart, stop_or_start, spoil_cure, lose_sight, fill_disk,
        break_disk, pause, step_clock, hang_dumps, kill, nothing,
    )
}  # fmt: skip
PASSING = frozenset({hide, lose_sight, fill_disk, break_disk, hang_dumps})
WHILE = makers.seconds(16)
events = st.builds(
    Event,
    what=st.sampled_from([*["change_health", "spread", "hide"] * 3, *HAPPENINGS]),
    member=st.sampled_from(["a", "b", "c"]),
    health=st.sampled_from([*[Health.STALLED] * 4, Health.DROPPING, *Health]),
    seconds=st.sampled_from([25, 40, 16, 9, 3, 1, 0]),
)
policies = st.builds(
    lambda observe, limits, dumps: makers.policy(
        observe=observe,
        limits=limits,
        stages=(makers.DUMP, makers.TUNE, makers.REPLACE) if dumps else (makers.TUNE, makers.REPLACE),
    ),
    observe=st.sampled_from([False, False, True]),
    limits=st.builds(
        makers.limits,
        cooldown=st.sampled_from([0, 0, 40, 600]).map(makers.seconds),
        restarts=st.builds(
            valid.RestartBudget,
            st.sampled_from([3, 9, 9, 1]),
            st.sampled_from([60, 3600]).map(makers.seconds),
        ),
        min_available=st.integers(0, 2),
    ),
    dumps=st.booleans(),
)


def tick(story: stories.Story) -> None:
    """One tick; a disk that cannot be written is part of life."""
    before = len(story.disk.lines)
    try:
        story.loop.tick()
    except errors.StateUnusable:
        assert story.disk.unwritable
    check_acts(story, story.disk.entries()[before:])
    story.clock.advance(wards.SECOND)


def check_acts(story: stories.Story, news: list[entries.Entry]) -> None:
    """What has to be true of the world at the instant in which an act is planned."""
    for entry in news:
        if entry.fact.kind is not Kind.ACTION_PLANNED:
            continue
        assert vocabulary.Mode.ENFORCE is entry.fact.mode
        assert story.disk.no_room is None
        if entry.fact.action is vocabulary.ActionKind.THREAD_DUMP:
            continue
        assert entry.fact.member is not None
        assert story.ward.unreachable is None
        assert story.ward.patients[entry.fact.member].health not in {Health.UNSEEN, Health.NOT_LISTENING}
        if entry.fact.action is RESTART:
            check_restart(story, entry)


def check_restart(story: stories.Story, planned: entries.Entry) -> None:
    """Evidence, budget, cooldown, the others, and never two at once."""
    limits, name, now = story.policies[0].limits, planned.fact.member, planned.fact.at.wall
    past = [entry.fact for entry in story.disk.entries() if entry.seq < planned.seq]
    own = [fact for fact in past if fact.incident == planned.fact.incident and fact.member == name]
    assert EVIDENCE & {fact.kind for fact in own}
    restarts = [fact.at.wall for fact in past if is_restart(fact)]
    assert sum(at > now - limits.restarts.per for at in restarts) < limits.restarts.maximum
    for fact in past:
        treated = fact.data.get("treated")
        if isinstance(treated, tuple) and name in treated:
            assert fact.at.wall + limits.cooldown <= now
    others = [patient for patient in story.ward.patients.values() if patient.name != name]
    assert isinstance(limits.min_available, int)
    assert sum(patient.up for patient in others) >= limits.min_available
    ended = {fact.action_id for fact in past if fact.kind in ENDS}
    running = {f.action_id for f in past if f.kind is Kind.ACTION_PLANNED and f.action is RESTART} - ended
    assert set() == running


def is_restart(fact: facts.Fact) -> bool:
    """A restart that counts: by others, or ours unless it is known not to have happened."""
    ours = fact.kind in ENDS and fact.action is RESTART and fact.data.get("happened") != "no"
    return ours or fact.kind is Kind.MEMBER_RESTARTED


def lived(policy: valid.Policy, script: list[Event]) -> stories.Story:
    """The whole story, each tick checked."""
    story = stories.Story("a", "b", "c", policy=policy)
    over = story.clock.steady
    for event in script:
        HAPPENINGS[event.what](story, event)
        over = story.clock.steady + WHILE if HAPPENINGS[event.what] in PASSING else over
        for _ in range(event.seconds):
            tick(story)
            if story.clock.steady >= over:
                pass_over(story)
    return story


def check_record(story: stories.Story) -> None:
    """The ledger as a whole."""
    story.assert_whole()
    refusals: dict[tuple[str | None, object], facts.Fact] = {}
    for entry in story.disk.entries():
        fact = entry.fact
        assert fact.text
        if fact.kind in {Kind.ACTION_PLANNED, Kind.ACTION_SIMULATED}:
            refusals.pop((fact.incident, f"{fact.stage}/{fact.member}"), None)
        if fact.kind is Kind.ACTION_REFUSED:
            assert fact.reason is not None
            key = (fact.incident, fact.data["subject"])
            assert key not in refusals or refusals[key].reason != fact.reason
            refusals[key] = fact
    planned = sum(e.fact.action is RESTART for e in story.of(Kind.ACTION_PLANNED))
    assert sum(deed.startswith("replace") for deed in story.ward.deeds) <= planned
    if story.policies[0].mode is vocabulary.Mode.OBSERVE:
        assert [] == [deed for deed in story.ward.deeds if not deed.startswith("restore")]


def heal_everything(story: stories.Story) -> None:
    """All is well again, and nothing holds."""
    pass_over(story)
    story.controls.say("resume")
    for name, patient in story.ward.patients.items():
        if not patient.up:
            story.ward.start(name)
        story.ward.fall_sick(name, Health.HEALTHY)
        patient.answers, patient.cures = True, []


@few
@hypothesis.given(policies, st.lists(events, min_size=4, max_size=14))
def test_whatever_happens_every_act_is_within_its_limits_and_every_incident_ends(
    policy: valid.Policy, script: list[Event]
) -> None:
    """Each act has its evidence, mode, budget, cooldown and enough others; when all is well again, all is over."""
    story = lived(policy, script)
    heal_everything(story)
    for _ in range(120):
        tick(story)
    check_record(story)
    assert [] == [told.incident.id for told in story.history() if told.incident.closed_at is None]
    assert {} == story.ledger.folded.planned


@few
@hypothesis.given(policies, st.lists(events, min_size=2, max_size=6))
def test_the_same_samples_give_the_same_bytes(policy: valid.Policy, script: list[Event]) -> None:
    """Nothing that decides looks at a clock, a random number or the order of a set."""
    assert lived(policy, script).disk.lines == lived(policy, script).disk.lines
