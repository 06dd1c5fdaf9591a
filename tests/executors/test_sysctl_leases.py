"""Sysctl leases in real network namespaces; the machine's own is never written."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import pathlib
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from lastack import ports
from lastack.engine import actions, outcomes, reasons, samples, standings
from lastack.executors import sysctl_leases
from lastack.kernel import net_sysctls, netns, procfs
from lastack.policy import valid
from tests import waiting
from tests.contracts import executor_contract
from tests.executors import worlds

NAME = "net.core.somaxconn"


@pytest.fixture
def near() -> Iterator[worlds.Neighbour]:
    """A process in a namespace of its own."""
    with worlds.neighbour() as found:
        yield found


def value_in(pid: int, name: str = NAME) -> str:
    """What the namespace of the process has."""
    found = net_sysctls.read(name, netns.path_of(pid))
    assert isinstance(found, str)
    return found


def write_as_a_human(pid: int, value: str, name: str = NAME) -> None:
    """An edit that lastack knows nothing of."""
    path = netns.path_of(pid)
    net_sysctls.write(name, value, path=path, expected=netns.identify(path))


def work_on(near: worlds.Neighbour, value: str = "777") -> actions.SysctlWrite:
    """A step for the present value."""
    return actions.SysctlWrite(
        NAME, value, value_in(near.pid), "member", samples.Pid(near.pid), near.namespace
    )


def leaser(*pids: int) -> sysctl_leases.SysctlLeaser:
    """The executor, over a host whose member is LIFE."""
    host = worlds.OneMemberHost(*pids)
    return sysctl_leases.SysctlLeaser(lambda _: host)


def lease_on(near: worlds.Neighbour, observed: str = "777", original: str = "4096") -> standings.Lease:
    """The lease that the ledger would hold after the write."""
    boot = procfs.boot_id()
    assert isinstance(boot, str)
    return standings.Lease(
        namespace=near.namespace,
        boot_id=boot,
        name=NAME,
        original=original,
        desired=observed,
        observed=observed,
        pid=near.pid,
        scope="member",
        policy=valid.PolicyName("demo"),
        incident=actions.IncidentId("incident-1"),
        step=actions.StepId("step-1"),
        since=dt.datetime(2026, 11, 22, tzinfo=dt.UTC),
        until=None,
    )


class SysctlBed:
    """One name in a namespace of its own."""

    def __init__(self, near: worlds.Neighbour) -> None:
        self.step = worlds.step_of(work_on(near))
        self.stale = worlds.step_of(work_on(near), expected=actions.Incarnation("9@9.00"))
        self.leaves_traces = True

    def executor(self) -> ports.Executor:
        """A new instance."""
        return leaser()


class TestSysctlLeasesKeepTheContract(executor_contract.ExecutorContract):
    """The claims of every executor, on a real namespace."""

    @pytest.fixture
    def bed(self, near: worlds.Neighbour) -> executor_contract.Bed:
        """A fresh namespace."""
        return SysctlBed(near)


def test_the_value_is_written_read_back_and_told(near: worlds.Neighbour) -> None:
    """The facts are what the lease in the ledger is made of; this machine's own value stays."""
    own = net_sysctls.read(NAME)
    found = leaser(near.pid).begin(worlds.step_of(work_on(near)))
    assert isinstance(found, outcomes.Succeeded)
    assert {
        "name": NAME,
        "original": "4096",
        "desired": "777",
        "observed": "777",
        "namespace": near.namespace,
        "takesEffect": "next-listen",
    } == found.facts
    assert found.text.endswith("; it acts at the next listen()")
    assert "777" == value_in(near.pid)
    assert own == net_sysctls.read(NAME)


def test_a_value_of_three_numbers_is_compared_without_its_tabs(near: worlds.Neighbour) -> None:
    """The kernel separates by tabs, people by spaces."""
    name = "net.ipv4.tcp_rmem"
    work = dataclasses.replace(
        work_on(near), name=name, value="4096\t131072  7000000", original=value_in(near.pid, name)
    )
    found = leaser(near.pid).begin(worlds.step_of(work))
    assert isinstance(found, outcomes.Succeeded), found
    assert "4096 131072 7000000" == value_in(near.pid, name)


