"""In which system call a thread stands, and on which descriptor: /proc/PID/task/TID/syscall.

Called by sensors to find the socket that a stuck worker waits for, in any runtime with threads. Nothing is stopped:
the kernel answers from what it saved when the thread went to sleep. It asks for the right to trace the process.
"""

import dataclasses
import os
import struct
from collections.abc import Callable

from lastack.engine import samples
from lastack.kernel import call_numbers, procfs

_POLLFD = struct.Struct("=ihh")
_MOST_SELECTED = 1024
"""FD_SETSIZE: a wider set is not what select(2) was made for."""
_LINE = 512
_ELF_64 = 2
_ELF_CLASS_AT = 4

Memory = Callable[[int, int], bytes | None]
"""`size` bytes at an address of the thread's process; None where they cannot be read."""


@dataclasses.dataclass(frozen=True, slots=True)
class BlockedCall:
    """The system call in which a thread sleeps.

    `name` is None for a call that is not known here, and for a thread that sleeps outside of one (number -1: a page
    fault, a tracer). `descriptor` is the only one that it waits for, None where there are none or several.
    """

    number: int
    name: str | None
    descriptor: int | None


def of_thread(pid: int, tid: int, *, machine: str | None = None) -> BlockedCall | samples.Missing | None:
    """The call in which a thread is blocked; None while it runs or is ready to run (the kernel says `running`)."""
    path = f"/proc/{pid}/task/{tid}/syscall"
    try:
        # One read: the line is short, and this is done for hundreds of threads.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = os.read(descriptor, _LINE)
        finally:
            os.close(descriptor)
    except OSError as problem:
        return procfs.missing(problem, path)
    return parse(content.decode(), machine or os.uname().machine, memory_of(pid))


def memory_of(pid: int) -> Memory:
    """A reader of the memory of a process."""

    def read(address: int, size: int) -> bytes | None:
        try:
            descriptor = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return os.pread(descriptor, size, address)
        except (OSError, OverflowError):
            return None
        finally:
            os.close(descriptor)

    return read


def is_foreign(pid: int) -> bool:
    """Whether the program is a 32-bit one, whose calls have numbers of their own; False where nobody can tell."""
    try:
        descriptor = os.open(f"/proc/{pid}/exe", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        head = os.pread(descriptor, _ELF_CLASS_AT + 1, 0)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return head[:4] == b"\x7fELF" and head[_ELF_CLASS_AT:] != bytes([_ELF_64])


def parse(text: str, machine: str, memory: Memory) -> BlockedCall | samples.Missing | None:
    """Read the file: `running`, or a number (-1: blocked outside a call) and six arguments in hex.

    What poll and select wait for stands in `memory`, which is asked for nothing else.
    """
    words = text.split()
    if words[:1] == ["running"]:
        return None
    try:
        number = int(words[0])
        names = call_numbers.NUMBERS[machine]
        arguments = [int(word, 16) for word in words[1:7]] if number >= 0 else []
        name = names.get(number)
        return BlockedCall(number, name, _descriptor(name, arguments, memory))
    except KeyError:
        return samples.Missing(f"the system call numbers of {machine} are not known")
    except (IndexError, ValueError):
        return samples.Missing(f"a system call line of a shape that is not known: {text[:60]!r}")


def _descriptor(name: str | None, arguments: list[int], memory: Memory) -> int | None:
    if name in call_numbers.ON_DESCRIPTOR:
        # Descriptors are 32 bits; the register may carry anything above.
        return arguments[0] & 0x7FFFFFFF
    if name in call_numbers.POLLS:
        # As Java 17 (timed reads) and Python (sockets with a time-out) wait: for one descriptor.
        content = memory(arguments[0], _POLLFD.size) if arguments[1] == 1 else None
        if content is None or len(content) != _POLLFD.size:
            return None
        (descriptor, _, _) = _POLLFD.unpack(content)
        return descriptor if descriptor >= 0 else None
    if name in call_numbers.SELECTS:
        return _selected(arguments, memory)
    return None


def _selected(arguments: list[int], memory: Memory) -> int | None:
    """The only descriptor of three bit fields."""
    width = arguments[0] & 0xFFFFFFFF
    if not 0 < width <= _MOST_SELECTED:
        return None
    size = (width + 63) // 64 * 8
    found = 0
    for address in arguments[1:4]:
        content = memory(address, size) if address else b""
        if content is None:
            return None
        found |= int.from_bytes(content, "little")
    found &= (1 << width) - 1
    return found.bit_length() - 1 if found.bit_count() == 1 else None
