"""Reads Go programs, for `readers`."""

import datetime as dt

from lastack.executors.thread_dump import stacks, stopping
from lastack.executors.thread_dump.golang import answers, delve, fetching
from lastack.policy import valid


class ProfileReader:
    """By the profile that the program serves itself."""

    passive = False

    def begin(self, pid: int, settings: valid.ThreadDump, now: dt.timedelta) -> fetching.Fetching:
        """Ask its own listeners."""
        del settings, now  # goroutines are stopped for microseconds, by the program itself
        return fetching.Fetching(pid)

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """The text of the profile."""
        return answers.read(raw, pid=pid, parent=parent, command=command, at=at)


class DelveReader:
    """By delve, which stops the whole program: only where the policy allows that, and delve is installed."""

    passive = False

    def begin(self, pid: int, settings: valid.ThreadDump, now: dt.timedelta) -> stopping.Stopping:
        """Start the child that asks delve."""
        del now  # no signal is sent
        return delve.begin(pid, settings.max_pause)

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """In the words of the profile."""
        return answers.read(raw, pid=pid, parent=parent, command=command, at=at)