def test_the_machines_own_namespace_needs_scope_host() -> None:
    """A member that shares the host's network never gets it changed by a policy that says member."""
    own, pid = netns.own(), os.getpid()
    before = net_sysctls.read(NAME)
    assert isinstance(before, str)
    work = actions.SysctlWrite(NAME, "777", before, "member", samples.Pid(pid), own.inode)
    found = leaser(pid).begin(worlds.step_of(work))
    assert isinstance(found, outcomes.Refused)
    assert reasons.Reason.NOT_PERMITTED == found.reason
    assert "scope: host" in found.text
    assert before == net_sysctls.read(NAME)


def test_a_wrong_pid_never_writes_the_machines_own_value(near: worlds.Neighbour) -> None:
    """Also with scope: host, the namespace that was planned on is compared before anything is written."""
    before = net_sysctls.read(NAME)
    work = dataclasses.replace(work_on(near), pid=samples.Pid(os.getpid()), scope="host")
    found = leaser(near.pid).begin(worlds.step_of(work))
    assert isinstance(found, outcomes.Refused)
    assert reasons.Reason.INCARNATION_CHANGED == found.reason
    assert before == net_sysctls.read(NAME)
    assert "4096" == value_in(near.pid)


@pytest.mark.parametrize(
    ("human", "reason"), [("5000", reasons.Reason.STALE_SAMPLES), ("777", reasons.Reason.ALREADY_DONE)]
)
def test_another_value_than_planned_on_is_left_alone(
    near: worlds.Neighbour, human: str, reason: reasons.Reason
) -> None:
    """Somebody wrote it between planning and acting; an original that was never there is never restored."""
    step = worlds.step_of(work_on(near))
    write_as_a_human(near.pid, human)
    found = leaser(near.pid).begin(step)
    assert isinstance(found, outcomes.Refused)
    assert reason == found.reason
    assert human == value_in(near.pid)


def test_a_process_that_is_gone_is_refused() -> None:
    """The namespace went with it."""
    with worlds.neighbour() as near:
        step = worlds.step_of(work_on(near))
    found = leaser(near.pid).begin(step)
    assert isinstance(found, outcomes.Refused)
    assert reasons.Reason.NOT_FOUND == found.reason
    assert isinstance(leaser(near.pid).reconcile(step), outcomes.Unknowable)


def test_a_value_that_the_kernel_does_not_take_changes_nothing(near: worlds.Neighbour) -> None:
    """Failed, not happened, with the kernel's word."""
    found = leaser(near.pid).begin(worlds.step_of(work_on(near, value="-5")))
    assert isinstance(found, outcomes.Failed)
    assert not found.happened
    assert "does not take '-5'" in found.text
    assert "4096" == value_in(near.pid)


def test_a_name_that_the_namespace_lacks_is_refused(near: worlds.Neighbour) -> None:
    """tcp_mem belongs to the whole host: it is absent in other namespaces."""
    work = dataclasses.replace(work_on(near), name="net.ipv4.tcp_mem", original="1 2 3", value="1 2 4")
    found = leaser(near.pid).begin(worlds.step_of(work))
    assert isinstance(found, outcomes.Refused)
    assert reasons.Reason.NO_FEATURE == found.reason


@pytest.mark.parametrize(
    ("value", "kind"),
    [("777", outcomes.Happened), ("4096", outcomes.NotHappened), ("5000", outcomes.Unknowable)],
)
def test_reconciling_believes_the_value(near: worlds.Neighbour, value: str, kind: type) -> None:
    """Ours: it happened. The original: it did not. Another one: nobody can tell."""
    step = worlds.step_of(work_on(near))
    write_as_a_human(near.pid, value)
    assert isinstance(leaser(near.pid).reconcile(step), kind)


def test_a_lease_is_given_back(near: worlds.Neighbour) -> None:
    """The original is written and read back."""
    leaser(near.pid).begin(worlds.step_of(work_on(near)))
    found = leaser(near.pid).restore(lease_on(near))
    assert isinstance(found, outcomes.Succeeded), found
    assert "4096" == value_in(near.pid)


