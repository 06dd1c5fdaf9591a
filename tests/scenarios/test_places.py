"""Where a service listens, who is beside it, and what it is wrapped in change nothing about what is said of it.

All of them ripen side by side: a stall has to be ten seconds old, a leak half a minute.
"""

import contextlib
import dataclasses
import datetime as dt
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests import waiting
from tests.scenarios import grounds

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("honest-servers")]

ROOT = pathlib.Path(__file__).parents[2]
LISTENERS = str(grounds.HERE / "servers" / "listeners.py")
CALLERS = str(grounds.HERE / "servers" / "callers.py")
STALLED_FOR_SECONDS = 11
LEAKING_FOR_SECONDS = 36
CROWD = 100_000
SOON = dt.timedelta(seconds=60)

ADDRESSES = {
    # port: what it is told, who calls, and (address, family) as diagnose shows them
    8001: ("both", "::", "127.0.0.1", ("*", "inet6")),
    8002: ("4", "0.0.0.0", "127.0.0.1", ("0.0.0.0", "inet")),
    8003: ("6", "::", "::1", ("::", "inet6")),
    8004: ("4", "127.0.0.1", "127.0.0.1", ("127.0.0.1", "inet")),
    8005: ("6", "::1", "::1", ("::1", "inet6")),
}
ANSWERING = 100
"""The port of a listener of the same process that answers: this far above the stuck one."""
MAKE_CROWD = """
import sys
from benchmarks import population
with population.held(population.Population.of(int(sys.argv[1]), 0)):
    sys.stdout.write("ready\\n")
    sys.stdout.flush()
    sys.stdin.read()
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """What was said in each place: exit code and document."""

    addresses: tuple[int, dict[str, Any]]
    neighbours: tuple[int, dict[str, Any]]
    crowd: tuple[int, dict[str, Any]]
    container: tuple[int, dict[str, Any]]
    contained: int
    """The pid of the contained service, as the host counts."""


def _listen(ground: grounds.Ground, name: str, *wishes: str) -> subprocess.Popen[str]:
    process = ground.start(sys.executable, LISTENERS, *wishes, name=name)
    waiting.wait_until(lambda: "ready" in ground.said(name), within=SOON, what=f"{name}: {ground.said(name)}")
    return process


def _call(ground: grounds.Ground, manner: str, address: str, port: int, every: float = 0.5) -> None:
    ground.start(sys.executable, CALLERS, manner, address, str(port), str(every), name=f"{manner}-{port}")


def _everywhere(ground: grounds.Ground) -> None:
    """One process with a stuck listener and an answering one at every kind of address."""
    wishes = []
    for port, (family, address, _, _) in ADDRESSES.items():
        wishes += [f"stuck:{family}:{address}:{port}", f"answers:{family}:{address}:{port + ANSWERING}"]
    _listen(ground, "server", *wishes)
    for port, (_, _, address, _) in ADDRESSES.items():
        _call(ground, "wait", address, port)
        _call(ground, "ask", address, port + ANSWERING)


def _neighbours(ground: grounds.Ground) -> None:
    """A stall, a leak and a healthy service in one namespace."""
    _listen(ground, "stuck", "stuck:4:0.0.0.0:8001")
    _listen(ground, "leaking", "leaks:4:0.0.0.0:8002")
    _listen(ground, "well", "answers:4:0.0.0.0:8003")
    _call(ground, "leave", "127.0.0.1", 8002)
    _call(ground, "wait", "127.0.0.1", 8001)
    _call(ground, "ask", "127.0.0.1", 8003)


def _crowded(ground: grounds.Ground) -> None:
    """A small stuck service beside a crowd of healthy sockets."""
    crowd = subprocess.Popen(
        ground.inside(sys.executable, "-c", MAKE_CROWD, str(CROWD)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    ground.stack.callback(crowd.communicate)
    assert crowd.stdout is not None
    assert crowd.stdout.readline() == "ready\n"
    _listen(ground, "server", "stuck:4:0.0.0.0:8001")
    _call(ground, "wait", "127.0.0.1", 8001)


def _contained(ground: grounds.Ground) -> int:
    """A stuck service in process, mount and user-visible namespaces of its own; its pid on the host."""
    wrap = ("unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc")
    process = ground.start(*wrap, sys.executable, LISTENERS, "stuck:4:0.0.0.0:8001", name="server")
    waiting.wait_until(lambda: "ready" in ground.said("server"), within=SOON, what="the container")
    _call(ground, "wait", "127.0.0.1", 8001)
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (inside,) = (int(pid) for pid in children)
    return inside


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Every place with its sick services, diagnosed once each."""
    folder = tmp_path_factory.mktemp("places")
    with contextlib.ExitStack() as stack:

        def ground(name: str) -> grounds.Ground:
            return stack.enter_context(grounds.ground(folder / name))

        addresses, neighbours, crowd, container = map(
            ground, ("addresses", "neighbours", "crowd", "container")
        )
        _neighbours(neighbours)
        leak_begun = time.monotonic()
        _everywhere(addresses)
        inside = _contained(container)
        _crowded(crowd)
        # A stall has to grow old: nothing can be awaited but the time itself.
        time.sleep(STALLED_FOR_SECONDS)
        running = [addresses.begin_diagnosis(), crowd.begin_diagnosis(), container.begin_diagnosis()]
        stalls = [grounds.finished(each) for each in running]
        time.sleep(max(0.0, leak_begun + LEAKING_FOR_SECONDS - time.monotonic()))
        both = grounds.finished(neighbours.begin_diagnosis())
        yield Seen(stalls[0], both, stalls[1], stalls[2], inside)


