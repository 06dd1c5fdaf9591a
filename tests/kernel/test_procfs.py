"""What /proc tells about processes, files, counters, groups and system calls, read a second way."""

import datetime as dt
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import threading

import psutil
import pytest

from lastack import errors
from lastack.engine import samples
from lastack.kernel import (
    blocked_calls,
    cgroups,
    descriptors,
    features,
    net_counters,
    net_sysctls,
    netns,
    pidfds,
    procfs,
)
from tests.kernel import namespaces

ME = os.getpid()
NOBODY = 4_194_400


def test_a_process_is_what_psutil_says() -> None:
    """Parent, threads, start time and command line."""
    with subprocess.Popen(
        [sys.executable, "-c", "input()", "an argument", ""], stdin=subprocess.PIPE
    ) as child:
        facts, oracle = procfs.process(child.pid), psutil.Process(child.pid)
        assert isinstance(facts, procfs.ProcessFacts)
        assert (ME, oracle.num_threads()) == (facts.parent, facts.threads)
        assert abs(psutil.boot_time() + facts.started.total_seconds() - oracle.create_time()) < 1.5
        assert tuple(oracle.cmdline()) == procfs.command_line(child.pid)
        spent = oracle.cpu_times()
        assert 0 <= spent.user + spent.system - facts.cpu.total_seconds() < 0.5
        assert child.pid in procfs.pids()
        child.kill()


def test_a_name_with_spaces_and_parentheses_does_not_shift_the_fields() -> None:
    """comm is what the process likes it to be."""
    code = "open('/proc/self/comm', 'w').write(') R 1 (x'); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        facts = procfs.process(child.pid)
        child.kill()
    assert isinstance(facts, procfs.ProcessFacts)
    assert (") R 1 (x", ME) == (facts.name, facts.parent)


@pytest.mark.parametrize(
    "read",
    [
        procfs.process,
        procfs.command_line,
        procfs.status,
        procfs.threads,
        descriptors.open_files_limit,
        descriptors.sockets,
        net_counters.counters,
        net_counters.sockets_in_use,
        cgroups.path,
        lambda pid: descriptors.open_files(pid, counted=True),
        lambda pid: descriptors.open_files(pid, counted=False),
        lambda pid: blocked_calls.of_thread(pid, pid),
        lambda pid: net_sysctls.read("net.core.somaxconn", netns.path_of(pid)),
        lambda pid: cgroups.pids(f"/none/{pid}"),
    ],
)
def test_what_vanished_is_missing_with_that_reason(read: object) -> None:
    """A pid that ended is no exception and no zero."""
    assert callable(read)
    found = read(NOBODY)
    assert isinstance(found, samples.Missing)
    assert "not there" in found.why


