"""A step goes into the ledger and comes back the same: what a crash leaves is enough to go on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack import errors, quantities
from lastack.engine import actions, facts, outcomes, plans, samples, stuck_sockets
from lastack.policy import valid, vocabulary
from lastack.runbook import canonical
from tests.engine import makers

spans = st.integers(min_value=0, max_value=10**9).map(lambda ms: dt.timedelta(milliseconds=ms))
pids = st.integers(min_value=1, max_value=2**22).map(samples.Pid)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
probes = st.builds(
    valid.HttpProbe,
    path=names,
    expect=st.lists(st.tuples(st.integers(100, 599), st.integers(100, 599)), max_size=3).map(tuple),
    timeout=spans,
)
works = st.one_of(
    st.builds(
        actions.DumpSeries,
        settings=st.builds(valid.ThreadDump, st.integers(1, 9), spans, spans, spans, st.booleans()),
        pids=st.lists(pids, max_size=3).map(tuple),
    ),
    st.builds(
        actions.SysctlWrite,
        name=names,
        value=names,
        original=names,
        scope=st.sampled_from(["member", "host"]),
        pid=pids,
        namespace=st.integers(0, 2**32),
        restore_after=st.none() | spans,
    ),
    st.builds(
        actions.SocketBatch,
        settings=st.builds(
            valid.SocketDestroy,
            sockets=st.sampled_from(vocabulary.SocketKind),
            peers=st.lists(st.builds(valid.Peer, names, st.none() | st.integers(1, 65535)), max_size=3).map(
                tuple
            ),
            limit=st.integers(1, 1000),
            pace=st.floats(0.001, 1000).map(quantities.Rate),
        ),
        pid=pids,
        pids=st.lists(pids, max_size=3).map(tuple),
        namespace=st.integers(0, 2**32),
        ports=st.frozensets(st.integers(1, 65535), max_size=3),
        sockets=st.lists(
            st.builds(stuck_sockets.StuckSocket, pids, pids, st.integers(1, 2**32), names, names), max_size=3
        ).map(tuple),
    ),
    st.builds(
        actions.Replacement,
        settings=st.builds(valid.RollingRestart, spans, spans),
        probe=st.none() | probes,
        ports=st.frozensets(st.integers(1, 65535), max_size=3),
    ),
)
targets = st.one_of(
    st.builds(valid.SystemdTarget, st.lists(names, min_size=1, max_size=3).map(tuple)),
    st.builds(valid.SupervisedTarget, names),
)
steps = st.builds(
    actions.Step,
    id=names.map(actions.StepId),
    incident=names.map(actions.IncidentId),
    target=targets,
    target_name=names,
    member=names.map(actions.MemberName),
    expected=names.map(actions.Incarnation),
    stage=names.map(valid.StageName),
    mode=st.sampled_from(vocabulary.Mode),
    work=works,
)


def planned(step: actions.Step, data: Mapping[str, outcomes.Json]) -> facts.Fact:
    """The action.planned of a step."""
    return makers.fact(
        facts.FactKind.ACTION_PLANNED,
        incident=step.incident,
        target=step.target_name,
        member=step.member,
        stage=step.stage,
        mode=step.mode,
        action=step.kind,
        action_id=step.id,
        data=data,
    )


@given(steps)
def test_a_step_comes_back_from_the_ledger_as_it_went_in(step: actions.Step) -> None:
    """Through canonical JSON and back."""
    written = canonical.read(canonical.write(plans.data_of(step)))
    assert step == plans.step_of(planned(step, written))


def test_a_dump_that_was_planned_before_these_switches_stops_nothing() -> None:
    """Entries of older versions do not have them."""
    data: dict[str, outcomes.Json] = {
        "kind": "dumpSeries", "count": 3, "every": "5s", "maxPause": "500ms", "waitAtMost": "1m", "pids": (7,),
    }  # fmt: skip
    fact = makers.fact(
        facts.FactKind.ACTION_PLANNED,
        member=makers.A,
        stage="evidence",
        mode=vocabulary.Mode.ENFORCE,
        incident=actions.IncidentId("i"),
        action_id="s1",
        data={"expected": "1@1", "on": {"supervised": "x"}, "with": data},
    )
    work = plans.step_of(fact).work
    assert isinstance(work, actions.DumpSeries)
    assert not work.settings.native_stacks


REPLACEMENT: dict[str, outcomes.Json] = {
    "kind": "replacement",
    "readyWithin": "10s",
    "warmFor": "3s",
    "ports": (80,),
    "probe": None,
}
BROKEN: list[tuple[str, dict[str, outcomes.Json]]] = [
    ("'on'", {"expected": "1@1", "with": REPLACEMENT}),
    ("'supervised'", {"expected": "1@1", "with": REPLACEMENT, "on": {}}),
    ("'demo' is not an object", {"expected": "1@1", "with": REPLACEMENT, "on": "demo"}),
    ("no work is called 'dance'", {"expected": "1@1", "with": {"kind": "dance"}, "on": {"supervised": "x"}}),
    ("'80' is not a list", {"expected": "1@1", "with": {**REPLACEMENT, "ports": "80"}, "on": {"supervised": "x"}}),
    ("True is not an integer",
     {"expected": "1@1", "with": {**REPLACEMENT, "ports": (True,)}, "on": {"supervised": "x"}}),
    ("'soon' is not a duration",
     {"expected": "1@1", "with": {**REPLACEMENT, "warmFor": "soon"}, "on": {"supervised": "x"}}),
]  # fmt: skip


@pytest.mark.parametrize(("why", "data"), BROKEN)
def test_a_plan_that_is_not_whole_is_a_defect_that_says_what_is_wrong(
    why: str, data: dict[str, outcomes.Json]
) -> None:
    """Nothing is guessed about an act."""
    fact = makers.fact(
        facts.FactKind.ACTION_PLANNED, member=makers.A, stage="replace", action_id="s1", data=data
    )
    with pytest.raises(errors.InvariantBroken, match=f"the plan s1 cannot be read: {why}"):
        plans.step_of(fact)


def test_a_plan_without_one_of_its_fields_is_a_defect() -> None:
    """Which act, of which incident, on whom."""
    with pytest.raises(errors.InvariantBroken, match="the plan None lacks a field"):
        plans.step_of(makers.fact(facts.FactKind.ACTION_PLANNED))
