"""What is written about outcomes, leases, starts and people: absorption, announcements, windows, due leases."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from lastack.engine import (
    absorptions,
    actions,
    announcements,
    facts,
    instants,
    leases,
    outcomes,
    reasons,
    samples,
    signals,
    standings,
    windows,
)
from lastack.policy import valid, vocabulary
from lastack.runbook import canonical
from tests.engine import makers
from tests.engine.makers import LIFE, A, at, look

Kind = facts.FactKind
ANEW = actions.Incarnation("1@2")
FILE = outcomes.EvidenceFile("evidence/x.txt", 5, "0" * 64, "threads of a")
DUMP = actions.DumpSeries(
    valid.ThreadDump(3, makers.seconds(1), makers.seconds(1), makers.seconds(9)), (samples.Pid(7),)
)
WRITE = actions.SysctlWrite(
    "net.core.somaxconn", "4096", "128", "member", samples.Pid(7), 9, dt.timedelta(hours=1)
)
REPLACEMENT = actions.Replacement(
    valid.RollingRestart(makers.seconds(9), makers.seconds(1)), None, frozenset()
)
PLANNED = makers.fact(Kind.ACTION_PLANNED, 0, member=A, stage="s", action_id=actions.StepId("s1"))


def step(work: actions.Work) -> actions.Step:
    """A step of that work on a."""
    return actions.Step(
        actions.StepId("s1"),
        actions.IncidentId("api-1"),
        valid.SupervisedTarget("api"),
        "api",
        A,
        LIFE,
        valid.StageName("s"),
        vocabulary.Mode.ENFORCE,
        work,
    )


OUTCOMES: list[tuple[str, actions.Work, outcomes.Outcome, list[str]]] = [
    ("a dump with files is evidence", DUMP, outcomes.Succeeded("3 dumps", LIFE, (FILE,)),
     ["action.succeeded", "evidence.stored"]),
    ("cut short with files it is evidence too", DUMP, outcomes.Failed("cut short", happened=True, evidence=(FILE,)),
     ["action.failed", "evidence.stored"]),
    ("without a file it is missed", DUMP, outcomes.Failed("no py-spy", happened=False),
     ["action.failed", "evidence.missed"]),
    ("success without a file is missed", DUMP, outcomes.Succeeded("nothing to see"),
     ["action.succeeded", "evidence.missed"]),
    ("refused is missed", DUMP, outcomes.Refused(reasons.Reason.INCARNATION_CHANGED, "another life"),
     ["action.failed", "evidence.missed"]),
    ("a write that worked is a lease", WRITE, outcomes.Succeeded("written", facts={"observed": "4096"}),
     ["action.succeeded", "sysctl.leased"]),
    ("one that did not is none", WRITE, outcomes.Failed("EINVAL", happened=False), ["action.failed"]),
    ("a replacement leaves nothing behind", REPLACEMENT, outcomes.Succeeded("ready", ANEW), ["action.succeeded"]),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "work", "outcome", "kinds"), OUTCOMES)
def test_an_outcome_is_one_end_and_what_it_leaves_behind(
    claim: str, work: actions.Work, outcome: outcomes.Outcome, kinds: list[str]
) -> None:
    """Every fact of one act has the same id, member and stage, and can stand in an entry."""
    news = absorptions.absorb(PLANNED, step(work), outcome, at(8))
    assert kinds == [str(each.kind) for each in news], claim
    assert {("s1", A, "s")} == {(each.action_id, each.member, each.stage) for each in news}
    for each in news:
        assert canonical.write(each.data)


def test_missed_evidence_says_why_and_how_long_was_waited() -> None:
    """The contract's reason and time."""
    news = absorptions.absorb(PLANNED, step(DUMP), outcomes.Failed("no py-spy", happened=False), at(8))
    assert {"why": "no py-spy", "waited": "8.0s"} == news[1].data


def test_a_lease_has_everything_that_gives_it_back() -> None:
    """Original, desired, observed, where, and until when."""
    outcome = outcomes.Succeeded("written", facts={"observed": "4095"})
    leased = absorptions.absorb(PLANNED, step(WRITE), outcome, at(8))[1]
    assert {
        "name": "net.core.somaxconn",
        "namespace": 9,
        "bootId": makers.BOOT,
        "original": "128",
        "desired": "4096",
        "observed": "4095",
        "pid": 7,
        "scope": "member",
        "until": "2026-11-22T11:00:08Z",
    } == leased.data


def test_a_lease_without_an_end_says_so() -> None:
    """It lasts until somebody ends it."""
    for_ever = dataclasses.replace(WRITE, restore_after=None)
    leased = absorptions.absorb(PLANNED, step(for_ever), outcomes.Succeeded("written"), at(8))[1]
    assert (None, "4096") == (leased.data["until"], leased.data["observed"])


Found = outcomes.Happened | outcomes.NotHappened | outcomes.Unknowable
INTERRUPTED: list[tuple[actions.Work, Found, str, list[str]]] = [
    (DUMP, outcomes.NotHappened("nothing"), "no", ["action.interrupted", "evidence.missed"]),
    (WRITE, outcomes.Happened("it is 4096"), "yes", ["action.interrupted", "sysctl.leased"]),
    (WRITE, outcomes.NotHappened("it is 128"), "no", ["action.interrupted"]),
    (REPLACEMENT, outcomes.Happened("lives anew", ANEW), "yes", ["action.interrupted"]),
    (REPLACEMENT, outcomes.Unknowable("nobody knows"), "unknown", ["action.interrupted"]),
]  # fmt: skip


