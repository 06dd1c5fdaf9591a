"""What a control group holds a process to: on layouts of version 1, 2 and both, and in groups of this machine."""

import contextlib
import datetime as dt
import os
import pathlib
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from lastack.engine import samples
from lastack.kernel import cgroup_mounts
from lastack.sensors import groups
from tests import waiting
from tests.sensors import given

NO_QUOTA = "usage_usec 1513\nuser_usec 983\nsystem_usec 530\n"
V2_STAT = NO_QUOTA + "nr_periods {}\nnr_throttled {}\nthrottled_usec 9120\nnr_bursts 0\nburst_usec 0\n"
V1_STAT = "nr_periods {}\nnr_throttled {}\nthrottled_time 9120000\n"
V2_EVENTS = "low 0\nhigh 0\nmax {}\noom 1\noom_kill 0\noom_group_kill 0\n"
PRESSURE = (
    "some avg10=0.00 avg60=0.12 avg300=0.05 total={}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=77\n"
)
UNLIMITED_1 = "9223372036854771712\n"
MIB = 1 << 20

Files = Mapping[str, str]


def _write(root: pathlib.Path, files: Files) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")


def _read(root: pathlib.Path, mounts: Mapping[str, str], text: str) -> groups.Found:
    """With these mounts: controllers -> folder below the root ("" is version 2)."""
    trees = tuple(
        cgroup_mounts.Tree(frozenset(controllers.split(",")), "/", str(root / folder))
        for controllers, folder in mounts.items()
    )
    return groups.GroupReader(trees).read(cgroup_mounts.parse_groups(text))


def _known(found: groups.Found) -> tuple[object, ...]:
    """The fields, None for Missing, with "none" for no limit."""
    assert isinstance(found, samples.GroupSample), found
    limit = "none" if found.memory_limit is None else found.memory_limit
    values = (found.periods, found.throttled_periods, found.memory, limit, found.memory_refused)
    stalled = (
        found.memory_stalled / dt.timedelta(microseconds=1)
        if isinstance(found.memory_stalled, dt.timedelta)
        else None
    )
    return (*(None if isinstance(each, samples.Missing) else each for each in values), stalled)


V2 = {"": ""}
V1 = {"cpu,cpuacct": "cpu", "memory": "memory", "name=systemd": "systemd"}
HYBRID = {**V1, "": "unified"}
POD = "kubepods.slice/kubepods-pod1.slice"


