"""A service among many processes: what looks at it cost, and what `lastack diagnose` does.

Started by the crowded_host case as `python -m benchmarks.crowding PROCESSES LISTENERS look|diagnose`, in a pid
namespace of its own, so that the processes of the machine do not count. With `look` it speaks the protocol of
c_reference.c: of each line the answer is the CPU microseconds of so many rounds of looks, then those of the very
first look, of a deep one, a cheap one and one of a tick of `run`. With `diagnose` it writes one JSON document.
"""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from lastack import ports
from lastack.engine import samples
from lastack.kernel import clocks, features, netns
from lastack.sensors import sampler

_FIRST_PORT = 10_000
_FILES_EACH = 10
_KINDS = (
    ports.Selection(deep=True),
    ports.Selection(),
    ports.Selection(pids=frozenset({samples.Pid(os.getpid())})),
)


def main() -> None:
    """Make processes and listeners, then look."""
    processes, listeners = map(int, sys.argv[1:3])
    netns.unshare_net()
    with _sleepers(processes), contextlib.ExitStack() as stack:
        for number in range(listeners):
            stack.enter_context(socket.create_server(("127.0.0.1", _FIRST_PORT + number)))
        if sys.argv[3] == "diagnose":
            print(json.dumps(_diagnose(listeners)))
        else:
            _look()


def _look() -> None:
    """Answer line after line."""
    eye = sampler.SocketSampler(clocks.SystemClock(), features.probe())
    first = _microseconds(eye, _KINDS[0], 1)
    for line in sys.stdin:
        times = int(line)
        kinds = [_microseconds(eye, kind, times) for kind in _KINDS]
        print(sum(kinds) * times, first, *kinds, flush=True)


def _microseconds(eye: sampler.SocketSampler, kind: ports.Selection, times: int) -> int:
    """CPU time of one look."""
    begun = time.process_time_ns()
    for _ in range(times):
        eye.look(kind)
    return (time.process_time_ns() - begun) // 1000 // times


def _diagnose(listeners: int) -> dict[str, float]:
    """CPU and wall time of the whole program, with its window of 5 s; the answer must hold every listener."""
    program = pathlib.Path(sys.executable).parent / "lastack"
    begun = time.monotonic()
    process = subprocess.Popen([str(program), "diagnose", "-o", "json"], stdout=subprocess.PIPE)
    assert process.stdout is not None  # noqa: S101 - asked for in the line before
    answer = json.load(process.stdout)
    _, _, used = os.wait4(process.pid, 0)
    process.returncode = 0
    if len(answer["items"]) != listeners:
        raise RuntimeError(f"diagnose saw {len(answer['items'])} listeners, made were {listeners}")
    return {
        "cpuMs": (used.ru_utime + used.ru_stime) * 1000,
        "wallMs": (time.monotonic() - begun) * 1000,
    }


@contextlib.contextmanager
def _sleepers(amount: int) -> Iterator[None]:
    """Processes that do nothing, with a few open files each."""
    pids: list[int] = []
    try:
        for _ in range(amount):
            pid = os.fork()
            if pid == 0:
                for _ in range(_FILES_EACH):
                    os.open(os.devnull, os.O_RDONLY)
                signal.pause()
                os._exit(0)
            pids.append(pid)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
