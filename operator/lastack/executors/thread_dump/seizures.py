"""Stop one thread for a moment and read its registers, without a signal (x86-64). Called by `v8_child`.

PTRACE_SEIZE and PTRACE_INTERRUPT leave nothing on its way, as the SIGSTOP of PTRACE_ATTACH would: when the one that
holds the thread is killed, the kernel lets it go on as it was (ptrace(2)).
"""

import contextlib
import ctypes
import dataclasses
import os
import struct
from collections.abc import Iterator

_GETREGS, _DETACH, _SEIZE, _INTERRUPT = 12, 17, 0x4206, 0x4207
_WALL = 0x40000000
_EVENT_STOP = 128
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


class Ended(Exception):
    """The thread ended."""


@contextlib.contextmanager
def stopped(thread: int) -> Iterator[Registers]:
    """It stands in the block, and goes on afterwards. Raises OSError where that is not permitted; Ended."""
    _ptrace(_SEIZE, thread)
    signal_left = 0
    try:
        _ptrace(_INTERRUPT, thread)
        _, status = os.waitpid(thread, _WALL)
        if not os.WIFSTOPPED(status):
            raise Ended
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


def _ptrace(request: int, thread: int, data: object = None) -> None:
    function = ctypes.CDLL(None, use_errno=True).ptrace
    function.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    function.restype = ctypes.c_long
    if function(request, thread, None, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
