"""Between two looks the loop glances at the queues: a burst shows in no look."""

import dataclasses

from tests import wards
from tests.engine import makers, stories

SELDOM = dataclasses.replace(makers.policy(), sample_every=5 * wards.SECOND)


def test_every_tick_between_two_looks_is_a_glance_into_each_namespace() -> None:
    """A tick each second and a look each five: four glances a look, by one process of the namespace."""
    story = stories.Story("a", "b", policy=SELDOM)
    begun = story.clock.steady
    story.tick(11)
    seconds = [(at - begun) // wards.SECOND for at, _ in story.sampler.glances]
    assert [1, 2, 3, 4, 6, 7, 8, 9] == seconds
    (where,) = {selection.netns_pid for _, selection in story.sampler.glances}
    assert where == story.ward["a"].pid


def test_nothing_is_glanced_at_where_no_process_can_be_seen() -> None:
    """Members whose network namespace is hidden have no queue to look at."""
    story = stories.Story("a", policy=SELDOM)
    story.ward.namespaces_seen = False
    story.tick(4)
    assert [] == story.sampler.glances