@pytest.mark.parametrize(
    ("mounts", "group", "files", "expected"),
    [
        (
            V2,
            "0::/system.slice/a.service",
            {
                "cpu.stat": NO_QUOTA,
                "system.slice/cpu.stat": V2_STAT.format(0, 0),
                "system.slice/memory.current": "900000",
                "system.slice/memory.max": "max\n",
                "system.slice/memory.events": V2_EVENTS.format(0),
                "system.slice/a.service/cpu.stat": V2_STAT.format(120, 90),
                "system.slice/a.service/memory.current": f"{60 * MIB}\n",
                "system.slice/a.service/memory.max": f"{64 * MIB}\n",
                "system.slice/a.service/memory.events": V2_EVENTS.format(17),
                "system.slice/a.service/memory.pressure": PRESSURE.format(1_234_567),
            },
            (120, 90, 60 * MIB, 64 * MIB, 17, 1_234_567.0),
        ),
        (
            V2,
            f"0::/{POD}/cri-containerd-c.scope",
            {
                "kubepods.slice/cpu.stat": V2_STAT.format(0, 0),
                "kubepods.slice/memory.current": "900000",
                "kubepods.slice/memory.max": f"{4096 * MIB}\n",
                f"{POD}/cpu.stat": V2_STAT.format(50, 40),
                f"{POD}/memory.current": f"{250 * MIB}\n",
                f"{POD}/memory.max": f"{256 * MIB}\n",
                f"{POD}/memory.events": V2_EVENTS.format(3),
                f"{POD}/cri-containerd-c.scope/cpu.stat": V2_STAT.format(50, 2),
                f"{POD}/cri-containerd-c.scope/memory.current": f"{100 * MIB}\n",
                f"{POD}/cri-containerd-c.scope/memory.max": "max\n",
                f"{POD}/cri-containerd-c.scope/memory.events": V2_EVENTS.format(0),
                f"{POD}/cri-containerd-c.scope/memory.pressure": PRESSURE.format(5),
            },
            (50, 40, 250 * MIB, 256 * MIB, 3, 5.0),
        ),
        (
            V2,
            "0::/user.slice",
            {
                "cpu.stat": NO_QUOTA,
                "user.slice/cpu.stat": NO_QUOTA,
                "user.slice/memory.pressure": PRESSURE.format(0),
            },
            (0, 0, None, "none", None, 0.0),
        ),
        (
            V1,
            "4:memory:/docker/c\n1:cpu,cpuacct:/docker/c\n9:name=systemd:/docker/c",
            {
                "cpu/cpu.stat": V1_STAT.format(0, 0),
                "cpu/docker/cpu.stat": V1_STAT.format(0, 0),
                "cpu/docker/c/cpu.stat": V1_STAT.format(200, 150),
                "memory/memory.usage_in_bytes": "7000000",
                "memory/memory.limit_in_bytes": UNLIMITED_1,
                "memory/memory.failcnt": "0\n",
                "memory/docker/c/memory.usage_in_bytes": f"{31 * MIB}\n",
                "memory/docker/c/memory.limit_in_bytes": f"{32 * MIB}\n",
                "memory/docker/c/memory.failcnt": "41\n",
            },
            (200, 150, 31 * MIB, 32 * MIB, 41, None),
        ),
        (
            HYBRID,
            "4:memory:/\n1:cpu,cpuacct:/\n0::/a.slice",
            {
                "cpu/cpu.stat": V1_STAT.format(0, 0),
                "memory/memory.usage_in_bytes": "7000000",
                "memory/memory.limit_in_bytes": UNLIMITED_1,
                "memory/memory.failcnt": "0\n",
                "unified/a.slice/memory.pressure": PRESSURE.format(9),
            },
            (0, 0, 7_000_000, "none", 0, 9.0),
        ),
    ],
    ids=["a unit", "a pod above its container", "no controller", "docker on version 1", "hybrid"],
)
def test_the_group_that_holds_the_process_tightest_counts(
    tmp_path: pathlib.Path,
    mounts: Mapping[str, str],
    group: str,
    files: Files,
    expected: tuple[object, ...],
) -> None:
    """A quota or a limit may stand at the group or at any above it; what nobody counts is missing, not 0."""
    _write(tmp_path, files)
    assert expected == _known(_read(tmp_path, mounts, group))


def test_a_group_that_is_not_mounted_here_is_missing_with_the_next_step(tmp_path: pathlib.Path) -> None:
    """Another container's, seen from inside of one."""
    tree = cgroup_mounts.Tree(frozenset({"cpu"}), "/docker/own", str(tmp_path))
    found = groups.GroupReader((tree,)).read({"cpu": "/docker/other"})
    assert isinstance(found, samples.Missing)
    assert "on the host" in (found.fix or "")


def test_what_vanished_is_missing(tmp_path: pathlib.Path) -> None:
    """A container that ended while it was looked at."""
    found = _read(tmp_path, V2, "0::/gone")
    assert isinstance(found, samples.GroupSample)
    assert isinstance(found.periods, samples.Missing)
    assert isinstance(found.memory, samples.Missing)


def test_a_group_is_read_once_for_all_its_processes(tmp_path: pathlib.Path) -> None:
    """A hundred workers of one service cost what one costs."""
    reader = groups.GroupReader().look()
    with given.forked(lambda: None) as worker:
        assert reader(given.OWN) is reader(samples.Pid(worker))


def _controller(name: str) -> pathlib.Path:
    """Where groups with this controller are made on this machine: its own tree, or that of version 2."""
    trees = cgroup_mounts.read_trees()
    assert isinstance(trees, tuple), trees
    for tree in trees:
        if name in tree.controllers:
            return pathlib.Path(tree.point)
    (unified,) = (pathlib.Path(tree.point) for tree in trees if cgroup_mounts.UNIFIED in tree.controllers)
    (unified / "cgroup.subtree_control").write_text(f"+{name}", encoding="ascii")
    return unified


