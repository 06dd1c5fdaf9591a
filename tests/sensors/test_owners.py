"""Who holds a listener: found once, confirmed at each look, and never guessed."""

import contextlib
import datetime as dt
import os
import signal
import socket
import subprocess
import sys

import pytest

from lastack import ports
from lastack.engine import samples
from lastack.sensors import owners, sampler
from tests import waiting
from tests.sensors import given


def _process(pid: int, parent: int | None, started: int, command: str = "server") -> samples.ProcessSample:
    return samples.ProcessSample(
        pid=samples.Pid(pid),
        parent=None if parent is None else samples.Pid(parent),
        command=command,
        started=dt.timedelta(seconds=started),
        open_files=3,
        open_files_limit=1024,
        threads=1,
    )


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ([], None),
        ([(1, None, 0)], 1),
        ([(1, None, 0), (40, 1, 5)], 40),
        ([(1, None, 0), (40, 1, 5), (41, 40, 6)], 40),
        ([(40, 30, 5), (41, 40, 6), (42, 40, 7)], 40),
        ([(50, 30, 9), (40, 30, 5)], 50),
        ([(40, 30, 5), (41, 40, 6), (50, 30, 9), (51, 50, 9)], 50),
        ([(40, 30, 5), (41, 40, 6), (42, 40, 7), (43, 42, 8)], 40),
        ([(700, 690, 0, "systemd"), (740, 700, 5)], 740),
        ([(700, 690, 0, "systemd")], 700),
    ],
    ids=[
        "nobody",
        "socket activation before the first start",
        "socket activation",
        "an activated master with a worker",
        "a master with workers",
        "two of one parent: the youngest",
        "the old and the new master of a restart",
        "the new master of a hot upgrade is a child of the old one",
        "socket activation by the systemd of a container or of a user",
        "a container's systemd before the first start",
    ],
)
def test_the_main_process_is_the_master(
    family: list[tuple[int, int | None, int] | tuple[int, int | None, int, str]], expected: int | None
) -> None:
    """The owner whose parent is not an owner; PID 1 only alone; of several the youngest."""
    assert expected == owners.main_pid([_process(*each) for each in family])


def _nothing() -> None:
    pass


def _pids(eye: owners.OwnerIndex, listener: socket.socket) -> tuple[int, ...]:
    inode = os.fstat(listener.fileno()).st_ino
    return eye.holders({inode}).pids[inode]


def test_workers_that_come_and_go_are_owners_while_they_live() -> None:
    """A fork inherits the listener, which no change of the socket tells; one that died holds nothing."""
    index = owners.OwnerIndex()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        alone = _pids(index, listener)
        with given.forked(_nothing) as first, given.forked(_nothing) as second:
            both = _pids(index, listener)
            os.kill(first, signal.SIGKILL)
            os.waitpid(first, 0)
            left = _pids(index, listener)
        assert ((given.OWN,), {given.OWN, first, second}, {given.OWN, second}) == (
            alone,
            set(both),
            set(left),
        )


def test_a_process_that_closed_the_listener_is_no_owner() -> None:
    """It lives on, with the same start time; its descriptor says that it let go."""
    index = owners.OwnerIndex()
    listener = socket.create_server(("127.0.0.1", 0))
    copy = listener.dup()
    with listener, copy:
        assert (given.OWN,) == _pids(index, listener)
        inode = os.fstat(listener.fileno()).st_ino
        listener.close()
        still = index.holders({inode}).pids[inode]
        copy.close()
        gone = index.holders({inode}).pids[inode]
    assert ((given.OWN,), ()) == (still, gone)


def test_only_those_that_were_asked_about_are_looked_into() -> None:
    """A tick of `run` knows its members: no walk over the descriptors of the whole machine."""
    index = owners.OwnerIndex()
    with socket.create_server(("127.0.0.1", 0)) as listener, given.forked(_nothing) as child:
        inode = os.fstat(listener.fileno()).st_ino
        only = index.holders({inode}, {samples.Pid(child)}).pids[inode]
        every = index.holders({inode}).pids[inode]
        assert ((child,), {given.OWN, child}) == (only, set(every))


def test_a_prefork_server_is_one_member() -> None:
    """A master and its workers share one listener: one item, and the master is its pid."""

    def work() -> samples.Owner:
        with given.service() as service, given.forked(_nothing), given.forked(_nothing):
            return given.look(given.eye(), service).owner

    owner = given.alone(work)
    assert (given.OWN, 3) == (owner.pid, len(owner.processes))


def test_siblings_of_different_processes_get_their_own_accepted_rows() -> None:
    """SO_REUSEPORT: whoever accepted a connection holds it, and that says whose it is."""

    def work() -> dict[int | None, int]:
        with given.service() as service:

            def serve() -> None:
                with socket.socket() as own:
                    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                    own.bind(("127.0.0.1", service.port))
                    service.listener.close()
                    own.listen(16)
                    kept = []
                    while True:
                        kept.append(own.accept()[0])

            with given.forked(serve):
                eye = given.eye()
                waiting.wait_until(
                    lambda: len(_looks(eye, service)) == 2, within=given.SOON, what="the sibling"
                )
                for _ in range(12):
                    service.connect().close()
                service.listener.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        service.accept()
                waiting.wait_until(
                    lambda: sum(len(each.listener.close_wait.cookies) for each in _looks(eye, service)) == 12,
                    within=given.SOON,
                    what="12 accepted connections without clients",
                )
                return {
                    each.owner.pid: len(each.listener.close_wait.cookies) for each in _looks(eye, service)
                }

    shares = given.alone(work)
    assert 12 == sum(shares.values())
    assert all(shares.values()), shares
    assert given.OWN in shares


def _looks(eye: sampler.SocketSampler, service: given.Service) -> tuple[samples.Look, ...]:
    return eye.look(ports.Selection(ports=frozenset({service.port}), deep=True)).looks


def test_without_the_right_the_owner_is_missing_with_the_next_step() -> None:
    """An ordinary user sees the listener and its queue, not who holds it, and is told so."""
    program = (
        "import os, sys\n"
        "from lastack import ports\n"
        "from tests.sensors import given\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "look, = given.eye().look(ports.Selection(ports=frozenset({int(sys.argv[1])}), deep=True)).looks\n"
        "print(look.owner.pid, look.owner.missing.fix, sep='|')\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        said = subprocess.run(
            [sys.executable, "-c", program, port],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": given.search_path()},
        ).stdout
    assert "None|run as root, or grant both capabilities\n" == said
