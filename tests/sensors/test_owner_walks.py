"""Owners are found without a walk over all processes at each look, and are found all the same."""

import os
import signal
import socket

from lastack.engine import samples
from lastack.kernel import procfs
from lastack.sensors import owners
from tests.sensors import given


def test_the_newest_pid_moves_with_every_start() -> None:
    """While it stands still nothing was started, so that nobody has to be looked for."""
    before = procfs.newest_pid()
    child = os.fork()
    if child == 0:
        os._exit(0)
    after = procfs.newest_pid()
    os.waitpid(child, 0)
    assert not isinstance(before, samples.Missing)
    assert not isinstance(after, samples.Missing)
    assert before != after
    # Others may have started since; pids only wrap around at the end of their range.
    assert child <= after


def test_sockets_of_many_are_asked_for_at_once() -> None:
    """What was expected is known at the look that follows, and a holder that came meanwhile is found too."""
    index = owners.OwnerIndex()
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        inodes = [os.fstat(each.fileno()).st_ino for each in (first, second)]
        assert [(given.OWN,)] * 2 == list(index.holders(frozenset(inodes)).pids.values())
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
        try:
            found = [index.holders({inode}).pids[inode] for inode in inodes]
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        assert [{given.OWN, child}] * 2 == [set(pids) for pids in found]


def test_a_socket_that_was_passed_to_an_older_process_is_found_in_the_end() -> None:
    """Nothing tells of such a gift: everything that is held is asked for anew now and then, in one walk."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        _, kept, _, _ = socket.recv_fds(theirs, 1, 1)
        theirs.send(b"x")
        signal.pause()
        os._exit(len(kept))
    index = owners.OwnerIndex()
    try:
        with ours, theirs, socket.create_server(("127.0.0.1", 0)) as listener:
            inode = os.fstat(listener.fileno()).st_ino
            assert (given.OWN,) == index.holders({inode}).pids[inode]
            socket.send_fds(ours, [b"x"], [listener.fileno()])
            ours.recv(1)
            looks = 1
            while child not in index.holders({inode}).pids[inode]:
                looks += 1
                assert looks <= 1000, "the gift was not found within 1000 looks"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert looks > 10