@contextlib.contextmanager
def _group(controller: str, limits: Mapping[str, str]) -> Iterator[pathlib.Path]:
    """A group of this machine with these limits (as far as its version has them), removed at the end."""
    folder = _controller(controller) / f"lastack-test-{os.getpid()}-{secrets.token_hex(3)}"
    try:
        folder.mkdir()
    except OSError as problem:
        raise AssertionError(f"tests of control groups make one as root: {problem}") from problem
    try:
        for name, value in limits.items():
            if (folder / name).exists():
                (folder / name).write_text(value, encoding="ascii")
        yield folder
    finally:
        # The kernel lets go of a process that has ended a moment later.
        waiting.wait_until(lambda: _removed(folder), within=given.SOON, what=f"{folder} to be empty")


def _removed(folder: pathlib.Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _inside(folder: pathlib.Path, code: str) -> Iterator[samples.Pid]:
    """A program that joins the group before it begins."""
    joining = f"import os; open({str(folder / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
    with subprocess.Popen([sys.executable, "-c", joining + code]) as process:
        try:
            yield samples.Pid(process.pid)
        finally:
            process.kill()


def _sample(pid: samples.Pid) -> samples.GroupSample:
    found = groups.GroupReader().look()(pid)
    assert isinstance(found, samples.GroupSample), found
    return found


def _joined(pid: samples.Pid, folder: pathlib.Path) -> dict[str, str] | None:
    """The groups of the process, once it is in this one."""
    text = pathlib.Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii")
    return cgroup_mounts.parse_groups(text) if folder.name in text else None


def test_a_process_beyond_its_quota_is_throttled() -> None:
    """Real: a tenth of a processor for a loop, and the kernel counts the periods in which it had to wait."""
    quota = {"cpu.cfs_period_us": "20000", "cpu.cfs_quota_us": "2000", "cpu.max": "2000 20000"}
    with _group("cpu", quota) as folder, _inside(folder, "while True: pass") as pid:

        def throttled() -> samples.GroupSample | None:
            found = _sample(pid)
            return found if found.throttled_periods not in {0, 1, 2} else None

        found = waiting.wait_until(throttled, within=given.SOON, what="three throttled periods")
    assert not isinstance(found.periods, samples.Missing)
    assert not isinstance(found.throttled_periods, samples.Missing)
    assert 3 <= found.throttled_periods <= found.periods


def test_a_process_at_its_memory_limit_is_refused() -> None:
    """Real: a file is written through the page cache of a group of 16 MiB, which has to give pages back for it."""
    limits = {"memory.limit_in_bytes": str(16 * MIB), "memory.max": str(16 * MIB)}
    code = (
        "import tempfile, time\n"
        "with tempfile.TemporaryFile(dir='/var/tmp') as file:\n"
        "    for _ in range(64): file.write(bytes(1 << 20))\n"
        "    file.flush()\n"
        "    time.sleep(600)\n"
    )
    with _group("memory", limits) as folder, _inside(folder, code) as pid:
        joined = waiting.wait_until(lambda: _joined(pid, folder), within=given.SOON, what="the group")

        def refused() -> samples.GroupSample | None:
            # By the group and not by the process: where files are kept in memory it is ended for its size.
            found = groups.GroupReader().read(joined)
            assert isinstance(found, samples.GroupSample), found
            return found if found.memory_refused != 0 else None

        found = waiting.wait_until(refused, within=given.SOON, what="a refusal")
    assert not isinstance(found.memory, samples.Missing)
    assert (16 * MIB, True) == (found.memory_limit, 0 < found.memory <= 16 * MIB)


@pytest.mark.parametrize("deep", [True, False])
def test_a_quick_look_reads_groups_only_while_somebody_waits(deep: bool) -> None:
    """A healthy service costs no read of its group; a deep look has it in any case."""

    def work() -> tuple[bool, bool]:
        with given.service() as service:
            eye = given.eye()
            seen = []
            for _ in range(2):
                (process,) = given.look(eye, service, deep=deep).owner.processes
                seen.append(isinstance(process.group, samples.GroupSample))
                service.connect()
            return seen[0], seen[1]

    assert (deep, True) == given.alone(work)
