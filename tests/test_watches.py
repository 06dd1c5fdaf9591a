"""What a watch makes of a look: who belongs to a member, and what is not concluded from what is hidden."""

from __future__ import annotations

import dataclasses

from lastack import ports, watches
from lastack.engine import actions, censuses, samples, verdicts
from lastack.policy import valid
from tests.engine import clients, makers
from tests.engine.clients import DATABASE
from tests.engine.makers import Code, seconds

MEMBER = actions.MemberName("a")
LEAKING = dataclasses.replace(
    makers.STALLED, diagnoses=frozenset({Code.OUTBOUND_LEAK}), sustained_for=seconds(0)
)
HIDDEN = (("closeWait.outbound", samples.Missing("9 sockets belong to processes that cannot be seen")),)


class Eye:
    """A sampler that sees what the test says (the part of ports.Sampler that a watch calls)."""

    def __init__(self) -> None:
        self.seen: samples.Sample | None = None

    def look(self, selection: ports.Selection) -> samples.Sample:
        """That."""
        assert self.seen is not None
        return self.seen

    def glance(self, selection: ports.Selection) -> None:
        """Nothing more."""

    def namespace_of(self, pid: samples.Pid) -> int | None:
        """All in one."""
        return 9


class Host:
    """A service host with one member, which nobody replaces."""

    def members(self, target: valid.Target) -> censuses.Census:
        """It."""
        return censuses.Census((makers.member(),))

    def begin_replacement(
        self, member: actions.MemberName, expected: actions.Incarnation, step: actions.StepId
    ) -> ports.Begun:
        """Never asked."""
        return ports.Begun()

    def progress(
        self, member: actions.MemberName, expected: actions.Incarnation, step: actions.StepId
    ) -> ports.Waiting:
        """Never asked."""
        return ports.Waiting("")

    def in_progress(self, member: actions.MemberName, expected: actions.Incarnation) -> bool:
        """Never."""
        return False


def watched(*seen: samples.Sample) -> watches.Watch:
    """A watch that has had these looks."""
    eye = Eye()
    watch = watches.Watch(makers.policy(triggers=(LEAKING,)), lambda _: Host(), eye)
    for sample in seen:
        eye.seen = sample
        watch.look(sample.at)
    return watch


def sample(
    second: float,
    *,
    pid: int = 7,
    missing: tuple[tuple[str, samples.Missing], ...] = (),
    looks: tuple[samples.Look, ...] | None = None,
) -> samples.Sample:
    """A healthy listener, and a process with many old connections of its own that become more."""
    ages = [*clients.spread(200, 3600, 400), *([31.0] * int(second))]
    leak = clients.look(second, {DATABASE: ages}, pid=pid)
    return samples.Sample(
        makers.at(second), (makers.look(second),) if looks is None else looks, missing, (leak,)
    )


def test_a_member_is_judged_by_its_processes_as_clients_too() -> None:
    """A leak of its own connections fires by its diagnosis."""
    judged = watched(sample(0), sample(5)).judged[MEMBER]
    assert [Code.OUTBOUND_LEAK, Code.HEALTHY] == [finding.code for finding in judged.found]
    assert verdicts.VerdictState.FIRING is judged.verdicts[0].state


def test_another_process_of_the_namespace_is_nobody_of_ours() -> None:
    """Its connections are its own."""
    judged = watched(sample(0, pid=8), sample(5, pid=8)).judged[MEMBER]
    assert [Code.HEALTHY] == [finding.code for finding in judged.found]


def test_what_was_followed_ends_with_a_look_that_does_not_see_it() -> None:
    """The process has closed everything, or is gone."""
    nothing = dataclasses.replace(sample(9), outbound=())
    judged = watched(sample(0), sample(5), nothing).judged[MEMBER]
    assert [Code.HEALTHY] == [finding.code for finding in judged.found]


def test_hidden_connections_of_others_do_not_blind_a_member() -> None:
    """It listens nowhere, and that is said; a namespace that cannot be seen says nothing."""
    seen = watched(sample(0, looks=(), missing=HIDDEN)).judged[MEMBER]
    assert Code.NOT_LISTENING in [finding.code for finding in seen.found]
    blind = (("netns//run/x", samples.Missing("not permitted")),)
    unseen = watched(sample(0, looks=(), missing=blind)).judged[MEMBER]
    assert Code.NOT_LISTENING not in [finding.code for finding in unseen.found]


def test_to_forget_begins_everything_anew() -> None:
    """After a gap nothing is sustained, and no window reaches over it."""
    watch = watched(sample(0), sample(5))
    watch.forget()
    assert ({}, True) == (watch.judged, watch.is_due(makers.at(5)))
