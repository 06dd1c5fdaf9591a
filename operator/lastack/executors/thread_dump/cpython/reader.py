"""Reads CPython programs, for `readers`."""

import datetime as dt
import pathlib

from lastack.executors.thread_dump import stacks
from lastack.executors.thread_dump.cpython import answers, py_spy
from lastack.policy import valid


class Reader:
    """By py-spy, from outside. Where it may not look, nobody may."""

    passive = False

    def __init__(self, program: pathlib.Path | None = None) -> None:
        """`program` is py-spy; None finds it when it is needed."""
        self._program = program

    def begin(self, pid: int, settings: valid.ThreadDump, now: dt.timedelta) -> py_spy.Dumping:
        """Start py-spy. Raises Unsupported where it is not installed."""
        del now  # nothing about it is dangerous to a young process
        return py_spy.Dumping(self._program or py_spy.find_program(), pid, settings.max_pause)

    def read(self, raw: bytes, *, pid: int, parent: int, command: str, at: dt.datetime) -> stacks.ProcessDump:
        """Its JSON."""
        return answers.read(raw, pid=pid, parent=parent, command=command, at=at)
