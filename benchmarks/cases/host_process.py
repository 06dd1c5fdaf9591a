"""Memory of the host process that watches 100,000 sockets of which 2 % are in CLOSE_WAIT, and whether it stays flat."""

import contextlib
import dataclasses
import json
import pathlib
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from benchmarks import measuring
from lastack.hosts.supervised import launches, specs
from lastack.kernel import netns
from lastack.policy import loading, valid

_SOCKETS = 100_000
_PERCENT = 2
_WARM = 50
_TICKS = 500
_GOAL_MB = 45.0
GOAL_GROWTH = 1.1
"""Flat: over 3,000 ticks the allocator alone moved the figure between 36.7 and 39.6 MB, up and down."""
_READY_SECONDS = 120.0


def measure() -> list[measuring.Row]:
    """Two rows: PSS against the goal in MB, and PSS after 500 ticks against that after 50."""
    first, last = watch([_WARM, _TICKS])
    size = f"{_SOCKETS:,} sockets, {_PERCENT} %"
    megabytes = last["pssKib"] / 1024
    cpu = (last["cpuMs"] - first["cpuMs"]) / (_TICKS - _WARM)
    return [
        measuring.Row("host process, PSS against 45 MB", size, megabytes, _GOAL_MB, "MB", 1.0),
        measuring.Row(
            f"host process, PSS after {_TICKS} ticks",
            size,
            megabytes,
            first["pssKib"] / 1024,
            "MB",
            GOAL_GROWTH,
        ),
        measuring.Row("host process, CPU of a tick", size, cpu, 1.0, "ms", None),
    ]


def watch(marks: Sequence[int]) -> list[dict[str, int]]:
    """Run the host process in a namespace of its own and give its figures at these tick counts."""
    netns.unshare_net()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        ready, policy_file = folder / "ready", folder / "policy.pickle"
        policy_file.write_bytes(pickle.dumps(_policy()))
        argv = (sys.executable, "-m", "benchmarks.crowd", str(_SOCKETS), str(_PERCENT), str(ready))
        member = specs.MemberSpec("crowd", argv, cwd=str(measuring.ROOT))
        with launches.launched(folder, (member,)) as socket, contextlib.ExitStack() as stack:
            _wait_for(ready)
            command = [sys.executable, "-m", "benchmarks.watching", str(socket), str(policy_file)]
            said = stack.enter_context((folder / "said").open("wb"))
            arguments = [str(folder / "state"), *(str(mark) for mark in marks)]
            done = subprocess.run(
                [*command, *arguments], cwd=measuring.ROOT, stdout=subprocess.PIPE, stderr=said, check=False
            )
            if done.returncode != 0:
                raise RuntimeError((folder / "said").read_text(encoding="utf-8")[-2000:])
    return [json.loads(line) for line in done.stdout.splitlines()]


def _wait_for(ready: pathlib.Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not ready.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{_SOCKETS} sockets did not stand within {_READY_SECONDS:g} s")
        time.sleep(0.1)


def _policy() -> valid.Policy:
    """The shipped origin policy, observing, on the crowd."""
    text = (measuring.ROOT / "policies" / "origin.yaml").read_bytes()
    policy = loading.load({"policies/origin.yaml": text}).policies[0]
    return dataclasses.replace(policy, target=valid.SupervisedTarget("crowd"), ports=frozenset())
