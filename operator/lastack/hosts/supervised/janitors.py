"""The janitor: a second process that outlives a supervisor by the blink that it takes to kill what is left.

A supervisor that ends in an orderly way stops its members itself. One that is killed with SIGKILL cannot; the
janitor then sees the end of its pipe and kills every process group that was announced and not taken back.
Started by `supervisor`.
"""

import contextlib
import os
import signal


class Janitor:
    """Knows which process groups must not survive this process."""

    def __init__(self) -> None:
        """Fork the janitor; the process must have a single thread."""
        reader, self._writer = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._writer)
            _wait_and_kill(reader)
        os.close(reader)

    def announce(self, group: int) -> None:
        """`group` lives now."""
        self._tell(f"+{group}\n")

    def take_back(self, group: int) -> None:
        """Nothing of `group` is left."""
        self._tell(f"-{group}\n")

    def dismiss(self) -> None:
        """End the janitor (it kills what was announced and not taken back) and wait for it."""
        os.close(self._writer)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def _tell(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._writer, line.encode())


def _wait_and_kill(reader: int) -> None:
    # Ctrl-C and a signal to the supervisor's whole group are for the supervisor.
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    with os.fdopen(reader, "r", encoding="ascii") as lines:
        for line in lines:
            group = int(line[1:])
            groups = groups | {group} if line[0] == "+" else groups - {group}
    for group in groups:
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)
    os._exit(0)
