"""The numbers of a look are those that ss, nstat and psutil tell of the same sockets, namespace and processes."""

import json
import pathlib
import re
import resource
import socket

import psutil

from lastack.engine import samples
from tests import waiting
from tests.kernel import namespaces
from tests.sensors import given


def _flooded(service: given.Service) -> None:
    """More connections than the queue of the listener holds: the kernel drops and counts."""
    for _ in range(3):
        late = service.stack.enter_context(socket.socket())
        late.setblocking(False)
        late.connect_ex(("127.0.0.1", service.port))


def _dropped_by_ss(port: int) -> list[int]:
    """Depth, limit and drops of a listener, as `ss -ltnm` prints them."""
    row, *_ = namespaces.printed("ss", "-HOltnm", f"sport = :{port}").splitlines()
    words = row.split()
    drops = re.search(r",d(\d+)\)", row)
    assert drops is not None, row
    return [int(words[1]), int(words[2]), int(drops[1])]


def test_queue_limit_and_drops_are_those_of_ss() -> None:
    """Of a listener that overflows; read again until nothing was dropped between the two."""

    def work() -> tuple[list[int], list[int | samples.Missing]]:
        with given.service(backlog=1) as service:
            _flooded(service)
            eye = given.eye()

            def both() -> tuple[list[int], list[int | samples.Missing]] | None:
                before = _dropped_by_ss(service.port)
                listener = given.look(eye, service, deep=False).listener
                after = _dropped_by_ss(service.port)
                found = [listener.depth, listener.limit, listener.drops]
                return (after, found) if before == after and after[2] else None

            return waiting.wait_until(both, within=given.SOON, what="a drop")

    by_ss, sampled = given.alone(work)
    assert by_ss == sampled
    assert [2, 1] == sampled[:2]


def test_the_counters_of_a_namespace_are_those_of_nstat() -> None:
    """Every TcpExt and Tcp counter that nstat knows, in a namespace where something was dropped."""

    def work() -> tuple[dict[str, int], dict[str, int]]:
        with given.service(backlog=0) as service:
            _flooded(service)
            eye = given.eye()

            def both() -> tuple[dict[str, int], dict[str, int]] | None:
                before = _by_nstat()
                counters = given.look(eye, service, deep=False).namespace.counters
                assert not isinstance(counters, samples.Missing)
                after = _by_nstat()
                return (after, dict(counters)) if before == after and after["ListenDrops"] else None

            return waiting.wait_until(both, within=given.SOON, what="two equal readings")

    by_nstat, sampled = given.alone(work)
    assert by_nstat == {name: sampled[name] for name in by_nstat}
    assert 100 < len(by_nstat)


def _by_nstat() -> dict[str, int]:
    """Without the history that nstat keeps in a file."""
    said = json.loads(namespaces.printed("nstat", "--json", "--zeros", "--ignore", "--noupdate"))
    (counters,) = said.values()
    found = {}
    for name, value in counters.items():
        for prefix in ("TcpExt", "Tcp"):
            if name.startswith(prefix):
                found[name.removeprefix(prefix)] = int(value)
                break
    return found


def test_a_process_is_what_psutil_and_the_kernel_say() -> None:
    """Files, threads, state and processor time, of a process that rests."""

    def work() -> tuple[samples.ProcessSample, psutil.Process, list[int]]:
        with given.service() as service, given.forked(lambda: None) as child:
            oracle = psutil.Process(child)
            waiting.wait_until(lambda: oracle.status() == "sleeping", within=given.SOON, what="its rest")
            found = given.look(given.eye(), service, deep=False)
            (process,) = (each for each in found.owner.processes if each.pid == child)
            limit = resource.prlimit(child, resource.RLIMIT_NOFILE)[0]
            files = len(list(pathlib.Path(f"/proc/{child}/fd").iterdir()))
            spent = oracle.cpu_times()
            assert not isinstance(process.cpu, samples.Missing)
            assert abs(process.cpu.total_seconds() - spent.user - spent.system) < 0.1
            assert ("sleeping", "S") == (oracle.status(), process.state)
            return process, oracle, [files, limit, oracle.num_threads()]

    process, oracle, by_kernel = given.alone(work)
    assert by_kernel == [process.open_files, process.open_files_limit, process.threads]
    assert (oracle.pid, given.OWN) == (process.pid, process.parent)
