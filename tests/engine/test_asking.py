"""What people ask a running lastack: status, pause, resume, restore; and what the shell does between ticks."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Mapping

import pytest

from lastack import errors, ticking
from lastack.engine import facts, outcomes
from lastack.policy import valid
from tests import wards
from tests.engine import makers, stories

Kind = facts.FactKind
Health = wards.Health


def asked(story: stories.Story, verb: str, **arguments: str) -> Mapping[str, outcomes.Json]:
    """The answer to a request."""
    story.controls.say(verb, **arguments)
    story.tick(1)
    return story.controls.replies[-1]


def target(story: stories.Story) -> Mapping[str, outcomes.Json]:
    """The only target of the status."""
    targets = asked(story, "status")["targets"]
    assert isinstance(targets, tuple)
    (found,) = targets
    assert isinstance(found, Mapping)
    return found


WRONG = [
    ("dance", {}, "no such request: 'dance'; expected one of status, pause, resume, restore"),
    ("pause", {}, "a pause needs a reason"),
    ("pause", {"reason": "  "}, "a pause needs a reason"),
    ("pause", {"reason": "x", "for": "soon"}, "'soon' is not a duration"),
]


@pytest.mark.parametrize(("verb", "arguments", "error"), WRONG)
def test_a_request_that_cannot_be_meant_is_answered_with_what_was_expected(
    verb: str, arguments: dict[str, str], error: str
) -> None:
    """And changes nothing."""
    story = stories.Story()
    assert str(asked(story, verb, **arguments)["error"]).startswith(error)
    assert [] == story.kinds()


def test_a_pause_and_its_end_are_on_record_before_they_are_confirmed() -> None:
    """Who, why, and until when."""
    story = stories.Story()
    assert "paused by ada until resumed: a release" == asked(story, "pause", reason="a release")["text"]
    assert {"reason": "a release", "actor": "ada", "until": None} == asked(story, "status")["paused"]
    assert "paused by ada: a release" in str(target(story)["notActing"])
    assert "after a pause since" in str(asked(story, "resume")["text"])
    assert "nothing was paused" in str(asked(story, "resume")["text"])
    assert asked(story, "status")["paused"] is None


@pytest.mark.parametrize(
    ("arguments", "text"), [({}, "no lease is open"), ({"name": "net.x"}, "no lease of net.x is open")]
)
def test_without_a_lease_there_is_nothing_to_give_back(arguments: dict[str, str], text: str) -> None:
    """Said, and not an error."""
    assert text == asked(stories.Story(), "restore", **arguments)["text"]


def test_the_status_of_a_quiet_target_says_that_nothing_is_raised() -> None:
    """Members with their signals, and why nothing happens."""
    story = stories.Story()
    story.tick(10)
    found = target(story)
    assert (None, ("no trigger is raised",), None) == (
        found["incident"],
        found["notActing"],
        found["missing"],
    )
    members = found["members"]
    assert isinstance(members, tuple)
    first, _ = members
    assert isinstance(first, Mapping)
    assert ("a", "healthy", True) == (first["name"], first["diagnosis"], first["ready"])
    assert "'name': 'stalled', 'state': <VerdictState.CLEAR: 'CLEAR'>" in str(first["triggers"])


def test_the_status_says_everything_that_holds() -> None:
    """Mode, warm-up, budget and the refusals of the incident."""
    policy = makers.policy(
        observe=True, limits=makers.limits(restarts=valid.RestartBudget(0, dt.timedelta(hours=1)))
    )
    story = stories.Story(policy=policy)
    first = target(story)
    assert "mode observe: acts are simulated, never done" in str(first["notActing"])
    assert "warm-up: nothing disruptive for another" in str(first["notActing"])
    story.ward.fall_sick("a", Health.STALLED, ago=makers.seconds(30))
    story.until(lambda: ("replace", "a", "budget-spent") in story.refusals())
    later = target(story)
    assert "restart budget spent: 0 of 0 in 1h" in str(later["notActing"])
    assert "(budget-spent)" in str(later["notActing"])
    assert "REMEDIATING" in str(later["incident"])


def test_a_refusal_that_has_passed_is_not_in_the_status_any_more() -> None:
    """What was held and is being done now holds nothing."""
    story = stories.sick(Health.STALLED)
    story.controls.say("pause", reason="a release")
    story.until(lambda: ("replace", "a", "paused") in story.refusals())
    assert "a release (paused)" in str(target(story)["notActing"])
    story.controls.say("resume")
    story.until_kind(Kind.ACTION_PLANNED, 2)
    later = target(story)
    assert "(paused)" not in str(later["notActing"])
    assert ("rollingRestart of a",) == later["running"]


def test_the_status_shows_leases_and_what_runs() -> None:
    """The value that is in force, and the one that will be again."""
    story = stories.sick(Health.DROPPING)
    story.until_kind(Kind.SYSCTL_LEASED)
    found = asked(story, "status")["leases"]
    assert isinstance(found, tuple)
    (lease,) = found
    assert isinstance(lease, Mapping)
    assert ("net.core.somaxconn", "128", "4096") == (lease["name"], lease["original"], lease["value"])


def test_a_target_that_nobody_can_see_says_so() -> None:
    """Not the same as one that is well."""
    story = stories.Story("a")
    story.tick(3)
    story.ward.unreachable = "the system bus does not answer"
    story.tick(3)
    assert "the members cannot be seen" in str(target(story)["notActing"])


def test_nothing_is_given_back_before_the_policies_are_known() -> None:
    """A start whose policies are still being read looks like one without policies, and is not."""
    story = stories.sick(Health.DROPPING)
    story.until_kind(Kind.SYSCTL_LEASED)
    story.boot()
    story.source.news()
    story.tick(3)
    assert 1 == len(story.leases())


def test_the_tick_is_as_fast_as_the_fastest_target_wants() -> None:
    """Between a tenth of a second and a second."""
    story = stories.Story()
    assert makers.seconds(1) == story.loop.fastest()
    story.put(makers.policy(sample_every=dt.timedelta(milliseconds=500)))
    story.tick(1)
    assert dt.timedelta(milliseconds=500) == story.loop.fastest()
    assert [dt.timedelta(milliseconds=250), ticking.LONGEST_PAUSE, ticking.SHORTEST_PAUSE] == [
        ticking.pace(span) for span in (story.loop.fastest(), makers.seconds(9), dt.timedelta(0))
    ]


class Ends(threading.Event):
    """A stop that comes after so many waits; each wait is a second of the story."""

    def __init__(self, story: stories.Story, ticks: int) -> None:
        super().__init__()
        self._story, self._left = story, ticks

    def wait(self, timeout: float | None = None) -> bool:
        """A second passes."""
        self._story.clock.advance(wards.SECOND)
        self._left -= 1
        if self._left == 0:
            self.set()
        return self.is_set()


def ticked(story: stories.Story, ticks: int, notices: list[str]) -> None:
    """Run the story's loop for so many ticks."""
    ticking.run(
        story.loop,
        story.ledger,
        story.clock,
        Ends(story, ticks),
        actor="root",
        checkpoint_every=makers.seconds(10),
        notice=notices.append,
    )


def test_a_run_ticks_checkpoints_and_says_that_it_ends() -> None:
    """A checkpoint each ten seconds, even when nothing happens."""
    story, notices = stories.Story(), list[str]()
    ticked(story, 25, notices)
    assert ([], 2) == (notices, len(story.of(Kind.LEDGER_CHECKPOINTED)))
    assert Kind.LASTACK_STOPPED is story.disk.entries()[-1].fact.kind


def test_a_disk_that_cannot_be_written_is_said_once_and_tried_again() -> None:
    """The run goes on, whatever is owed is written when it can be."""
    story, notices = stories.Story(), list[str]()
    calls = 0

    def full(moment: str) -> None:
        nonlocal calls
        calls += moment == "before"
        if 3 <= calls < 9 and moment == "before":
            raise errors.StateUnusable("no space left on the disk")

    story.disk.watch = full
    for _ in range(4):
        story.controls.say("pause", reason="x")
    ticked(story, 20, notices)
    assert ["nothing can be recorded, so nothing new begins: no space left on the disk"] == list(
        dict.fromkeys(notices)
    )
    assert 1 == len(notices)
