"""The edge to Linux: refuse elsewhere, and make the few system calls that Python 3.11 does not offer.

Called by every other file of kernel. ctypes is loaded with the first system call, not with the import.
"""

import errno
import functools
import os
import sys
from collections.abc import Callable

from lastack import errors

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
_PIDFD_GETFD = 438
"""The same on every machine that Python runs on with Linux, but Alpha."""


def require_linux(platform: str = sys.platform) -> None:
    """Do nothing on Linux; raise `errors.Unsupported` with the next step anywhere else."""
    if platform != "linux":
        raise errors.Unsupported(
            f"this system is {platform!r}; lastack reads sockets from the Linux kernel (4.18 or newer)",
            fix="run lastack on the Linux host, container or virtual machine where the service runs",
        )


def setns(descriptor: int, kind: int) -> None:
    """Move the calling thread (and only it) into the namespace of `descriptor`. Raises OSError."""
    _call("setns", descriptor, kind)


def unshare(flags: int) -> None:
    """Give the calling thread new namespaces (CLONE_NEW*). Raises OSError."""
    _call("unshare", flags)


def pidfd_getfd(process: int, descriptor: int) -> int:
    """A duplicate of a descriptor of the process behind a pidfd, closed on exec. Raises OSError (kernel 5.6)."""
    return _raw_call()(_PIDFD_GETFD, process, descriptor, 0)


@functools.cache
def _raw_call() -> Callable[..., int]:
    """syscall(2) with errno as OSError; glibc has names for the newer calls only since 2.36."""
    require_linux()
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long

    def call(number: int, *arguments: int) -> int:
        result: int = library.syscall(ctypes.c_long(number), *(ctypes.c_long(each) for each in arguments))
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result

    return call


def _call(name: str, *arguments: int) -> None:
    """One system call that returns 0 or sets errno."""
    require_linux()
    import ctypes  # here, because a look without namespaces does not need it

    if ctypes.CDLL(None, use_errno=True)[name](*arguments) != 0:
        code = ctypes.get_errno() or errno.EINVAL
        raise OSError(code, os.strerror(code))
