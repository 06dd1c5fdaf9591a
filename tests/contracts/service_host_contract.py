"""What every ServiceHost keeps: the test module of a host subclasses `ServiceHostContract` and gives a `bed`.

Not collected by itself; `class TestSupervised(service_host_contract.ServiceHostContract)` has the fixture.
"""

from __future__ import annotations

import datetime as dt
from typing import Protocol

import pytest

from lastack import ports
from lastack.engine import actions, censuses, reasons
from lastack.policy import valid
from tests import waiting

WITHIN = dt.timedelta(seconds=20)
STEP = actions.StepId("incident-1/replace/1")


class Bed(Protocol):
    """A real host with at least two running members that stop at once, and one that takes its time."""

    @property
    def target(self) -> valid.Target:
        """All its members."""
        ...

    @property
    def member(self) -> actions.MemberName:
        """One that stops at once."""
        ...

    @property
    def slow_member(self) -> actions.MemberName:
        """Needs between half a second and five seconds to stop."""
        ...

    def host(self) -> ports.ServiceHost:
        """A new instance of the adapter, that knows nothing of the others."""
        ...

    def end_by_itself(self, member: actions.MemberName) -> None:
        """End the member behind the host's back, as a crash would; it need not come back."""
        ...


def running(bed: Bed, name: actions.MemberName) -> tuple[censuses.Member, actions.Incarnation]:
    """The member and its life; waits until it runs."""

    def look() -> tuple[censuses.Member, actions.Incarnation] | None:
        member = bed.host().members(bed.target).member(name)
        return (member, member.incarnation) if member and member.ready and member.incarnation else None

    return waiting.wait_until(look, within=WITHIN, what=f"{name} to run")


def await_end(
    bed: Bed, name: actions.MemberName, expected: actions.Incarnation, step: actions.StepId = STEP
) -> ports.Replaced | ports.ReplacementFailed:
    """Follow a replacement with a new instance at each look."""

    def look() -> list[ports.Replaced | ports.ReplacementFailed]:
        found = bed.host().progress(name, expected, step)
        return [] if isinstance(found, ports.Waiting) else [found]

    (ended,) = waiting.wait_until(look, within=WITHIN, what=f"the replacement of {name}")
    return ended


