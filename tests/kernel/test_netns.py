"""Network namespaces by pid and path, and that nothing keeps a dead one."""

import os
import pathlib
import socket
import subprocess
import sys
import threading

import pytest

from lastack import errors
from lastack.kernel import linux, netns
from tests.kernel import namespaces

LISTENING = "s = socket.create_server(('127.0.0.1', 8123)); print('ready', flush=True); sys.stdin.read()"
UNSHARED = "import socket, sys; from lastack.kernel import netns; netns.unshare_net(); " + LISTENING
# Everything is imported before the right to read it is given up; prctl(PR_SET_DUMPABLE, 1) is what exec would do.
AS_NOBODY = (
    "import ctypes, fcntl, os, socket, sys; from lastack.kernel import netns; "
    "os.setgroups([]); os.setgid(65534); os.setuid(65534); ctypes.CDLL(None).prctl(4, 1, 0, 0, 0); "
    "netns.unshare_net(); " + LISTENING
)
SOURCES = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def started(code: str) -> subprocess.Popen[str]:
    """A Python that says `ready` and waits for its stdin to close."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=SOURCES
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_process_is_looked_at_in_its_own_namespace() -> None:
    """The reader sees the other namespace; the caller stays in its own."""
    with started(UNSHARED) as process:
        before = netns.own()
        there = netns.identify(netns.path_of(process.pid))
        assert before != there
        with netns.open_sock_diag(netns.path_of(process.pid)) as reader:
            assert [8123] == [listener.port for listener in reader.listeners()]
        assert there == netns.call_in(netns.path_of(process.pid), netns.own)
        assert before == netns.own()
        process.communicate()


def test_an_ordinary_user_can_have_a_namespace_of_its_own() -> None:
    """unshare_net makes a user namespace where it lacks the right, and loopback works there."""
    with started(AS_NOBODY) as process:
        assert netns.own() != netns.identify(netns.path_of(process.pid))
        process.communicate()


def test_a_namespace_that_vanished_is_not_reachable() -> None:
    """The process ended between being found and being looked at."""
    with started(UNSHARED) as process:
        path = netns.path_of(process.pid)
        process.communicate()
    for attempt in (lambda: netns.identify(path), lambda: netns.open_sock_diag(path)):
        with pytest.raises(errors.NotReachable, match="is not there") as refused:
            attempt()
        assert refused.value.fix is not None


def test_a_path_that_is_no_namespace_is_said_to_be_none() -> None:
    """Any file can be given on the command line."""
    with pytest.raises(errors.NotReachable, match="is not a network namespace"):
        netns.open_sock_diag("/proc/self/status")


def test_a_namespace_ends_with_its_last_process_although_it_was_looked_at() -> None:
    """A closed reader pins nothing: the inode of the dead namespace is given to nobody who asks for its file."""
    with started(UNSHARED) as process:
        path = netns.path_of(process.pid)
        descriptors = pathlib.Path("/proc/self/fd").stat().st_size
        for _ in range(3):
            netns.open_sock_diag(path).close()
            netns.identify(path)
            netns.call_in(path, netns.own)
        assert descriptors == pathlib.Path("/proc/self/fd").stat().st_size
        process.communicate()


def test_work_that_fails_in_a_namespace_fails_in_the_caller() -> None:
    """The error crosses the thread, and no thread is left."""
    threads = threading.active_count()

    def work() -> None:
        raise errors.Transient("as an example")

    with pytest.raises(errors.Transient, match="as an example"):
        netns.call_in("/proc/self/ns/net", work)
    assert threads == threading.active_count()


def test_loopback_is_up_in_a_namespace_of_ones_own() -> None:
    """A fresh namespace has lo down; a connection shows that it is up."""

    def work() -> bool:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
            return True

    assert namespaces.alone(work)


def test_a_system_call_that_fails_says_which_error() -> None:
    """setns on what is no namespace is EINVAL."""
    with pathlib.Path("/proc/self/status").open() as file, pytest.raises(OSError, match="Invalid argument"):
        linux.setns(file.fileno(), linux.CLONE_NEWNET)
