"""The precondition of every act: the member is still in the life that was diagnosed. Used by the other executors."""

from collections.abc import Callable

from lastack import ports
from lastack.engine import actions, censuses, outcomes, reasons
from lastack.policy import valid

HostOf = Callable[[valid.Target], ports.ServiceHost]
"""Which host a target lives on; bootstrap holds the table."""


def member_of(host_of: HostOf, step: actions.Step) -> censuses.Member | None:
    """The step's member as its host sees it now. Raises WorldError when the host cannot be asked."""
    return host_of(step.target).members(step.target).member(step.member)


def refusal(host_of: HostOf, step: actions.Step) -> outcomes.Refused | None:
    """Why the step must not touch this member; None while `step.expected` is its life."""
    member = member_of(host_of, step)
    if member is None:
        return outcomes.Refused(
            reasons.Reason.NOT_FOUND, f"{step.member} is not a member of {step.target_name}"
        )
    if member.incarnation != step.expected:
        now = f"is now {member.incarnation}" if member.incarnation else f"has no life now ({member.state})"
        return outcomes.Refused(
            reasons.Reason.INCARNATION_CHANGED,
            f"{step.member} was {step.expected} when this was planned and {now}",
        )
    return None
