"""What the sensors see of servers that somebody else wrote: who owns a listener, and for whom threads wait."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lastack import ports
from lastack.engine import samples
from lastack.kernel import netns
from tests import waiting
from tests.box import boxes
from tests.sensors import given

WAITS = pathlib.Path(__file__).with_name("servers") / "Waits.java"
SOCKET_UNIT = "[Socket]\nListenStream=127.0.0.1:7070\n"
ACTIVATED = "import socket, time; s = socket.socket(fileno=3); c = s.accept(); time.sleep(600)"
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


def test_an_activated_socket_belongs_to_the_service_and_not_to_systemd(box: boxes.Box) -> None:
    """Seen from outside of the box, whose PID 1 has another number here: alone first, aside once the service runs."""
    box.write_unit("activated.socket", SOCKET_UNIT, reload=False)
    box.write_unit("activated.service", f'[Service]\nExecStart={sys.executable} -c "{ACTIVATED}"\n')
    box.run(["systemctl", "start", "activated.socket"])
    selection = ports.Selection(ports=frozenset({7070}), netns_pid=samples.Pid(box.leader_pid), deep=True)
    try:
        before = given.look_at(selection, lambda look: look.owner.pid is not None, "systemd as the owner")
        client = netns.call_in(
            netns.path_of(box.leader_pid), lambda: socket.create_connection(("127.0.0.1", 7070))
        )
        with client:
            after = given.look_at(
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
            given.look_at(selection, lambda look: len(look.owner.processes) == 3, "a master with two workers")
            os.kill(master, signal.SIGUSR2)
            both = given.look_at(
                selection, lambda look: len(look.owner.processes) == 6, "two masters with workers"
            )
            new = _pid_in(tmp_path / "nginx.pid")
            os.kill(master, signal.SIGQUIT)
            one = given.look_at(
                selection, lambda look: len(look.owner.processes) == 3, "the new master alone"
            )
            return master, new, both.owner, one.owner

    old, new, both, one = given.alone(work)
    assert (old, new) == (both.pid, one.pid)


@pytest.mark.timeout(120)
def test_a_java_server_is_read_as_well() -> None:
    """Its timed reads wait in poll for one descriptor, its listener is of IPv6 and its peers are not."""

    def work() -> tuple[str, str, list[tuple[str | None, str, str | None]]]:
        with contextlib.ExitStack() as stack:
            backend = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            java = stack.enter_context(
                subprocess.Popen(
                    ["java", str(WAITS), str(backend.getsockname()[1])],
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(java.kill)
            assert java.stdout is not None
            port = int(java.stdout.readline())
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            selection = ports.Selection(ports=frozenset({port}), stands=True)
            eye = given.eye()

            def connected() -> list[samples.ThreadStand] | None:
                (look,) = eye.look(selection).looks
                assert not isinstance(look.stands, samples.Missing), look.stands
                found = [stand for stand in look.stands if stand.side in {"inbound", "outbound"}]
                return found if len(found) == 3 else None

            found = waiting.wait_until(connected, within=given.SOON, what="three waits")
            return (
                "{}:{}".format(*client.getsockname()),
                "{}:{}".format(*backend.getsockname()),
                sorted((stand.call, stand.side, stand.peer) for stand in found),
            )

    client, backend, found = given.alone(work)
    assert [
        ("poll", "outbound", backend),
        ("read", "inbound", client),
        ("read", "outbound", backend),
    ] == found