@pytest.mark.parametrize("human", ["5000", "4096"])
def test_a_humans_later_edit_wins(near: worlds.Neighbour, human: str) -> None:
    """Compare and swap: what is not ours any more is not touched."""
    leaser(near.pid).begin(worlds.step_of(work_on(near)))
    write_as_a_human(near.pid, human)
    found = leaser(near.pid).restore(lease_on(near))
    assert isinstance(found, outcomes.Refused)
    assert reasons.Reason.ALREADY_DONE == found.reason
    assert human == value_in(near.pid)


def test_a_lease_is_given_back_through_another_process(near: worlds.Neighbour) -> None:
    """The process that was written through may be gone while its namespace lives on."""
    leaser(near.pid).begin(worlds.step_of(work_on(near)))
    lease = lease_on(near)
    enter = ["nsenter", "-t", str(near.pid), *([] if os.geteuid() == 0 else ["-U"]), "-n", "sleep", "600"]
    with subprocess.Popen(enter) as other:
        try:
            waiting.wait_until(
                lambda: netns.identify(netns.path_of(other.pid)).inode == lease.namespace,
                within=worlds.WITHIN,
                what="nsenter",
            )
            near.process.kill()
            near.process.wait()
            assert isinstance(leaser().restore(lease), outcomes.Succeeded)
            assert "4096" == value_in(other.pid)
        finally:
            other.kill()


def test_a_lease_of_a_namespace_that_is_gone_is_over() -> None:
    """Its value died with it; nothing else is written instead."""
    with worlds.neighbour() as near:
        lease = lease_on(near)
    found = leaser().restore(lease)
    assert isinstance(found, outcomes.Refused)
    assert reasons.Reason.NOT_FOUND == found.reason


def test_a_lease_of_another_boot_is_over(near: worlds.Neighbour) -> None:
    """Inodes of namespaces are used again after a boot: the number alone proves nothing."""
    leaser(near.pid).begin(worlds.step_of(work_on(near)))
    found = leaser().restore(dataclasses.replace(lease_on(near), boot_id="another"))
    assert isinstance(found, outcomes.Refused)
    assert reasons.Reason.NOT_FOUND == found.reason
    assert "777" == value_in(near.pid)


NOBODY = textwrap.dedent("""
    import os, sys
    sys.path[:0] = {path!r}
    from lastack.engine import samples
    from lastack.executors import sysctl_leases
    from tests.executors import test_sysctl_leases, worlds
    from lastack.engine import actions
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    work = actions.SysctlWrite("net.core.somaxconn", "777", {original!r}, "host", samples.Pid({pid}), {inode})
    found = test_sysctl_leases.leaser({pid}).begin(worlds.step_of(work))
    print(type(found).__name__, found.reason.value)
""")


def test_an_ordinary_user_is_told_that_it_is_not_permitted(near: worlds.Neighbour) -> None:
    """Nothing is written, and the reason is a right, not a defect."""
    if os.geteuid() != 0:
        pytest.fail("this test changes to nobody: run it as root")
    root = pathlib.Path(__file__).parents[2]
    code = NOBODY.format(
        path=[str(root), str(root / "operator")], original="4096", pid=near.pid, inode=near.namespace
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ("Refused not-permitted\n", "") == (done.stdout, done.stderr)
    assert "4096" == value_in(near.pid)


NOBODY_GIVES_BACK = textwrap.dedent("""
    import os, sys
    sys.path[:0] = {path!r}
    from tests.executors import test_sysctl_leases, worlds
    with worlds.neighbour() as near:
        lease = test_sysctl_leases.lease_on(near)
        os.seteuid(65534)
        found = test_sysctl_leases.leaser().restore(lease)
        os.seteuid(0)
    print(type(found).__name__, found.reason.value)
""")


def test_a_namespace_that_may_not_be_looked_at_is_not_taken_for_gone() -> None:
    """The value still stands there, so that the lease stays owed."""
    if os.geteuid() != 0:
        pytest.fail("this test changes to nobody: run it as root")
    root = pathlib.Path(__file__).parents[2]
    code = NOBODY_GIVES_BACK.format(path=[str(root), str(root / "operator")])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ("Refused not-permitted\n", "") == (done.stdout, done.stderr)
