"""lastack is killed at every durable boundary of an incident and between ticks: nothing is done twice, all ends."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import pytest

from lastack.engine import facts
from tests import fakes, wards
from tests.engine import makers, stories

Kind = facts.FactKind
Health = wards.Health
ENDS = (Kind.ACTION_SUCCEEDED, Kind.ACTION_FAILED, Kind.ACTION_INTERRUPTED)


@dataclasses.dataclass
class Killer:
    """Kills lastack at the `number`-th commit, `before` or `after` it is durable, so many `times` in a row."""

    number: int
    moment: str
    times: int = 1
    counted: int = 0
    killed: int = 0

    def watch(self, moment: str) -> None:
        """Count the commits."""
        self.counted += moment == "before"
        if self.killed < self.times and self.counted >= self.number and moment == self.moment:
            self.killed += 1
            raise fakes.Killed


def commits(health: Health) -> int:
    """How many commits the whole story has when nobody kills it."""
    counter = Killer(0, "never")
    story = stories.sick(health)
    story.disk.watch = counter.watch
    story.until_closed()
    return counter.counted


COMMITS = {Health.STALLED: 7, Health.DROPPING: 8}


@pytest.mark.parametrize("health", COMMITS)
def test_the_stories_below_have_as_many_commits_as_they_are_killed_at(health: Health) -> None:
    """Each commit of the incident is a boundary: more of them need more cases."""
    assert COMMITS[health] == commits(health)


def kill_at() -> Iterator[tuple[Health, int, str]]:
    """Every commit of both stories, before and after it is durable."""
    for health, number in COMMITS.items():
        for at in range(1, number + 1):
            yield health, at, "before"
            yield health, at, "after"


def reborn(story: stories.Story, away: int) -> None:
    """Start again after so many seconds, also when the start itself is killed."""
    while True:
        story.clock.advance(makers.seconds(away))
        with contextlib.suppress(fakes.Killed):
            story.boot()
            return


def lived(story: stories.Story, away: int) -> None:
    """Go on to the end of the incident; killed, lastack is away for so many seconds and starts again."""
    for _ in range(300):
        if story.closed():
            return
        with contextlib.suppress(fakes.Killed):
            story.tick()
            continue
        reborn(story, away)
    raise AssertionError("\n".join(story.lines()))


@pytest.mark.parametrize("away", [0, 60])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(("health", "number", "moment"), list(kill_at()))
def test_killed_at_any_commit_it_does_nothing_twice_and_comes_to_an_end(
    health: Health, number: int, moment: str, times: int, away: int
) -> None:
    """Before the intent is durable nothing began; after it the world is asked; each act has exactly one end."""
    story = stories.sick(health)
    killer = Killer(number, moment, times)
    story.disk.watch = killer.watch
    lived(story, away)
    assert times == killer.killed
    story.tick(5)
    story.assert_whole()
    assert {} == story.ledger.folded.planned
    assert ["replace a 1000@1"] == [deed for deed in story.ward.deeds if deed.startswith("replace")]
    assert "verified" == story.closed()[0].outcome


@pytest.mark.parametrize("health", COMMITS)
@pytest.mark.parametrize("away", [0, 5])
def test_killed_between_any_two_ticks_it_does_nothing_twice_and_comes_to_an_end(
    health: Health, away: int
) -> None:
    """What runs in the world runs on, and is followed again."""
    for second in range(10, 30):
        story = stories.sick(health)
        story.tick(second)
        story.clock.advance(makers.seconds(away))
        story.boot()
        story.until_closed()
        story.tick(5)
        story.assert_whole()
        assert 1 == sum(deed.startswith("replace") for deed in story.ward.deeds)
        assert "verified" == story.closed()[0].outcome


def test_a_replacement_that_runs_on_is_followed_again() -> None:
    """Reconciled as Running: no entry of its own, and its outcome is written when it comes."""
    story = stories.sick(Health.STALLED)
    story.until_kind(Kind.ACTION_PLANNED, 2)
    story.boot()
    assert 1 == len(story.works.running())
    story.until_closed()
    assert [] == story.of(Kind.ACTION_INTERRUPTED)


def test_a_replacement_whose_end_nobody_saw_counts_as_ours() -> None:
    """It happened while lastack was away: interrupted with yes, in the budget, verified like any other."""
    story = stories.sick(Health.STALLED)
    story.until_kind(Kind.ACTION_PLANNED, 2)
    story.clock.advance(makers.seconds(30))
    story.boot()
    assert "verified" == story.until_closed().outcome
    (entry,) = story.of(Kind.ACTION_INTERRUPTED)
    kept = story.ledger.folded.standing("api", story.clock.now()).restarts
    assert ({"happened": "yes", "life": "1010@2"}, [True]) == (entry.fact.data, [each.ours for each in kept])


def test_an_act_that_was_planned_and_never_begun_is_decided_afresh() -> None:
    """Killed between the intent and the act: interrupted with no, then planned again under another id."""
    story = stories.sick(Health.STALLED)
    story.until(lambda: len(story.of(Kind.EVIDENCE_STORED)) == 1)
    story.disk.watch = killed_after(lambda: len(story.of(Kind.ACTION_PLANNED)) == 2)
    lived(story, 1)
    (entry,) = story.of(Kind.ACTION_INTERRUPTED)
    first, second = [e.fact for e in story.of(Kind.ACTION_PLANNED) if e.fact.stage == "replace"]
    assert "no" == entry.fact.data["happened"]
    assert first.action_id != second.action_id
    assert first.data == second.data


def test_a_setting_that_was_planned_and_never_written_is_decided_afresh() -> None:
    """The ladder is not climbed past a setting that a crash kept from being written."""
    story = stories.sick(Health.DROPPING)
    story.until(lambda: len(story.of(Kind.EVIDENCE_STORED)) == 1)
    story.disk.watch = killed_after(lambda: len(story.of(Kind.ACTION_PLANNED)) == 2)
    lived(story, 1)
    assert ["write net.core.somaxconn 4096", "replace a 1000@1"] == story.ward.deeds
    assert "verified" == story.closed()[0].outcome


def killed_after(so: Callable[[], bool]) -> Callable[[str], None]:
    """Kill right after the first commit when it is so."""
    done: list[bool] = []

    def watch(moment: str) -> None:
        if moment == "after" and not done and so():
            done.append(True)
            raise fakes.Killed

    return watch


def test_what_the_world_does_not_tell_stops_the_rollout_and_counts() -> None:
    """Unknown is neither done nor undone: a human is told, and the budget errs on the safe side."""
    story = stories.sick(Health.STALLED)
    story.until_kind(Kind.ACTION_PLANNED, 2)
    story.ways.fog = True
    story.boot()
    exhausted = story.until_kind(Kind.INCIDENT_EXHAUSTED)
    (entry,) = story.of(Kind.ACTION_INTERRUPTED)
    kept = story.ledger.folded.standing("api", story.clock.now()).restarts
    assert ("unknown", 1) == (entry.fact.data["happened"], sum(restart.ours for restart in kept))
    assert "nobody can tell whether a was replaced" in exhausted.fact.text
    story.assert_whole()


def test_a_dump_that_a_crash_cut_off_is_missed_on_record() -> None:
    """Its series died with the process; the restart goes on with the reason in the ledger."""
    story = stories.sick(Health.STALLED)
    story.until_kind(Kind.ACTION_PLANNED)
    story.boot()
    assert "verified" == story.until_closed().outcome
    assert ["the dumps were interrupted by the end of lastack itself"] == [
        e.fact.data["why"] for e in story.of(Kind.EVIDENCE_MISSED)
    ]


def test_a_lease_whose_write_was_not_seen_is_not_forgotten() -> None:
    """Written, then killed before the outcome was: the value itself says so, and the lease is on record."""
    story = stories.sick(Health.DROPPING)
    story.until(lambda: "write net.core.somaxconn 4096" in story.ward.deeds)
    story.boot()
    assert [("128", "4096")] == [(lease.original, lease.observed) for lease in story.leases()]


def test_ending_on_purpose_says_what_runs_on() -> None:
    """The next start follows it."""
    story = stories.sick(Health.STALLED)
    story.until_kind(Kind.ACTION_PLANNED, 2)
    story.loop.stop(makers.seconds(4))
    (entry,) = story.of(Kind.LASTACK_STOPPED)
    assert "lastack stopped; 1 act goes on without it" == entry.fact.text
    story.boot()
    assert "verified" == story.until_closed().outcome
    assert {str(e.fact.kind) for e in story.of(*ENDS)} == {"action.succeeded"}
