"""Lease one net sysctl of one network namespace, and give it back: actions.SysctlWrite, ports.LeaseKeeper.

Wired by bootstrap. Every write is compare and swap inside the namespace, whose inode is checked by the thread that
stands in it: a wrong pid can never write the machine's own values.
"""

import pathlib
from typing import assert_never

from lastack import errors
from lastack.engine import actions, outcomes, reasons, samples, standings
from lastack.executors import incarnations
from lastack.kernel import net_sysctls, netns, procfs
from lastack.policy import sysctls

_OF_THE_FIRST_NAMESPACE = "net.ipv4.tcp_mem"
_NAMED = pathlib.Path("/run/netns")
_WHEN = {
    sysctls.TakesEffect.AT_ONCE: "at once",
    sysctls.TakesEffect.NEW_CONNECTIONS: "on new connections",
    sysctls.TakesEffect.NEXT_LISTEN: "at the next listen()",
}


class SysctlLeaser:
    """Executor of SysctlWrite; a write is done when begin returns."""

    def __init__(self, host_of: incarnations.HostOf) -> None:
        """`host_of` answers for the member's life."""
        self._host_of = host_of

    def begin(self, step: actions.Step) -> outcomes.Outcome:
        """Write the value and read it back, only over the value that was planned on."""
        work = _work(step)
        changed = incarnations.refusal(self._host_of, step)
        if changed is not None:
            return changed
        try:
            namespace = netns.identify(netns.path_of(work.pid))
        except errors.NotPermitted as problem:
            return outcomes.Refused(reasons.Reason.NOT_PERMITTED, problem.sentence)
        except errors.NotReachable as problem:
            return outcomes.Refused(reasons.Reason.NOT_FOUND, problem.message)
        if namespace.inode != work.namespace:
            return outcomes.Refused(
                reasons.Reason.INCARNATION_CHANGED,
                f"pid {work.pid} is in network namespace {namespace.inode}, planned on {work.namespace}",
            )
        if work.scope != "host" and is_hosts_own(namespace, netns.path_of(work.pid)):
            return outcomes.Refused(
                reasons.Reason.NOT_PERMITTED,
                f"{step.member} shares the host's own network namespace ({namespace.inode}); "
                f"{work.name} there needs scope: host in the policy",
            )
        return _write(work, namespace)

    def poll(self, step: actions.Step) -> outcomes.Outcome:
        """After a resume: what is there now. A write never runs on."""
        match self.reconcile(step):
            case outcomes.Happened(text=text):
                return outcomes.Succeeded(text, facts=_facts(_work(step), _work(step).value))
            case outcomes.NotHappened(text=text) | outcomes.Unknowable(text=text):
                return outcomes.Failed(text, happened=False)
            case other:
                assert_never(other)

    def reconcile(self, step: actions.Step) -> outcomes.Happened | outcomes.NotHappened | outcomes.Unknowable:
        """After a crash: the value itself tells whether it was written."""
        work = _work(step)
        path = _path_into(work.namespace, work.pid)
        if path is None:
            return outcomes.Unknowable(
                f"network namespace {work.namespace} is gone, and its {work.name} with it"
            )
        value = net_sysctls.read(work.name, path)
        if isinstance(value, samples.Missing):
            return outcomes.Unknowable(f"{work.name} cannot be read: {value.why}")
        if _same(value, work.value):
            return outcomes.Happened(f"{work.name} is {value}, as it was meant to be")
        if _same(value, work.original):
            return outcomes.NotHappened(f"{work.name} is still {value}")
        return outcomes.Unknowable(
            f"{work.name} is {value}, neither {work.value} nor {work.original}: somebody else wrote it"
        )

    def restore(self, lease: standings.Lease) -> outcomes.Succeeded | outcomes.Failed | outcomes.Refused:
        """Give a lease back, by compare and swap; somebody else's later value is left alone."""
        try:
            path = _path_into(lease.namespace, lease.pid) if procfs.boot_id() == lease.boot_id else None
        except errors.NotPermitted as problem:
            return outcomes.Refused(reasons.Reason.NOT_PERMITTED, problem.sentence)
        if path is None:
            return outcomes.Refused(
                reasons.Reason.NOT_FOUND,
                f"network namespace {lease.namespace} is gone, and its {lease.name} with it: nothing to give back",
            )
        try:
            namespace = netns.identify(path)
            if lease.scope != "host" and is_hosts_own(namespace, path):
                return outcomes.Refused(
                    reasons.Reason.NOT_PERMITTED,
                    f"{path} is the host's own network namespace, and the lease is of a member's: not written",
                )
            after = net_sysctls.write(
                lease.name, lease.original, path=path, expected=namespace, only_if=lease.observed
            )
        except errors.NotPermitted as problem:
            return outcomes.Refused(reasons.Reason.NOT_PERMITTED, problem.sentence)
        except errors.NotReachable as problem:
            return outcomes.Refused(reasons.Reason.NOT_FOUND, problem.message)
        except errors.LastackError as problem:
            return outcomes.Failed(problem.sentence, happened=False)
        if after is None:
            return _yielded(lease, path)
        facts: dict[str, outcomes.Json] = {
            "name": lease.name,
            "restored": after,
            "namespace": lease.namespace,
        }
        if not _same(after, lease.original):
            text = f"{lease.name} was given back as {lease.original} and reads {after}"
            return outcomes.Failed(text, happened=True, facts=facts)
        return outcomes.Succeeded(f"{lease.name} was given back: {lease.observed} to {after}", facts=facts)


