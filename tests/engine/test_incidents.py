"""An incident is what its facts add up to; ids are derived; what is not whole changes nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack import errors
from lastack.engine import actions, facts, incidents, ladder, outcomes
from lastack.policy import vocabulary
from tests.engine import makers
from tests.engine.makers import LIFE, A, B, at, fact

Kind = facts.FactKind
Phase = ladder.Phase
FIRED = fact(Kind.INCIDENT_FIRED, -90)
ACTED = fact(Kind.INCIDENT_SETTLED, -60)
SETTLED = fact(Kind.INCIDENT_SETTLED, -50)
EXHAUSTED = fact(Kind.INCIDENT_EXHAUSTED, -60)
RESOLVED = fact(Kind.INCIDENT_RESOLVED, -10, data={"outcome": "verified"})
ABANDONED = fact(Kind.INCIDENT_ABANDONED, -10)
PHASES = [
    ([], Phase.SUSPECTED),
    ([FIRED], Phase.REMEDIATING),
    ([FIRED, ACTED], Phase.SETTLING),
    ([FIRED, ACTED, SETTLED], Phase.RECOVERING),
    ([FIRED, ACTED, FIRED], Phase.REMEDIATING),
    ([FIRED, ACTED, SETTLED, FIRED], Phase.REMEDIATING),
    ([FIRED, EXHAUSTED], Phase.EXHAUSTED),
    ([FIRED, EXHAUSTED, RESOLVED], Phase.QUIET),
    ([ABANDONED], Phase.QUIET),
]


@pytest.mark.parametrize(("news", "phase"), PHASES)
def test_facts_move_an_incident_along_the_ladder(news: list[facts.Fact], phase: ladder.Phase) -> None:
    """And only along it."""
    assert phase is makers.opened(*news).phase


def test_a_move_that_the_ladder_does_not_have_is_a_defect() -> None:
    """A ledger that says otherwise was not written by this engine."""
    with pytest.raises(errors.InvariantBroken):
        makers.opened(SETTLED)


def step(kind: facts.FactKind, second: float, *, id_: str = "s1", **more: object) -> facts.Fact:
    """A fact of an act on a."""
    about: dict[str, object] = {
        "member": A,
        "stage": "replace",
        "action": vocabulary.ActionKind.ROLLING_RESTART,
        "action_id": actions.StepId(id_),
    }
    return fact(kind, second, **{**about, **more})


PLANNED = step(Kind.ACTION_PLANNED, -80, data={"expected": LIFE})
ENDS = [
    (Kind.ACTION_SUCCEEDED, {"life": "1@2"}, True, incidents.StepState.SUCCEEDED),
    (Kind.ACTION_FAILED, {"happened": "yes", "life": "1@2"}, True, incidents.StepState.FAILED),
    (Kind.ACTION_FAILED, {"happened": "no"}, False, incidents.StepState.FAILED),
    (Kind.ACTION_INTERRUPTED, {"happened": "unknown"}, None, incidents.StepState.INTERRUPTED),
]


@pytest.mark.parametrize(("kind", "data", "happened", "state"), ENDS)
def test_an_act_ends_as_its_last_fact_says(
    kind: facts.FactKind,
    data: dict[str, outcomes.Json],
    happened: bool | None,
    state: incidents.StepState,
) -> None:
    """Happened, not happened, or not known; the new life is the member's life from then on."""
    incident = makers.opened(FIRED, PLANNED, step(kind, -70, data=data))
    (record,) = incident.steps
    assert (happened, state, at(-70)) == (record.happened, record.state, record.ended)
    assert (happened is True, () if happened is not True else (A,)) == (incident.acted, incident.treated)
    assert data.get("life", LIFE) == incident.lives[A]


