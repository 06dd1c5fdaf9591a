"""Owners beyond the plain case: an activated socket, a hot upgrade, namespaces of their own, other users."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

from lastack import ports
from lastack.engine import samples
from lastack.kernel import netns
from tests import waiting
from tests.box import boxes
from tests.sensors import given

SOCKET_UNIT = "[Socket]\nListenStream=127.0.0.1:7070\n"
ACTIVATED = "import socket, time; s = socket.socket(fileno=3); c = s.accept(); time.sleep(600)"
NOBODY = 65534
BECOME_NOBODY = f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
NGINX = """
pid {folder}/nginx.pid;
error_log {folder}/error.log;
master_process on;
worker_processes 2;
user root;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port}; return 200; }}
}}
"""
IMPORTS = "import json, os, socket, sys\n"
SERVER = """
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(json.dumps([os.getpid(), server.getsockname()[1]]), flush=True)
connection = server.accept()[0]
connection.recv(1)
"""


def _look(selection: ports.Selection, claim: Callable[[samples.Look], bool], what: str) -> samples.Look:
    eye = given.eye()

    def holds() -> samples.Look | None:
        found = eye.look(selection).looks
        return found[0] if len(found) == 1 and claim(found[0]) else None

    return waiting.wait_until(holds, within=given.SOON * 2, what=what)


def test_an_activated_socket_belongs_to_the_service_and_not_to_systemd(box: boxes.Box) -> None:
    """Seen from outside of the box, whose PID 1 has another number here: alone first, aside once the service runs."""
    box.write_unit("activated.socket", SOCKET_UNIT, reload=False)
    box.write_unit("activated.service", f'[Service]\nExecStart={sys.executable} -c "{ACTIVATED}"\n')
    box.run(["systemctl", "start", "activated.socket"])
    selection = ports.Selection(ports=frozenset({7070}), netns_pid=samples.Pid(box.leader_pid), deep=True)
    try:
        before = _look(selection, lambda look: look.owner.pid is not None, "systemd as the owner")
        client = netns.call_in(
            netns.path_of(box.leader_pid), lambda: socket.create_connection(("127.0.0.1", 7070))
        )
        with client:
            after = _look(
                selection, lambda look: len(look.owner.processes) == 2, "the service beside systemd"
            )
    finally:
        box.run(["systemctl", "stop", "activated.socket", "activated.service"])
    assert box.leader_pid == before.owner.pid
    main = after.owner.main
    assert main is not None
    assert box.leader_pid == main.parent


@contextlib.contextmanager
def _nginx(folder: pathlib.Path) -> Iterator[tuple[int, int]]:
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None, "nginx is not installed: apt-get install nginx-light"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, port=port), encoding="ascii")
    try:
        # It goes on as a daemon: it takes SIGUSR2 only when whoever started it has gone.
        subprocess.run([program, "-p", str(folder), "-c", str(configuration)], check=True)
        yield _pid_in(folder / "nginx.pid"), port
    finally:
        for name in ("nginx.pid", "nginx.pid.oldbin"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(_pid_in(folder / name), signal.SIGTERM)


def _pid_in(file: pathlib.Path) -> int:
    return int(file.read_text(encoding="ascii"))


def test_a_hot_upgrade_has_two_masters_and_the_older_one_leads(tmp_path: pathlib.Path) -> None:
    """nginx on SIGUSR2: the new master is a child of the old one, both serve; when the old one quits the new leads."""

    def work() -> tuple[int, int, samples.Owner, samples.Owner]:
        with _nginx(tmp_path) as (master, port):
            selection = ports.Selection(ports=frozenset({port}), deep=True)
            _look(selection, lambda look: len(look.owner.processes) == 3, "a master with two workers")
            os.kill(master, signal.SIGUSR2)
            both = _look(selection, lambda look: len(look.owner.processes) == 6, "two masters with workers")
            new = _pid_in(tmp_path / "nginx.pid")
            os.kill(master, signal.SIGQUIT)
            one = _look(selection, lambda look: len(look.owner.processes) == 3, "the new master alone")
            return master, new, both.owner, one.owner

    old, new, both, one = given.alone(work)
    assert (old, new) == (both.pid, one.pid)


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
                look = _look(
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
            found = _look(selection, lambda look: look.owner.pid == pid, "the owner")
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
