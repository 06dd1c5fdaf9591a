"""In which system call a thread stands, and on which descriptor: /proc/PID/task/TID/syscall.

Called by sensors to find the socket that a stuck worker waits for, in any runtime with threads.
"""

import dataclasses
import os

from lastack.engine import samples
from lastack.kernel import procfs

# Calls whose first argument is the one descriptor that they wait for; by the machine's own numbers.
_WAITING: dict[str, dict[int, str]] = {
    "x86_64": {
        0: "read",
        1: "write",
        17: "pread64",
        19: "readv",
        20: "writev",
        42: "connect",
        43: "accept",
        44: "sendto",
        45: "recvfrom",
        46: "sendmsg",
        47: "recvmsg",
        232: "epoll_wait",
        281: "epoll_pwait",
        288: "accept4",
        299: "recvmmsg",
        307: "sendmmsg",
        441: "epoll_pwait2",
    },
    "aarch64": {
        22: "epoll_pwait",
        63: "read",
        64: "write",
        65: "readv",
        66: "writev",
        67: "pread64",
        202: "accept",
        203: "connect",
        206: "sendto",
        207: "recvfrom",
        211: "sendmsg",
        212: "recvmsg",
        242: "accept4",
        243: "recvmmsg",
        269: "sendmmsg",
        441: "epoll_pwait2",
    },
}


@dataclasses.dataclass(frozen=True, slots=True)
class BlockedCall:
    """The system call in which a thread sleeps.

    `name` and `descriptor` are None for a call that waits for no single descriptor.
    """

    number: int
    name: str | None
    descriptor: int | None


def of_thread(pid: int, tid: int, *, machine: str | None = None) -> BlockedCall | samples.Missing | None:
    """The call in which a thread is blocked; None when it runs on a processor (the kernel says `running`)."""
    content = procfs.read(f"/proc/{pid}/task/{tid}/syscall")
    if isinstance(content, samples.Missing):
        return content
    return parse(content.decode(), machine or os.uname().machine)


def parse(text: str, machine: str) -> BlockedCall | samples.Missing | None:
    """Read the file: `running`, or a number (-1: blocked outside a call) and six arguments in hex."""
    words = text.split()
    if words[:1] == ["running"]:
        return None
    try:
        number = int(words[0])
        names = _WAITING[machine]
        first = int(words[1], 16) if number >= 0 else 0
    except KeyError:
        return samples.Missing(f"the system call numbers of {machine} are not known")
    except (IndexError, ValueError):
        return samples.Missing(f"a system call line of a shape that is not known: {text[:60]!r}")
    name = names.get(number)
    # Descriptors are 32 bits; the register may carry anything above.
    return BlockedCall(number, name, first & 0x7FFFFFFF if name is not None else None)