@pytest.mark.parametrize(("work", "found", "happened", "kinds"), INTERRUPTED)
def test_what_a_crash_cut_off_says_what_the_world_says(
    work: actions.Work,
    found: Found,
    happened: str,
    kinds: list[str],
) -> None:
    """Yes, no or unknown; a write that happened is a lease like any other."""
    news = absorptions.interrupted(PLANNED, step(work), found, at(8))
    assert (kinds, happened) == ([str(each.kind) for each in news], news[0].data["happened"])


LEASE = standings.Lease(
    namespace=9,
    boot_id=makers.BOOT,
    name="net.core.somaxconn",
    original="128",
    desired="4096",
    observed="4096",
    pid=7,
    scope="member",
    policy=valid.PolicyName("api"),
    incident=actions.IncidentId("api-1"),
    step=actions.StepId("s1"),
    since=makers.EPOCH,
    until=makers.EPOCH + makers.seconds(60),
)


def test_a_lease_that_went_back_is_restored_and_one_that_did_not_is_yielded() -> None:
    """A later edit wins, with its reason."""
    back = absorptions.given_back(LEASE, outcomes.Succeeded("given back"), at(8))
    lost = absorptions.given_back(LEASE, outcomes.Refused(reasons.Reason.ALREADY_DONE, "it is 1024"), at(8))
    assert (Kind.SYSCTL_RESTORED, None, "api-1") == (back.kind, back.reason, back.incident)
    assert (Kind.SYSCTL_YIELDED, reasons.Reason.ALREADY_DONE) == (lost.kind, lost.reason)


IN_FORCE = {"api": makers.policy()}
DUE = [
    ("its time is not over", LEASE, IN_FORCE, at(59), []),
    ("its time is over", LEASE, IN_FORCE, at(60), ["its time is over since 2026-11-22T10:01:00Z"]),
    ("it has no end", dataclasses.replace(LEASE, until=None), IN_FORCE, at(10**8), []),
    ("its policy is gone", LEASE, {}, at(0), ["its policy is not in force any more"]),
    ("the host was booted", LEASE, IN_FORCE, at(0, "boot-2"), ["the host was booted since"]),
]


@pytest.mark.parametrize(("claim", "lease", "policies", "now", "whys"), DUE)
def test_a_lease_is_due_when_its_time_policy_or_boot_is_over(
    claim: str,
    lease: standings.Lease,
    policies: dict[str, valid.Policy],
    now: instants.Now,
    whys: list[str],
) -> None:
    """And says why."""
    assert whys == [due.why for due in leases.due([lease], policies, now)], claim


def test_a_window_keeps_what_is_needed_to_judge_and_no_more() -> None:
    """At least three looks over at least five seconds; a listener that was not seen has no window."""
    kept: dict[windows.Key, samples.Window] = {}
    for second in range(20):
        kept = windows.extend(kept, (look(second),))
    (window,) = kept.values()
    assert [14, 15, 16, 17, 18, 19] == [int(each.at.since(at(0)).total_seconds()) for each in window.looks]
    assert {} == windows.extend(kept, ())


def test_slow_sampling_keeps_three_looks() -> None:
    """However long apart they are."""
    kept: dict[windows.Key, samples.Window] = {}
    for second in range(0, 100, 10):
        kept = windows.extend(kept, (look(second),))
    assert [3] == [len(window.looks) for window in kept.values()]


def test_another_listener_namespace_or_owner_is_another_window() -> None:
    """Its counters begin anew; an owner that cannot be seen is one of its own."""
    first = look(0)
    others = [
        dataclasses.replace(first, listener=dataclasses.replace(first.listener, cookie=2)),
        dataclasses.replace(first, namespace=dataclasses.replace(first.namespace, inode=10)),
        dataclasses.replace(first, owner=samples.Owner(None, ())),
    ]
    assert 4 == len(windows.extend({}, (first, *others)))


def test_one_look_has_no_growth() -> None:
    """Of no counter."""
    assert isinstance(signals.counter_growth(makers.window(look()), "ListenDrops"), samples.Missing)


def test_what_is_announced_can_stand_in_an_entry() -> None:
    """Each has a sentence and data without fractions."""
    policy = makers.policy()
    news = [
        announcements.started(at(), {"build": "0.1.0"}, "root"),
        announcements.stopped(at(), ()),
        announcements.stopped(at(), ("s2", "s1")),
        announcements.policy_loaded(at(), policy, {"kernel": "6.1"}),
        announcements.policy_removed(at(), policy),
        announcements.policies_rejected(at(), "api.yaml:1:1: error\nmore"),
        announcements.policies_rejected(at(), ""),
        announcements.clock_stepped(at(), dt.timedelta(seconds=-3600.25)),
        announcements.looked_away(at(), dt.timedelta(minutes=20)),
        announcements.restarted(at(), policy, A, LIFE, ANEW),
    ]
    assert [
        "lastack 0.1.0 started",
        "lastack stopped",
        "lastack stopped; 2 acts go on without it",
        "policy api is in force, mode enforce (from api.yaml:1)",
        "policy api is not in force any more",
        "the new policy set was refused, the old one stays in force: api.yaml:1:1: error",
        "the new policy set was refused, the old one stays in force: no reason given",
        "the wall clock was set back by 1h250ms; what was sustained is counted anew",
        "nothing was seen for 20m; what was sustained is counted anew",
        "a was started anew, not by lastack",
    ] == [each.text for each in news]
    for each in news:
        assert canonical.write(each.data)
