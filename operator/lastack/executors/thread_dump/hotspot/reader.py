"""Reads HotSpot Java virtual machines, for `readers`."""

import datetime as dt

from lastack.executors.thread_dump import stacks
from lastack.executors.thread_dump.hotspot import answers, attach
from lastack.policy import valid


class Reader:
    """By attach, as jcmd does; the pause is the JVM's own safepoint."""

    passive = False

    def begin(self, pid: int, settings: valid.ThreadDump, now: dt.timedelta) -> attach.Asking:
        """Ask for it, where that is safe."""
        del settings  # a safepoint is some milliseconds and cannot be bounded from outside
        return attach.Asking(pid, now)

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """The text of Thread.print."""
        return answers.read(raw, pid=pid, parent=parent, command=command, at=at)