def is_hosts_own(namespace: netns.NetNamespace, path: str) -> bool:
    """Whether the network namespace at `path` is the machine's own: that of its pid 1, or the kernel's first one.

    Only the first one has net.ipv4.tcp_mem, so it is known also where pid 1 may not be looked at. What cannot be
    told counts as the machine's.
    """
    try:
        if netns.identify(netns.path_of(1)) == namespace:
            return True
    except errors.WorldError:
        pass
    # Entering takes a right that looking around in one's own does not.
    found = net_sysctls.read(_OF_THE_FIRST_NAMESPACE, None if namespace == netns.own() else path)
    return not isinstance(found, samples.Missing) or "does not exist" not in found.why


def _write(work: actions.SysctlWrite, namespace: netns.NetNamespace) -> outcomes.Outcome:
    path = netns.path_of(work.pid)
    try:
        after = net_sysctls.write(work.name, work.value, path=path, expected=namespace, only_if=work.original)
    except errors.NotPermitted as problem:
        return outcomes.Refused(reasons.Reason.NOT_PERMITTED, problem.sentence)
    except errors.NotReachable as problem:
        return outcomes.Refused(reasons.Reason.NOT_FOUND, problem.message)
    except errors.Unsupported as problem:
        return outcomes.Refused(reasons.Reason.NO_FEATURE, problem.message)
    except errors.UsageError as problem:
        return outcomes.Failed(problem.message, happened=False)
    if after is None:
        return _other_value(work, path)
    if not _same(after, work.value):
        return _step_back(work, path, namespace, after)
    when = _takes_effect(work.name)
    return outcomes.Succeeded(
        f"{work.name} was set from {work.original} to {after} in network namespace {work.namespace}"
        + (f"; it acts {_WHEN[when]}" if when else ""),
        facts=_facts(work, after),
    )


def _other_value(work: actions.SysctlWrite, path: str) -> outcomes.Refused:
    value = net_sysctls.read(work.name, path)
    if isinstance(value, samples.Missing):
        reason = reasons.Reason.NOT_PERMITTED if "not permitted" in value.why else reasons.Reason.NO_FEATURE
        return outcomes.Refused(reason, f"{work.name} cannot be read: {value.why}")
    if _same(value, work.value):
        return outcomes.Refused(reasons.Reason.ALREADY_DONE, f"{work.name} is {value} already")
    return outcomes.Refused(
        reasons.Reason.STALE_SAMPLES,
        f"{work.name} is {value} and was {work.original} when this was planned: somebody changed it since",
    )


def _step_back(
    work: actions.SysctlWrite, path: str, namespace: netns.NetNamespace, after: str
) -> outcomes.Failed:
    """The kernel took another value than the one that was written: undo it."""
    text = f"{work.name} was written as {work.value} and reads {after}"
    try:
        back = net_sysctls.write(work.name, work.original, path=path, expected=namespace, only_if=after)
    except errors.LastackError as problem:
        return outcomes.Failed(
            f"{text}; writing {work.original} back failed: {problem.message}", happened=True
        )
    if back is not None and _same(back, work.original):
        return outcomes.Failed(f"{text}; it is {back} again", happened=False, facts=_facts(work, back))
    return outcomes.Failed(
        f"{text}; it could not be undone", happened=True, facts=_facts(work, back or after)
    )


def _yielded(lease: standings.Lease, path: str) -> outcomes.Refused:
    value = net_sysctls.read(lease.name, path)
    now = f"cannot be read ({value.why})" if isinstance(value, samples.Missing) else f"is {value}"
    if not isinstance(value, samples.Missing) and _same(value, lease.original):
        text = f"{lease.name} is {value} already, as it was before the lease"
    else:
        text = f"{lease.name} {now}, not the {lease.observed} of the lease: a later edit wins, nothing was written"
    return outcomes.Refused(reasons.Reason.ALREADY_DONE, text)


def _path_into(inode: int, pid: int) -> str | None:
    """A path into the namespace with this inode: of the process, of any other in it, or of a name.

    None: it is gone. Raises NotPermitted where it may be one of those that may not be looked at.
    """
    denied = 0
    # pid 1 is hidden from root too where the machine's init stands outside; no member lives in its namespace.
    others = (netns.path_of(other) for other in procfs.pids() if other != 1)
    for path in (netns.path_of(pid), netns.path_of("self"), *others, *map(str, _named())):
        try:
            if netns.identify(path).inode == inode:
                return path
        except errors.NotPermitted:
            denied += 1
        except errors.WorldError:
            continue
    if denied:
        raise errors.NotPermitted(
            f"network namespace {inode} may be one of those of {denied} processes that may not be looked at",
            fix="run as root, with CAP_SYS_PTRACE",
        )
    return None


def _named() -> list[pathlib.Path]:
    try:
        return sorted(_NAMED.iterdir())
    except OSError:
        return []


def _takes_effect(name: str) -> sysctls.TakesEffect | None:
    known = sysctls.CATALOGUE.get(name)
    return known.takes_effect if known else None


def _facts(work: actions.SysctlWrite, observed: str) -> dict[str, outcomes.Json]:
    when = _takes_effect(work.name)
    return {
        "name": work.name,
        "original": work.original,
        "desired": work.value,
        "observed": observed,
        "namespace": work.namespace,
        "takesEffect": when.value if when else None,
    }


def _work(step: actions.Step) -> actions.SysctlWrite:
    if not isinstance(step.work, actions.SysctlWrite):
        raise errors.InvariantBroken(f"{step.kind} was brought to the executor of sysctl leases")
    return step.work


def _same(one: str, other: str) -> bool:
    return one.split() == other.split()
