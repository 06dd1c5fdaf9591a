"""Facts that are not of an incident: starts, stops, policies, pauses, clock steps, restarts by others. Pure.

Called by loop and by commands that write while nothing runs.
"""

import datetime as dt
from collections.abc import Collection, Mapping

from lastack import quantities
from lastack.engine import actions, facts, instants, outcomes
from lastack.policy import valid

Kind = facts.FactKind


def started(now: instants.Now, about: Mapping[str, outcomes.Json], actor: str) -> facts.Fact:
    """lastack began to look; `about` has build, kernel release, boot id, pid."""
    return facts.Fact(
        Kind.LASTACK_STARTED, now, f"lastack {about.get('build')} started", data=about, actor=actor
    )


def stopped(now: instants.Now, running: Collection[str]) -> facts.Fact:
    """lastack ends; `running` are acts that had not ended, which the next start reconciles."""
    acts = "1 act goes" if len(running) == 1 else f"{len(running)} acts go"
    left = f"; {acts} on without it" if running else ""
    data = {"running": tuple(sorted(running))}
    return facts.Fact(Kind.LASTACK_STOPPED, now, f"lastack stopped{left}", data=data)


def policy_loaded(now: instants.Now, policy: valid.Policy, about: Mapping[str, outcomes.Json]) -> facts.Fact:
    """A policy is in force; its whole text, so that a decision can be explained when the file has changed."""
    return facts.Fact(
        Kind.POLICY_LOADED,
        now,
        f"policy {policy.name} is in force, mode {policy.mode} (from {policy.source})",
        policy=policy.name,
        policy_hash=policy.digest,
        mode=policy.mode,
        target=policy.target_name,
        data={**about, "text": policy.text, "source": policy.source},
    )


def policy_removed(now: instants.Now, policy: valid.Policy) -> facts.Fact:
    """A policy is in force no more."""
    return facts.Fact(
        Kind.POLICY_REMOVED,
        now,
        f"policy {policy.name} is not in force any more",
        policy=policy.name,
        policy_hash=policy.digest,
        target=policy.target_name,
    )


def policies_rejected(now: instants.Now, why: str) -> facts.Fact:
    """A new policy set was refused whole; what was in force stays so."""
    first = why.splitlines()[0] if why else "no reason given"
    text = f"the new policy set was refused, the old one stays in force: {first}"
    return facts.Fact(Kind.POLICY_REJECTED, now, text, data={"problems": why})


def clock_stepped(now: instants.Now, step: dt.timedelta) -> facts.Fact:
    """Wall and steady clock went apart: every sustained count and the warm-up begin anew."""
    way = "forward" if step > dt.timedelta(0) else "back"
    span = quantities.short(abs(step))
    text = f"the wall clock was set {way} by {span}; what was sustained is counted anew"
    return facts.Fact(Kind.CLOCK_STEPPED, now, text, data={"step": f"{step.total_seconds():.3f}"})


def looked_away(now: instants.Now, gap: dt.timedelta) -> facts.Fact:
    """Nothing was seen for long: the host slept or lastack was stopped; warm-up begins anew."""
    text = f"nothing was seen for {quantities.short(gap)}; what was sustained is counted anew"
    return facts.Fact(Kind.CLOCK_STEPPED, now, text, data={"gap": f"{gap.total_seconds():.3f}"})


def lost(now: instants.Now, policy: valid.Policy, why: str) -> facts.Fact:
    """The members of a target cannot be seen any more; until they are, nothing is concluded about them."""
    text = f"the members of {policy.target_name} cannot be seen: {why}"
    return _of_target(Kind.TARGET_LOST, now, policy, text)


def found(now: instants.Now, policy: valid.Policy) -> facts.Fact:
    """The members of a target are seen again."""
    return _of_target(Kind.TARGET_FOUND, now, policy, f"the members of {policy.target_name} are seen again")


def _of_target(kind: facts.FactKind, now: instants.Now, policy: valid.Policy, text: str) -> facts.Fact:
    return facts.Fact(
        kind,
        now,
        text,
        policy=policy.name,
        policy_hash=policy.digest,
        mode=policy.mode,
        target=policy.target_name,
    )


def restarted(
    now: instants.Now,
    policy: valid.Policy,
    member: actions.MemberName,
    before: actions.Incarnation,
    life: actions.Incarnation,
) -> facts.Fact:
    """Somebody else restarted a member while there was no incident; it counts on the budget."""
    return facts.Fact(
        Kind.MEMBER_RESTARTED,
        now,
        f"{member} was started anew, not by lastack",
        policy=policy.name,
        policy_hash=policy.digest,
        mode=policy.mode,
        target=policy.target_name,
        member=member,
        data={"before": before, "life": life},
    )
