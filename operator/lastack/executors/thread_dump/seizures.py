"""Stop one thread for a moment and read its registers, without a signal (x86-64). Called by the child of `node`.

PTRACE_SEIZE and PTRACE_INTERRUPT leave nothing on its way, as the SIGSTOP of PTRACE_ATTACH would: when the one that
holds the thread is killed, the kernel lets it go on as it was (ptrace(2)).
"""

import contextlib
import ctypes
import dataclasses
import os
import struct
import time
from collections.abc import Callable, Iterator

_GETREGS, _DETACH, _SEIZE, _INTERRUPT = 12, 17, 0x4206, 0x4207
_WALL = 0x40000000
_EVENT_STOP = 128
_WITHIN_SECONDS = 3.0
_LOOK_EVERY_SECONDS = 0.0002
_REGISTERS = struct.Struct("<27Q")
_R12, _RBP, _R9, _RIP, _RSP = 3, 4, 8, 16, 19
"""Places in user_regs_struct."""


@dataclasses.dataclass(frozen=True, slots=True)
class Registers:
    """What is needed of them."""

    rip: int
    rsp: int
    rbp: int
    r9: int
    r12: int


class Late(Exception):
    """It did not get to the point at which it would have stopped."""


class Ended(Exception):
    """The thread ended."""


@contextlib.contextmanager
def stopped(thread: int, runs_still: Callable[[], None]) -> Iterator[Registers]:
    """It stands in the block, and goes on afterwards. Raises OSError where that is not permitted; Ended.

    `runs_still` is called before it is asked to stop and whenever it has not yet: one that waits for a processor stops
    when it gets one, and does not stand until then. Raises Late when that takes too long.
    """
    _ptrace(_SEIZE, thread)
    signal_left = 0
    try:
        runs_still()
        _ptrace(_INTERRUPT, thread)
        status = _stop_of(thread, runs_still)
        if status >> 16 != _EVENT_STOP:
            # It stands before a signal of its own, which it gets when it goes on.
            signal_left = os.WSTOPSIG(status)
        content = ctypes.create_string_buffer(_REGISTERS.size)
        _ptrace(_GETREGS, thread, content)
        values = _REGISTERS.unpack(content.raw)
        yield Registers(values[_RIP], values[_RSP], values[_RBP], values[_R9], values[_R12])
    finally:
        with contextlib.suppress(OSError):
            _ptrace(_DETACH, thread, signal_left)


def _stop_of(thread: int, runs_still: Callable[[], None]) -> int:
    deadline = time.monotonic() + _WITHIN_SECONDS
    while True:
        runs_still()
        found, status = os.waitpid(thread, os.WNOHANG | _WALL)
        if found:
            if not os.WIFSTOPPED(status):
                raise Ended
            return status
        if time.monotonic() > deadline:
            raise Late
        time.sleep(_LOOK_EVERY_SECONDS)


def _ptrace(request: int, thread: int, data: object = None) -> None:
    function = ctypes.CDLL(None, use_errno=True).ptrace
    function.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    function.restype = ctypes.c_long
    if function(request, thread, None, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