def test_what_is_forbidden_is_missing_with_the_capability() -> None:
    """As nobody, the files and calls of a root process cannot be seen, their number can."""
    code = (
        "import os\n"
        "from lastack.kernel import blocked_calls, descriptors\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "listed = descriptors.open_files(1, counted=False)\n"
        "for found in (descriptors.sockets(1), blocked_calls.of_thread(1, 1), listed):\n"
        "    print(found.why, '|', found.fix)\n"
        "holders = descriptors.holders([1], [1])\n"
        "print(holders.unseen)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    printed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    expected = "not permitted: needs CAP_SYS_PTRACE | run as root, or grant CAP_SYS_PTRACE"
    assert [expected, expected, expected, "(1,)"] == printed.stdout.splitlines()


def test_open_files_are_counted_in_both_ways_alike() -> None:
    """stat on new kernels, a listing on old ones (which opens one more: the folder)."""
    if features.probe().counted_descriptors:
        counted = descriptors.open_files(ME, counted=True)
        assert counted == len(list(pathlib.Path("/proc/self/fd").iterdir())) - 1
    listed = descriptors.open_files(os.getppid(), counted=False)
    assert listed == psutil.Process(os.getppid()).num_fds()
    assert descriptors.open_files_limit(ME) == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_a_socket_is_found_by_its_inode_in_every_process_that_holds_it() -> None:
    """A listener that was inherited has two holders; a closed one none."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        inode = os.fstat(server.fileno()).st_ino
        assert {inode: server.fileno()} == descriptors.sockets(ME, wanted={inode})
        command = [sys.executable, "-c", "input()"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[server.fileno()]) as child:
            holders = descriptors.holders({inode})
            assert tuple(sorted((ME, child.pid))) == holders.pids[inode]
            child.kill()
    assert {inode: ()} == descriptors.holders({inode}, [ME]).pids


def test_the_highest_descriptor_is_told_when_the_newest_is_looked_for_first() -> None:
    """What was opened last is found without a walk over all that was opened before."""
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.dup() as copy:
        inode = os.fstat(ours.fileno()).st_ino
        lowest = descriptors.sockets(ME, wanted={inode})
        highest = descriptors.sockets(ME, wanted={inode}, newest_first=True)
        assert ({inode: ours.fileno()}, {inode: copy.fileno()}) == (lowest, highest)


def test_counters_are_those_of_the_namespace() -> None:
    """A connection in a namespace of its own counts there, from 0."""

    def work() -> dict[str, int] | samples.Missing:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
            in_use = net_counters.sockets_in_use("thread-self")
            assert isinstance(in_use, dict)
            assert 2 <= in_use["TCP.inuse"] <= 3
            return net_counters.counters("thread-self")

    counters = namespaces.alone(work)
    assert isinstance(counters, dict)
    assert (1, 1, 0) == (counters["PassiveOpens"], counters["ActiveOpens"], counters["ListenDrops"])


def test_a_sysctl_is_written_only_in_the_namespace_that_was_meant() -> None:
    """Compare and swap inside; another namespace, name or value is refused and nothing is written."""

    def work() -> None:
        path, name = f"/proc/{ME}/task/{threading.get_native_id()}/ns/net", "net.core.somaxconn"
        here = netns.own()
        first = net_sysctls.read(name, path)
        assert isinstance(first, str)
        assert "777" == net_sysctls.write(name, "777", path=path, expected=here, only_if=first)
        assert net_sysctls.write(name, "1", path=path, expected=here, only_if=first) is None
        assert "4096 16384 65536" == net_sysctls.write(
            "net.ipv4.tcp_wmem", "4096 16384\t65536", path=path, expected=here
        )
        elsewhere = netns.NetNamespace(here.device, here.inode + 1)
        for wrong, kind in (
            ({"expected": elsewhere}, errors.NotReachable),
            ({"name": "net.core.nothing"}, errors.Unsupported),
            ({"name": "kernel.panic"}, errors.UsageError),
            ({"name": "net.core/../../kernel/panic"}, errors.UsageError),
            ({"value": "many"}, errors.UsageError),
        ):
            asked = {"name": name, "value": "5", "path": path, "expected": here, **wrong}
            with pytest.raises(kind):
                net_sysctls.write(asked.pop("name"), asked.pop("value"), **asked)  # type: ignore[arg-type]  # a table of wrong words
        assert "777" == net_sysctls.read(name, path)

    namespaces.alone(work)


def test_a_handle_stands_for_one_life_of_a_process() -> None:
    """It signals and awaits that life only; a start time that differs is another one."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        facts = procfs.process(child.pid)
        assert isinstance(facts, procfs.ProcessFacts)
        with pytest.raises(errors.NotReachable, match="used again"):
            pidfds.ProcessHandle.open(child.pid, started=facts.started + dt.timedelta(seconds=1))
        with pidfds.ProcessHandle.open(child.pid, started=facts.started) as handle:
            assert not handle.wait(dt.timedelta())
            handle.send(signal.SIGKILL)
            assert handle.wait(dt.timedelta(seconds=5))
            child.wait()
            with pytest.raises(errors.NotReachable, match="has ended"):
                handle.send(signal.SIGTERM)
    with pytest.raises(errors.NotReachable, match="has ended"):
        pidfds.ProcessHandle.open(NOBODY)


def test_features_say_what_this_kernel_does() -> None:
    """Every kernel that lastack supports gives ages and drops; without them no extension may be asked for."""
    found = features.probe()
    assert os.uname().release == found.release
    assert (True, True, True) == (found.tcp_info, found.skmeminfo, found.one_walk)
    assert found.counted_descriptors == (pathlib.Path("/proc/self/fd").stat().st_size > 0)
