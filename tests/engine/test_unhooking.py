"""Connections destroyed under threads that wait on them in vain: when, which, and what comes after."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from lastack import quantities
from lastack.engine import actions, facts, plans, samples, stuck_sockets
from lastack.policy import valid, vocabulary
from tests import fakes, wards
from tests.engine import makers, stories

Kind = facts.FactKind
Health = wards.Health
Cause = vocabulary.CauseKind
STAGES = (makers.DUMP, makers.TUNE, makers.UNHOOK, makers.REPLACE)
OTHER = valid.Peer("10.9.0.8", 7000)


def policy(**more: object) -> valid.Policy:
    """Dumps, a setting, unhooking, restarts."""
    return dataclasses.replace(makers.policy(stages=STAGES), **more)  # type: ignore[arg-type] # by name


def unhook(**settings: object) -> valid.Stage:
    """The stage with some of its settings changed."""
    action = dataclasses.replace(makers.UNHOOK.action, **settings)  # type: ignore[arg-type] # by name
    return makers.stage(makers.UNHOOK, action=action)


def _dies_before_it_is_begun(story: stories.Story) -> Callable[[str], None]:
    """Kill lastack when the plan of the batch is durable, and nothing else."""

    def watch(moment: str) -> None:
        planned = [e.fact.stage for e in story.of(Kind.ACTION_PLANNED)]
        if moment == "after" and "unhook" in planned:
            raise fakes.Killed

    return watch


def hung(*names: str, of: valid.Policy | None = None) -> stories.Story:
    """A story whose first member waits for the downstream."""
    return stories.sick(Health.HUNG, *names, policy=of or policy())


def test_a_hung_downstream_is_healed_without_a_restart() -> None:
    """Evidence, the destroyed connections, verified: and no member is replaced."""
    story = hung()
    closed = story.until_closed()
    assert ["destroy 4 of a 1000@1"] == story.ward.deeds
    assert ("verified", ("a",), Cause.DOWNSTREAM) == (closed.outcome, closed.treated, closed.cause)
    story.assert_whole()


def test_the_plan_names_every_connection_and_its_thread() -> None:
    """Before anything is done the ledger has what is meant: exactly these, and the pace."""
    story = hung()
    story.until_closed()
    (planned,) = [e for e in story.of(Kind.ACTION_PLANNED) if e.fact.stage == "unhook"]
    step = plans.step_of(planned.fact)
    work = step.work
    assert vocabulary.ActionKind.SOCKET_DESTROY is step.kind
    assert isinstance(work, actions.SocketBatch)
    assert [(1000, 10001, 100001), (1000, 10004, 100004)] == [
        (each.pid, each.thread, each.inode) for each in (work.sockets[0], work.sockets[-1])
    ]
    assert {wards.DOWNSTREAM} == {each.peer for each in work.sockets}
    assert (
        "Destroy 4 connections of a to 10.9.0.7:7000 on which its threads wait in vain, 5/s"
        == planned.fact.text
    )


def test_the_stage_waits_for_the_evidence_that_tells_the_cause() -> None:
    """Nobody skips past the stage because the dumps are not there yet."""
    story = hung()
    story.ways.dumps_end = False
    story.until_kind(Kind.ACTION_REFUSED, times=2)
    assert ("unhook", "a", "evidence-pending") == story.refusals()[-1]
    assert [] == story.ward.deeds
    story.ways.dumps_end = True
    assert "verified" == story.until_closed().outcome
    assert ["destroy 4 of a 1000@1"] == story.ward.deeds


def test_evidence_that_takes_too_long_leaves_what_shows_from_outside() -> None:
    """After waitAtMost the threads that stand on the peer are the cause, at low confidence."""
    story = hung()
    story.ways.dumps_end = False
    story.until(lambda: bool(story.ward.deeds))
    story.ways.dumps_end = True
    assert "verified" == story.until_closed().outcome
    assert ["destroy 4 of a 1000@1"] == story.ward.deeds
    assert [Kind.EVIDENCE_MISSED] == [e.fact.kind for e in story.of(Kind.EVIDENCE_MISSED)]


def test_a_lock_is_not_unhooked_but_replaced() -> None:
    """The dumps say lock: the stage for a downstream is refused with the cause, the restart goes."""
    story = stories.sick(Health.STALLED, policy=policy())
    story.ways.dumps_tell = {"cause": "lock", "peer": None, "stuck": 4, "of": 4, "dumps": 3}
    closed = story.until_closed()
    assert ["replace a 1000@1"] == story.ward.deeds
    assert ("unhook", "a", "cannot-help") in story.refusals()
    (refused,) = [e.fact.text for e in story.of(Kind.ACTION_REFUSED) if e.fact.stage == "unhook"]
    assert "the cause is lock (high confidence, 4 of 4 threads); stage unhook is for downstream" == refused
    assert Cause.LOCK == closed.cause


def test_a_peer_that_the_policy_does_not_name_is_never_touched() -> None:
    """Threads wait for .7, the policy names .8: refused with both, and the ladder goes on."""
    story = hung(of=policy(stages=(makers.DUMP, unhook(peers=(OTHER,)), makers.REPLACE)))
    story.until_closed()
    assert ["replace a 1000@1"] == story.ward.deeds
    refused = [e.fact for e in story.of(Kind.ACTION_REFUSED) if e.fact.stage == "unhook"]
    assert ["cannot-help"] == [str(fact.reason) for fact in refused]
    told = (
        "they wait for 10.9.0.7:7000, the cause is downstream 10.9.0.7:7000 (high confidence, 4 of 4 threads)"
    )
    assert refused[0].text.endswith(f"{told}, with.peers names 10.9.0.8:7000")


@pytest.mark.parametrize("cause", ["lock", "cpu"])
def test_a_connection_that_does_not_explain_what_ails_it_is_not_touched(cause: str) -> None:
    """Threads stand on a named peer (a bus, a long query), and the dumps say that something else is the cause."""
    anything = makers.stage(makers.UNHOOK, when=valid.When())
    story = hung(of=policy(stages=(makers.DUMP, anything, makers.REPLACE)))
    story.ways.dumps_tell = {"cause": cause, "peer": None}
    story.until_closed()
    assert ["replace a 1000@1"] == story.ward.deeds
    (refused,) = [e.fact.text for e in story.of(Kind.ACTION_REFUSED) if e.fact.stage == "unhook"]
    assert f"the cause is {cause} (high confidence" in refused


def test_without_peers_nothing_is_allowed() -> None:
    """An empty list allows nobody, not everybody."""
    story = hung(of=policy(stages=(makers.DUMP, unhook(peers=()), makers.REPLACE)))
    story.until_closed()
    assert ["replace a 1000@1"] == story.ward.deeds


def test_no_more_are_destroyed_than_the_limit_says() -> None:
    """Two of four: what is left hangs, so that the ladder goes on to the restart."""
    story = hung(of=policy(stages=(makers.DUMP, unhook(limit=2), makers.REPLACE)))
    story.until_closed()
    assert ["destroy 2 of a 1000@1", "replace a 1000@1"] == story.ward.deeds


def test_what_did_not_help_is_followed_by_the_next_stage() -> None:
    """The threads were stuck again at once: after the settle time the member is replaced."""
    story = hung()
    story.ways.unhooking_heals = False
    closed = story.until_closed()
    assert ["destroy 4 of a 1000@1", "replace a 1000@1"] == story.ward.deeds
    assert "verified" == closed.outcome


def test_a_batch_that_found_nothing_to_do_goes_on_too() -> None:
    """The executor looked again and refused: nothing happened, and the next stage is tried."""
    story = hung()
    story.ways.unhooking_fails = True
    story.until_closed()
    assert ["replace a 1000@1"] == story.ward.deeds
    (failed,) = [e.fact for e in story.of(Kind.ACTION_FAILED) if e.fact.stage == "unhook"]
    assert ("cannot-help", "no") == (failed.reason, failed.data["happened"])
    (escalated,) = [e.fact.text for e in story.of(Kind.INCIDENT_ESCALATED) if e.fact.stage == "unhook"]
    assert escalated.startswith("no socket was destroyed")


def test_in_observe_the_batch_is_only_written_down() -> None:
    """No socket is touched; what comes after is marked as what might have been."""
    story = hung(of=makers.policy(observe=True, stages=STAGES))
    story.until_kind(Kind.ACTION_SIMULATED, times=3)
    assert [] == story.ward.deeds
    assert ["evidence", "unhook", "replace"] == [e.fact.stage for e in story.of(Kind.ACTION_SIMULATED)]
    story.assert_whole()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"warm_up": makers.seconds(200)}, "warm-up"),
        ({"min_process_age": makers.seconds(7200)}, "young-process"),
    ],
)
def test_the_guards_of_a_disruptive_act_hold(limits: dict[str, object], reason: str) -> None:
    """It disturbs the service: whatever holds such acts holds it, and the ladder waits."""
    story = hung(of=policy(limits=makers.limits(**limits)))
    story.tick(60)
    assert [] == story.ward.deeds
    assert ("unhook", "a", reason) in story.refusals()
    assert "replace" not in {stage for stage, _, _ in story.refusals()}


def test_a_crash_before_it_happened_is_decided_afresh() -> None:
    """All connections are still there: the next lastack plans the batch again, once."""
    story = hung()
    story.disk.watch = _dies_before_it_is_begun(story)
    with pytest.raises(fakes.Killed):
        story.until_closed()
    story.disk.watch = lambda _moment: None
    assert [] == story.ward.deeds
    story.boot()
    assert "verified" == story.until_closed().outcome
    assert ["destroy 4 of a 1000@1"] == story.ward.deeds


def test_a_crash_of_which_nobody_can_tell_is_not_tried_again() -> None:
    """What may have been done is not done twice; the next stage follows."""
    story = hung()
    story.ways.unhooking_heals = False
    story.until(lambda: bool(story.ward.deeds))
    story.boot()
    story.until_closed()
    assert ["destroy 4 of a 1000@1", "replace a 1000@1"] == story.ward.deeds
    (interrupted,) = story.of(Kind.ACTION_INTERRUPTED)
    assert ("unhook", "unknown") == (interrupted.fact.stage, interrupted.fact.data["happened"])


@pytest.mark.parametrize(
    ("kind", "signal", "deed"),
    [
        (vocabulary.SocketKind.CLOSE_WAIT_HELD, 400, "destroy 0 of a 1000@1"),
        (vocabulary.SocketKind.CLOSE_WAIT_OUTBOUND, 0, None),
    ],
)
def test_a_class_of_close_wait_is_destroyed_with_its_warning(
    kind: vocabulary.SocketKind, signal: int, deed: str | None
) -> None:
    """Only where there are some; the plan says that it wipes the symptom."""
    stage = makers.stage(
        makers.UNHOOK,
        action=valid.SocketDestroy(kind, (), 7, quantities.Rate(2.0)),
        when=valid.When(),
    )
    story = stories.sick(
        Health.LEAKING, policy=policy(stages=(makers.DUMP, stage, makers.REPLACE)), ago=makers.seconds(600)
    )
    story.until_closed()
    done = [each for each in story.ward.deeds if each.startswith("destroy")]
    assert ([] if deed is None else [deed]) == done
    texts = [e.fact.text for e in story.of(Kind.ACTION_PLANNED) if e.fact.stage == "unhook"]
    if deed is None:
        assert [] == texts
        assert ("unhook", "a", "cannot-help") in story.refusals()
    else:
        (text,) = texts
        assert (
            f"Destroy at most 7 sockets of a in {kind}, 2/s: this wipes the symptom: it frees no file" in text
        )
    assert signal in {0, 400}


PID = samples.Pid(7)


def stand(**more: object) -> samples.ThreadStand:
    """A thread that reads from the downstream."""
    made = samples.ThreadStand(
        PID, 71, running=False, call="read", inode=9, side="outbound", peer="10.9.0.7:7"
    )
    return dataclasses.replace(made, **more)  # type: ignore[arg-type] # by name


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([[stand()], [stand()]], [71]),
        ([[stand()]], []),
        ([[stand()], [stand(inode=10)]], []),
        ([[stand()], [stand(running=True, call=None, inode=0)]], []),
        ([[stand(side="inbound")], [stand(side="inbound")]], []),
        ([[stand(call="epoll_wait")], [stand(call="epoll_wait")]], []),
        ([[stand(peer=None)], [stand(peer=None)]], []),
        ([[stand(), stand(thread=72)], [stand(), stand(thread=72)]], [71]),
        ([[stand(thread=73, inode=8), stand()], [stand(), stand(thread=73, inode=8)]], [71, 73]),
    ],
)
def test_only_a_connection_of_its_own_on_which_a_thread_stands_in_every_look(
    looks: list[list[samples.ThreadStand]], expected: list[int]
) -> None:
    """Not one that moved, nor a client's, nor what an event loop waits for; each socket once."""
    window = makers.window(
        *(
            dataclasses.replace(makers.look(second), stands=tuple(stands))
            for second, stands in enumerate(looks)
        )
    )
    assert expected == [each.thread for each in stuck_sockets.of([window])]


@pytest.mark.parametrize(
    ("peer", "seen", "matches"),
    [
        (valid.Peer("10.9.0.7", 7000), "10.9.0.7:7000", True),
        (valid.Peer("10.9.0.7", 7000), "10.9.0.7:7001", False),
        (valid.Peer("10.9.0.7", None), "10.9.0.7:7001", True),
        (valid.Peer("10.9.0.7", None), "10.9.0.70:7001", False),
        (valid.Peer("2001:db8::7", 7), "[2001:db8::7]:7", True),
    ],
)
def test_a_peer_is_the_whole_address_and_its_port(peer: valid.Peer, seen: str, matches: bool) -> None:
    """No prefix of one, and any port only where none is named."""
    assert matches is peer.matches(seen)
    assert str(peer) in {seen, seen.rpartition(":")[0], "10.9.0.7:7000", "10.9.0.7"}
