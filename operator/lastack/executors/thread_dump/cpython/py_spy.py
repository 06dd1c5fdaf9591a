"""Run py-spy on one process, for a bounded time and without stopping the process. Used by `reader`.

py-spy reads the process's memory from outside. Without stopping it, a read may catch a stack in motion and fail;
it is then tried again, and only in the end with a stop, which lasts at most `max_pause`: py-spy is killed then, and
`pauses` sees to it that the process goes on.
"""

import datetime as dt
import pathlib
import shutil
import subprocess
import sys
import tempfile

from lastack import errors
from lastack.executors.thread_dump import pauses

_WITHIN = dt.timedelta(seconds=10)
_WITHOUT_STOP = 3
_MOST_WORDS = 300


def find_program() -> pathlib.Path:
    """The py-spy beside the running interpreter, else on the PATH. Raises Unsupported with how to get it."""
    beside = pathlib.Path(sys.executable).with_name("py-spy")
    if beside.exists():
        return beside
    found = shutil.which("py-spy")
    if found is None:
        raise errors.Unsupported(
            "py-spy, which reads the threads of Python programs, is not installed",
            fix=f"{sys.executable} -m pip install 'lastack[python-dumps]'",
        )
    return pathlib.Path(found)


class Dumping:
    """One dump that is being taken; close() ends it early."""

    def __init__(self, program: pathlib.Path, pid: int, max_pause: dt.timedelta) -> None:
        """Start the first attempt. Raises Unsupported when the program cannot be run."""
        self._program = program
        self._pid = pid
        self._footing = pauses.footing(pid)
        self._may_stop = False
        limits = [(True, _WITHIN)] * _WITHOUT_STOP
        may_stop = max_pause > dt.timedelta(0) and pauses.may_be_restored(self._footing)
        self._left = [*limits, (False, max_pause)] if may_stop else limits
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives from the first attempt to close()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - the same
        self._process: subprocess.Popen[bytes] | None = None
        self._within = _WITHIN
        self._attempt()

    def wait(self, within: dt.timedelta) -> bytes | None:
        """py-spy's JSON, or None when it is not there `within` this time: call again.

        Raises NotPermitted or NotReachable with what py-spy said in the end.
        """
        assert self._process is not None  # noqa: S101 - an attempt runs from the start to the end
        span = min(within, self._within)
        try:
            status = self._process.wait(span.total_seconds())
        except subprocess.TimeoutExpired:
            self._within -= span
            if self._within > dt.timedelta(0):
                return None
            self._end()
            status = None
        if status == 0:
            self._output.seek(0)
            return self._output.read()
        words = self._words() if status is not None else "it did not end in time"
        if "ermission" in words or not self._left:
            raise self._failure(words)
        self._attempt()
        return None

    def close(self) -> None:
        """End it and forget what it said; the process runs on as before. Raises NotReachable where it does not."""
        try:
            self._end()
        finally:
            self._output.close()
            self._said.close()

    def _end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
            if self._may_stop:
                pauses.restore(self._footing)

    def _attempt(self) -> None:
        without_stop, self._within = self._left.pop(0)
        self._may_stop = not without_stop
        for file in (self._output, self._said):
            file.seek(0)
            file.truncate()
        argv = [str(self._program), "dump", "--pid", str(self._pid), "--json"]
        try:
            self._process = subprocess.Popen(
                argv + ["--nonblocking"] * without_stop,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._said,
                # A stack of Rust frames for each failure is of no use to anybody here.
                env={"PATH": "/usr/bin:/bin", "RUST_BACKTRACE": "0", "RUST_LIB_BACKTRACE": "0"},
            )
        except OSError as problem:
            raise errors.Unsupported(f"{self._program} cannot be run: {problem}") from problem

    def _words(self) -> str:
        self._said.seek(0)
        text = self._said.read().decode(errors="replace").partition("Stack backtrace:")[0]
        return " ".join(text.split())[:_MOST_WORDS]

    def _failure(self, words: str) -> errors.WorldError:
        if "ermission" in words:
            return errors.NotPermitted(
                f"not permitted to read the threads of process {self._pid}",
                fix="run as root, or with CAP_SYS_PTRACE; kernel.yama.ptrace_scope above 0 asks for it too",
            )
        return errors.NotReachable(f"py-spy could not read process {self._pid}: {words}")