def _by_port(document: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {item["listener"]["port"]: item for item in document["items"]}


@pytest.mark.parametrize("port", ADDRESSES)
def test_a_listener_is_named_by_its_address_and_judged_alike_at_each(seen: Seen, port: int) -> None:
    """Dual-stack, IPv4, IPv6 only, and loopback of both: the stuck one is stuck, at the address that ss shows."""
    item = _by_port(seen.addresses[1])[port]
    shown = (item["listener"]["address"], item["listener"]["family"])
    assert (ADDRESSES[port][3], "accept-stall", 3) == (
        shown,
        item["code"],
        item["signals"]["acceptQueue.depth"],
    )


@pytest.mark.parametrize("port", ADDRESSES)
def test_listeners_of_one_process_are_judged_each_for_itself(seen: Seen, port: int) -> None:
    """The same process answers at one port and is stuck at another."""
    items = _by_port(seen.addresses[1])
    assert ("healthy", items[port]["member"]) == (
        items[port + ANSWERING]["code"],
        items[port + ANSWERING]["member"],
    )


def test_two_diseases_in_one_namespace_are_told_apart(seen: Seen) -> None:
    """A stall, a leak and a healthy service: three answers, and the exit code of the worst."""
    code, document = seen.neighbours
    items = _by_port(document)
    told = {port: (item["code"], item["severity"]) for port, item in items.items()}
    assert code == 1
    assert {8001: "accept-stall", 8002: "fd-leak", 8003: "healthy"} == {
        port: what for port, (what, _) in told.items()
    }
    assert len({item["member"]["pid"] for item in items.values()}) == 3


def test_a_small_service_is_found_beside_a_hundred_thousand_sockets(seen: Seen) -> None:
    """The crowd is healthy, and hides nobody."""
    _, document = seen.crowd
    sick = [
        (item["listener"]["port"], item["code"]) for item in document["items"] if item["severity"] != "none"
    ]
    assert [(8001, "accept-stall")] == sick
    assert len(document["items"]) > 1


def test_a_contained_service_is_named_as_the_host_knows_it(seen: Seen) -> None:
    """Its pid inside is 1; the answer has the pid of the host, its command and its files."""
    _, document = seen.container
    (item,) = document["items"]
    assert ("accept-stall", [seen.contained], True) == (
        item["code"],
        item["member"]["pids"],
        item["signals"]["openFiles.count"] > 0,
    )
    assert [] == document["missing"]
