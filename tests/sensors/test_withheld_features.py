"""What an older kernel or a lesser right lacks: each has its stated fall-back, and all else is the same answer."""

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from lastack import ports
from lastack.engine import samples
from lastack.kernel import clocks, features
from lastack.sensors import sampler
from tests.sensors import given

WITHHELD: dict[str, Callable[[features.Features], features.Features]] = {
    "counted_descriptors": lambda offered: dataclasses.replace(offered, counted_descriptors=False),
    "pidfd": lambda offered: dataclasses.replace(offered, pidfd=False),
    "pidfd_getfd": lambda offered: dataclasses.replace(offered, pidfd_getfd=False),
    "tcp_info": lambda offered: dataclasses.replace(offered, tcp_info=False),
    "skmeminfo": lambda offered: dataclasses.replace(offered, skmeminfo=False),
    "cgroup_ids": lambda offered: dataclasses.replace(offered, cgroup_ids=False),
    "one_walk": lambda offered: dataclasses.replace(offered, one_walk=False),
}
RESTING = "import sys; print(flush=True); sys.stdin.read()"


def _eye(without: str | None = None) -> sampler.SocketSampler:
    offered = features.probe()
    return sampler.SocketSampler(clocks.SystemClock(), WITHHELD[without](offered) if without else offered)


@contextlib.contextmanager
def _population() -> Iterator[ports.Selection]:
    """Dual-stack and IPv4 listeners of another process, with a queue, accepted, half-closed and outbound rows."""
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(given.service(backlog=8))
        two = stack.enter_context(given.service("::", family=socket.AF_INET6, dual=True))
        for host in ("127.0.0.1", "::1"):
            two.connect(host).close()
            two.connect(host)
            two.accept()
            two.accept()
        one.connect()
        eye = given.eye()
        given.await_look(eye, two, lambda look: len(look.listener.close_wait.cookies) == 2, what="two FINs")
        holder = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", RESTING],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[one.listener.fileno(), two.listener.fileno()],
            )
        )
        stack.callback(holder.kill)
        assert holder.stdout is not None
        holder.stdout.readline()
        yield ports.Selection(pids=frozenset({samples.Pid(holder.pid)}), deep=True)


def _steady(sample: samples.Sample, *, drops: bool = True) -> list[object]:
    """What does not change while nothing happens: everything but ages, times, and what threads do just now."""
    found: list[object] = []
    for look in sample.looks:
        listener, rows = look.listener, look.listener.close_wait
        found += [listener.address, listener.cookie, listener.depth, listener.limit, listener.peers]
        found += [listener.established, listener.syn_received, list(given.queued(look).cookies)]
        found += [list(rows.cookies), list(rows.inodes), list(rows.unread), drops and listener.drops]
        # This process opens a file when it lists its own: only the other one is the same in every way.
        found += [
            (each.pid, each.parent, each.command, each.open_files, each.threads, each.outbound, each.unit)
            for each in look.owner.processes
            if each.pid != given.OWN
        ]
    return found


def test_every_feature_is_withheld_here() -> None:
    """A feature that is added without its fall-back in this table fails."""
    assert {field.name for field in dataclasses.fields(features.Features)} - {"release"} == WITHHELD.keys()


@pytest.mark.parametrize("flag", ["counted_descriptors", "pidfd", "cgroup_ids", "one_walk"])
def test_a_fall_back_gives_the_same_answer(flag: str) -> None:
    """A folder that is listed, two walks for one, owners by descriptors: dearer, and equal."""

    def work() -> tuple[list[object], list[object]]:
        with _population() as selection:
            return _steady(_eye().look(selection)), _steady(_eye(flag).look(selection))

    whole, without = given.alone(work)
    assert 26 == len(whole)
    assert whole == without


def test_without_skmeminfo_the_drops_of_a_listener_are_missing_and_nothing_else() -> None:
    """Drops then are those of the namespace only."""

    def work() -> tuple[samples.Sample, samples.Sample]:
        with _population() as selection:
            return _eye().look(selection), _eye("skmeminfo").look(selection)

    whole, without = given.alone(work)
    assert all(isinstance(look.listener.drops, int) for look in whole.looks)
    assert all(isinstance(look.listener.drops, samples.Missing) for look in without.looks)
    assert _steady(whole, drops=False) == _steady(without, drops=False)


def test_without_ages_the_sample_says_which_kernel_it_takes() -> None:
    """No judgement rests on rows without ages: the whole look is missing, with the next step."""

    def work() -> samples.Sample:
        with _population() as selection:
            return _eye("tcp_info").look(selection)

    sample = given.alone(work)
    (what, why), *_ = sample.missing
    assert ((), "netns/self") == (sample.looks, what)
    assert "4.18" in (why.fix or "")


AS_SOMEBODY = """
import json, os, sys
from lastack.kernel import dump_sockets, inet_diag, sock_diag
if sys.argv[1] != "root":
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
with dump_sockets.DumpSocket.open() as endpoint:
    asked = inet_diag.request(frozenset({inet_diag.State.CLOSE_WAIT}))
    strides = {block.stride for block in endpoint.dump(asked)}
with sock_diag.SockDiag.open() as reader:
    listeners = [(each.address, each.port, each.depth, each.limit, each.drops) for each in reader.listeners()]
    closing, opening = reader.half_closed()
    rows = sorted((row.local_port, row.peer_port, row.rqueue, row.inode, row.cookie) for row in closing)
print(json.dumps([sorted(strides), listeners, rows]))
"""


def test_shorter_records_are_read_as_well() -> None:
    """Without CAP_NET_ADMIN the kernel leaves eight bytes out of every row: places are read, not known."""

    def work() -> list[list[object]]:
        with _population():
            said = []
            for who in ("root", "nobody"):
                environment = {**os.environ, "PYTHONPATH": given.search_path()}
                printed = subprocess.run(
                    [sys.executable, "-c", AS_SOMEBODY, who],
                    check=True,
                    capture_output=True,
                    text=True,
                    env=environment,
                ).stdout
                said.append(json.loads(printed))
            return said

    (long, *by_root), (short, *by_nobody) = given.alone(work)
    assert isinstance(long, list)
    assert isinstance(short, list)
    assert [8] * len(long) == [more - less for more, less in zip(long, short, strict=True)]
    assert by_root == by_nobody
