"""Children that cannot outlive the process that started them. Called by scenarios' runner, demo and by the children.

Three nets: an orderly end stops the child's whole process group; a parent that dies without one (SIGKILL) takes the
child along by PR_SET_PDEATHSIG; a parent that died before the child could ask for that is noticed by its pid.
"""

import contextlib
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

from lastack import interruptions
from lastack.kernel import linux

_PR_SET_PDEATHSIG = 1
_GRACE_SECONDS = 4.0


def end_with(parent: int) -> None:
    """Called by a child first of all: the kernel kills this process when the thread that started it ends."""
    linux.require_linux()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


@contextlib.contextmanager
def child(
    module: str, arguments: Sequence[str], *, said: pathlib.Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """A running `python -m MODULE ARGUMENTS --parent PID` in a process group of its own; stopped when the block ends.

    What it prints goes to the file `said`. The caller's thread must live as long as the block.
    """
    command = [sys.executable, "-m", module, *arguments, "--parent", str(os.getpid())]
    with contextlib.ExitStack() as stack:
        with said.open("ab") as log, interruptions.held_back():
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
            stack.callback(stop, process)
        yield process


def stop(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM, some patience, then SIGKILL to the whole group. Nothing happens to what has ended already."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
