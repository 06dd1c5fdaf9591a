"""Each further thing that the lab's programs can do, alone, on loopback of this machine."""

from __future__ import annotations

import datetime as dt
import pathlib
import socket
import threading

import pytest

from lastack.lab import followers, lifelines, messages, services
from lastack.lab import namespaces as namespaces_of_lab
from tests import waiting
from tests.kernel import namespaces
from tests.lab import patients

SOON = dt.timedelta(seconds=20)


def test_a_service_with_a_thread_for_each_connection_serves_many_at_once(tmp_path: pathlib.Path) -> None:
    """Ten that take 200 ms each end together, and not one after the other."""
    failures: list[str | None] = []
    with patients.running(tmp_path, "--workers", "0", "--work-ms", "200") as patient:
        threads = [
            threading.Thread(target=lambda: failures.append(patient.ask("/work", 1.9))) for _ in range(10)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [None] * 10 == failures


def test_a_leak_ends_at_the_file_limit_and_the_queue_grows(tmp_path: pathlib.Path) -> None:
    """accept() fails, nobody is taken, the service lives on and says why."""
    options = ("--disease", "fd-leak", "--file-limit", "32")
    with patients.running(tmp_path, *options) as patient:
        patient.process.send_signal(services.FALL_SICK)
        waiting.wait_until(lambda: patient.ask("/work", 0.3), within=SOON, what="a request without an answer")
        assert 32 == len(list(pathlib.Path(f"/proc/{patient.process.pid}/fd").iterdir()))
        assert patients.sockets(patient.port, "state", "listening")[0][0] >= 1
        assert None is patient.process.poll()
    assert "accept: Too many open files" in (tmp_path / "service.log").read_text(encoding="utf-8")


def test_a_report_waits_for_ever_for_a_silent_upstream(tmp_path: pathlib.Path) -> None:
    """Its handler holds the client's socket, with the end of the stream unread; other requests are served."""
    port = patients.free_port()
    with patients.upstream(tmp_path, port, "silent"):
        options = ("--workers", "0", "--upstream", str(port))
        with patients.running(tmp_path, *options) as patient:
            assert ["timed out"] * 3 == [patient.ask("/report", 0.3) for _ in range(3)]
            assert None is patient.ask("/work")
            expected = [(1, 0)] * 3
            waiting.wait_until(
                lambda: patients.sockets(patient.port, "state", "close-wait") == expected,
                within=SOON,
                what="three unread ends",
            )
            assert (0, 50) == patients.sockets(patient.port, "state", "listening")[0]


def test_a_pool_keeps_what_a_closing_upstream_has_closed(tmp_path: pathlib.Path) -> None:
    """Each request is answered, and leaves an outbound CLOSE_WAIT."""
    port = patients.free_port()
    with (
        patients.upstream(tmp_path, port, "closing"),
        patients.running(tmp_path, "--upstream", str(port)) as patient,
    ):
        assert [None] * 5 == [patient.ask("/price") for _ in range(5)]
        ours = ("state", "close-wait", "dport", "=", f":{port}")
        waiting.wait_until(
            lambda: len(patients.listed(*ours)) == 5 or None, within=SOON, what="five in the pool"
        )
        assert [] == patients.sockets(patient.port, "state", "close-wait")


def test_an_upstream_that_is_not_there_is_an_error_and_no_end(tmp_path: pathlib.Path) -> None:
    """502, and the worker takes the next request."""
    with patients.running(tmp_path, "--upstream", str(patients.free_port())) as patient:
        assert ["an error", "an error", None] == [
            patient.ask(path) for path in ("/report", "/price", "/work")
        ]


def test_a_follower_is_served_while_its_connection_is_in_close_wait(tmp_path: pathlib.Path) -> None:
    """The server has read the end, and goes on sending."""
    stop = threading.Event()
    with patients.running(tmp_path, "--workers", "0") as patient:
        thread = threading.Thread(target=followers.follow, args=(patient.port, stop))
        thread.start()
        waiting.wait_until(
            lambda: len(patients.sockets(patient.port, "state", "close-wait")) == 1 or None,
            within=SOON,
            what="a connection in CLOSE_WAIT",
        )
        stop.set()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("cookies", "counter"), [(0, "TcpExtTCPReqQFullDrop"), (1, "TcpExtTCPReqQFullDoCookies")]
)
def test_a_flood_fills_the_syn_queue_and_no_more(tmp_path: pathlib.Path, cookies: int, counter: str) -> None:
    """Up to its limit, with ever new handshakes; what the kernel does then is up to syncookies."""

    def work() -> tuple[int, int]:
        namespaces_of_lab.set_sysctl("net.ipv4.tcp_syncookies", cookies)
        with socket.create_server(("127.0.0.1", 8080), backlog=20) as listener:
            options = ("--port", "8080", "--half-open", "60")
            with lifelines.child("lastack.lab.floods", options, said=tmp_path / "flood.log"):
                waiting.wait_until(lambda: counted(counter) > 20 or None, within=SOON, what=counter)
                rows = len(patients.listed("state", "syn-recv"))
                assert listener.fileno() > 0
                return rows, patients.sockets(8080, "state", "listening")[0][0]

    rows, depth = namespaces.alone(work)
    assert (True, 0) == (16 <= rows <= 21, depth)


def counted(name: str) -> int:
    """A counter of the namespace that this thread is in."""
    return int(namespaces.printed("nstat", "-asz", name).split()[-2])


def test_a_stream_is_lines_until_the_connection_ends(tmp_path: pathlib.Path) -> None:
    """They come also to a client that has shut down its half."""
    with (
        patients.running(tmp_path, "--workers", "0") as patient,
        socket.create_connection(("127.0.0.1", patient.port), timeout=10) as client,
    ):
        client.sendall(messages.request("/stream"))
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while b"\n2\n" not in answer:
            answer += client.recv(4096)
    assert answer.endswith(b"\r\n\r\n0\n1\n2\n")
