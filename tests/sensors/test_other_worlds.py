"""Owners beyond the plain case: in namespaces of their own, of other users, and seen by them."""

import json
import os
import pathlib
import socket
import subprocess
import sys

from lastack import ports
from lastack.engine import samples
from lastack.kernel import netns
from tests import waiting
from tests.sensors import given

NOBODY = 65534
BECOME_NOBODY = f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
IMPORTS = "import json, os, socket, sys\n"
SERVER = """
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(json.dumps([os.getpid(), server.getsockname()[1]]), flush=True)
connection = server.accept()[0]
connection.recv(1)
"""


def test_a_container_of_its_own_is_seen_from_the_host() -> None:
    """In pid, mount and net namespaces of its own: its pids are those of the host, its threads and peers are told."""
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--net", "--kill-child"]
    inside = f"ip link set lo up && exec {sys.executable} -c '{IMPORTS}{SERVER}' 9090"
    with subprocess.Popen([*command, "sh", "-c", inside], stdout=subprocess.PIPE, text=True) as container:
        assert container.stdout is not None
        try:
            seen_inside, _ = json.loads(container.stdout.readline())
            (child,) = (
                pathlib.Path(f"/proc/{container.pid}/task/{container.pid}/children").read_text().split()
            )
            path = netns.path_of(int(child))
            with netns.call_in(path, lambda: socket.create_connection(("127.0.0.1", 9090))) as client:
                selection = ports.Selection(
                    pids=frozenset({samples.Pid(int(child))}),
                    netns_pid=samples.Pid(int(child)),
                    stands=True,
                )
                look = given.look_at(
                    selection,
                    lambda look: look.listener.depth == 0 and not isinstance(look.stands, samples.Missing),
                    "the accepted connection",
                )
                peer = "{}:{}".format(*client.getsockname())
                stands = waiting.wait_until(
                    lambda: [each for each in _stands(selection) if each.side == "inbound"],
                    within=given.SOON,
                    what="the thread that reads",
                )
        finally:
            container.kill()
    assert (1, int(child)) == (seen_inside, look.owner.pid)
    assert [("recvfrom", peer)] == [(each.call, each.peer) for each in stands]


def _stands(selection: ports.Selection) -> tuple[samples.ThreadStand, ...]:
    (look,) = given.eye().look(selection).looks
    assert not isinstance(look.stands, samples.Missing), look.stands
    return look.stands


def test_root_sees_the_processes_of_other_users_as_its_own() -> None:
    """Open files, threads, stands and group of a service that runs as nobody."""

    def work() -> samples.Look:
        with subprocess.Popen(
            [sys.executable, "-c", IMPORTS + BECOME_NOBODY + SERVER, "0"], stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout is not None
            pid, port = json.loads(server.stdout.readline())
            selection = ports.Selection(ports=frozenset({port}), deep=True, stands=True)
            found = given.look_at(selection, lambda look: look.owner.pid == pid, "the owner")
            server.kill()
            return found

    look = given.alone(work)
    main = look.owner.main
    assert main is not None
    fields = (
        main.open_files,
        main.open_files_limit,
        main.threads,
        main.cpu,
        main.state,
        main.group,
        look.stands,
    )
    assert [] == [each for each in fields if isinstance(each, samples.Missing)]


def test_a_user_sees_the_own_service_and_is_told_what_is_hidden_of_others() -> None:
    """Without root: the own listener whole; of another user's the queue, and for the rest the reason."""
    program = (
        "import ctypes, json, os, socket, sys\n"
        "from lastack import ports\n"
        "from lastack.engine import samples\n"
        "from tests.sensors import given\n"
        f"{BECOME_NOBODY}"
        # A process that gave up root is not dumpable, which hides it from itself; a program of a user's is.
        "assert ctypes.CDLL(None).prctl(4, 1) == 0\n"
        "own = socket.create_server(('127.0.0.1', 0))\n"
        "looks = given.eye().look(ports.Selection(deep=True, stands=True)).looks\n"
        "mine, = (look for look in looks if look.listener.address.port == own.getsockname()[1])\n"
        "other, = (look for look in looks if look.listener.address.port == int(sys.argv[1]))\n"
        "whole = [mine.owner.pid == os.getpid(), isinstance(mine.owner.main.open_files, int), len(mine.stands)]\n"
        "print(json.dumps([whole, other.listener.depth, other.owner.pid, other.stands.fix]))\n"
    )

    def work() -> object:
        with given.service() as service:
            service.connect()
            environment = {**os.environ, "PYTHONPATH": given.search_path()}
            said = subprocess.run(
                [sys.executable, "-c", program, str(service.port)],
                check=True,
                capture_output=True,
                text=True,
                env=environment,
            ).stdout
            found: object = json.loads(said)
            return found

    assert [[True, True, 1], 1, None, "run as root, or grant both capabilities"] == given.alone(work)