class ServiceHostContract:
    """The claims."""

    @pytest.fixture
    def bed(self) -> Bed:
        """Each host brings its own."""
        raise NotImplementedError

    def test_the_census_names_every_member_with_its_life(self, bed: Bed) -> None:
        """Sorted by name; a running member has a life, an age, and its main process among its pids."""
        running(bed, bed.member)
        running(bed, bed.slow_member)
        census = bed.host().members(bed.target)
        names = [member.name for member in census.members]
        assert sorted(names) == names
        assert {bed.member, bed.slow_member} <= set(names)
        for member in census.members:
            assert member.incarnation is not None
            assert member.main_pid in member.pids
            assert member.age is not None
            assert member.age >= dt.timedelta(0)

    def test_a_replacement_ends_one_life_and_begins_another(self, bed: Bed) -> None:
        """The old life is over, the new one runs, and no other member was touched."""
        before, expected = running(bed, bed.member)
        others = lives_of_others(bed)
        assert ports.Begun() == bed.host().begin_replacement(bed.member, expected, STEP)
        ended = await_end(bed, bed.member, expected)
        after, now = running(bed, bed.member)
        assert ports.Replaced(expected, now) == ended
        assert expected != now
        assert before.main_pid != after.main_pid
        assert others == lives_of_others(bed)

    def test_twice_with_one_step_id_is_once(self, bed: Bed) -> None:
        """Neither a repeated request during the replacement nor one after it ends another life."""
        _, expected = running(bed, bed.slow_member)
        host = bed.host()
        host.begin_replacement(bed.slow_member, expected, STEP)
        assert ports.Begun() == host.begin_replacement(bed.slow_member, expected, STEP)
        ended = await_end(bed, bed.slow_member, expected)
        assert isinstance(ended, ports.Replaced)
        for again in (host, bed.host()):
            answer = again.begin_replacement(bed.slow_member, expected, STEP)
            assert ports.AlreadyReplaced(ended.new) == answer
        assert ended.new == running(bed, bed.slow_member)[1]

    def test_after_a_crash_the_same_step_is_still_once(self, bed: Bed) -> None:
        """An instance that knows nothing of the step may call it begun or hold it off, but ends no second life."""
        _, expected = running(bed, bed.slow_member)
        bed.host().begin_replacement(bed.slow_member, expected, STEP)
        answer = bed.host().begin_replacement(bed.slow_member, expected, STEP)
        if isinstance(answer, ports.HostRefused):
            assert reasons.Reason.CHANGE_IN_PROGRESS == answer.reason
        else:
            assert ports.Begun() == answer
        ended = await_end(bed, bed.slow_member, expected)
        assert isinstance(ended, ports.Replaced)
        assert ended.new == running(bed, bed.slow_member)[1]

    def test_a_life_that_is_over_is_not_replaced_again(self, bed: Bed) -> None:
        """Who expects an older life is told the present one; nothing is restarted."""
        _, expected = running(bed, bed.member)
        bed.host().begin_replacement(bed.member, expected, STEP)
        await_end(bed, bed.member, expected)
        _, now = running(bed, bed.member)
        late = bed.host().begin_replacement(bed.member, expected, actions.StepId("incident-2/replace/1"))
        assert ports.AlreadyReplaced(now) == late
        assert now == running(bed, bed.member)[1]

    def test_a_member_that_died_by_itself_is_not_the_expected_life(self, bed: Bed) -> None:
        """A crash between planning and acting is AlreadyReplaced, with the life that is there now, if any."""
        _, expected = running(bed, bed.member)
        bed.end_by_itself(bed.member)

        def over() -> bool:
            member = bed.host().members(bed.target).member(bed.member)
            return member is None or member.incarnation != expected

        waiting.wait_until(over, within=WITHIN, what="the end of the life")
        answer = bed.host().begin_replacement(bed.member, expected, STEP)
        assert isinstance(answer, ports.AlreadyReplaced)
        assert expected != answer.incarnation

    def test_an_unknown_member_is_refused(self, bed: Bed) -> None:
        """Nothing is started under a name that the host does not know."""
        answer = bed.host().begin_replacement(
            actions.MemberName("nobody-of-this-name"), actions.Incarnation("1@1.00"), STEP
        )
        assert isinstance(answer, ports.HostRefused)
        assert reasons.Reason.NOT_FOUND == answer.reason

    def test_any_instance_sees_that_a_replacement_runs(self, bed: Bed) -> None:
        """in_progress and Waiting are read from the world: true while the old life ends, no longer."""
        _, expected = running(bed, bed.slow_member)
        assert not bed.host().in_progress(bed.slow_member, expected)
        bed.host().begin_replacement(bed.slow_member, expected, STEP)
        assert bed.host().in_progress(bed.slow_member, expected)
        assert isinstance(bed.host().progress(bed.slow_member, expected, STEP), ports.Waiting)
        await_end(bed, bed.slow_member, expected)
        assert not bed.host().in_progress(bed.slow_member, expected)

    def test_a_member_in_change_is_held(self, bed: Bed) -> None:
        """While one replacement runs the census says so, and another step is refused: change-in-progress."""
        _, expected = running(bed, bed.slow_member)
        bed.host().begin_replacement(bed.slow_member, expected, STEP)
        member = bed.host().members(bed.target).member(bed.slow_member)
        assert member is not None
        assert member.hold is not None
        assert reasons.Reason.CHANGE_IN_PROGRESS == member.hold.reason
        other = bed.host().begin_replacement(
            bed.slow_member, expected, actions.StepId("incident-2/replace/1")
        )
        assert isinstance(other, ports.HostRefused)
        assert reasons.Reason.CHANGE_IN_PROGRESS == other.reason
        assert isinstance(await_end(bed, bed.slow_member, expected), ports.Replaced)

    def test_what_nobody_began_is_not_waited_for(self, bed: Bed) -> None:
        """Progress of a replacement that was never asked for is a failure that says so, no endless wait."""
        _, expected = running(bed, bed.member)
        assert isinstance(bed.host().progress(bed.member, expected, STEP), ports.ReplacementFailed)


def lives_of_others(bed: Bed) -> dict[str, actions.Incarnation | None]:
    """The life of every member but the one that the tests replace."""
    census = bed.host().members(bed.target)
    return {member.name: member.incarnation for member in census.members if member.name != bed.member}