def test_a_dump_is_no_treatment() -> None:
    """Evidence changes nothing in the world."""
    dump = vocabulary.ActionKind.THREAD_DUMP
    incident = makers.opened(
        step(Kind.ACTION_PLANNED, -80, action=dump, data={"expected": LIFE}),
        step(Kind.ACTION_SUCCEEDED, -70, action=dump, data={"life": "other"}),
    )
    assert (False, (), LIFE) == (incident.acted, incident.treated, incident.lives[A])


def test_evidence_counts_for_the_life_that_was_dumped() -> None:
    """A restart in the middle of a dump does not make it evidence of the new life."""
    dump = vocabulary.ActionKind.THREAD_DUMP
    incident = makers.opened(
        step(Kind.ACTION_PLANNED, -80, action=dump, data={"expected": LIFE}),
        fact(Kind.MEMBER_RESTARTED, -75, member=A, data={"life": "1@2", "before": LIFE}),
        step(Kind.EVIDENCE_STORED, -70, action=dump),
    )
    assert ({A: LIFE}, "1@2") == (incident.evidence, incident.lives[A])


def test_members_fall_sick_in_an_order_and_once() -> None:
    """The diagnosis is that of the last one."""
    incident = makers.opened(
        fact(Kind.MEMBER_SICKENED, member=B, data={"diagnosis": "fd-leak", "life": LIFE}),
        fact(Kind.MEMBER_SICKENED, member=A, data={"diagnosis": "accept-stall", "life": LIFE}),
        fact(Kind.MEMBER_SICKENED, member=B, data={"diagnosis": "fd-leak", "life": LIFE}),
    )
    assert ((B, A), makers.Code.FD_LEAK) == (incident.sick, incident.diagnosis)


def test_a_simulated_act_is_over_at_once_and_did_not_happen() -> None:
    """And it is not running."""
    incident = makers.opened(step(Kind.ACTION_SIMULATED, -80, data={"expected": LIFE}))
    (record,) = incident.steps
    assert (incidents.StepState.SIMULATED, False, at(-80)) == (record.state, record.happened, record.ended)
    assert ((), False) == (incident.running(), incident.acted)


CHANGES_NOTHING = [
    fact(Kind.MEMBER_SICKENED),
    fact(Kind.MEMBER_RESTARTED),
    fact(Kind.MEMBER_VERIFIED),
    fact(Kind.EVIDENCE_STORED),
    fact(Kind.ACTION_PLANNED),
    fact(Kind.ACTION_SUCCEEDED),
    step(Kind.ACTION_SUCCEEDED, 0, id_="never-planned"),
    fact(Kind.ACTION_REFUSED),
    fact(Kind.NOTIFICATION_RAISED),
    fact(Kind.INCIDENT_FIRED, incident=actions.IncidentId("other-1")),
]


@pytest.mark.parametrize("news", CHANGES_NOTHING, ids=lambda news: str(news.kind))
def test_a_fact_that_is_not_whole_or_not_of_this_incident_changes_nothing(news: facts.Fact) -> None:
    """A fold over any ledger goes on."""
    assert makers.opened() == makers.opened(news)


def test_an_opening_that_is_not_whole_opens_nothing() -> None:
    """Without policy and mode there is no incident; without lives and members there is one of nobody."""
    assert incidents.evolve(None, fact(Kind.INCIDENT_OPENED, policy=None)) is None
    assert incidents.evolve(None, FIRED) is None
    bare = incidents.evolve(None, fact(Kind.INCIDENT_OPENED, data={"diagnosis": "unknown", "cause": "lock"}))
    assert bare is not None
    assert ({}, (), vocabulary.CauseKind.LOCK) == (bare.lives, bare.suspects, bare.cause)


@given(st.text(), st.integers(min_value=1, max_value=10**9))
def test_an_id_is_a_dns_label_whatever_the_target_is_called(target: str, seq: int) -> None:
    """At most 63 characters, derived: the same place in the same ledger gives the same id."""
    name = incidents.incident_id("api", target, at(0), seq)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name)
    assert name == incidents.incident_id("api", target, at(0), seq)
    assert name != incidents.incident_id("api", target, at(0), seq + 1)
