"""The edge to Linux: refuse elsewhere, and make the few system calls that Python 3.11 does not offer.

Called by every other file of kernel. ctypes is loaded with the first system call, not with the import.
"""

import errno
import functools
import os
import sys
from typing import TYPE_CHECKING

from lastack import errors

if TYPE_CHECKING:
    import ctypes

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
CLONE_NEWNS = 0x00020000


def require_linux(platform: str = sys.platform) -> None:
    """Do nothing on Linux; raise `errors.Unsupported` with the next step anywhere else."""
    if platform != "linux":
        raise errors.Unsupported(
            f"this system is {platform!r}; lastack reads sockets from the Linux kernel (4.18 or newer)",
            fix="run lastack on the Linux host, container or virtual machine where the service runs",
        )


def setns(descriptor: int, kind: int) -> None:
    """Move the calling thread (and only it) into the namespace of `descriptor`. Raises OSError."""
    _check(_libc().setns(descriptor, kind), "setns")


def unshare(flags: int) -> None:
    """Give the calling thread new namespaces (CLONE_NEW*). Raises OSError."""
    _check(_libc().unshare(flags), "unshare")


@functools.cache
def _libc() -> "ctypes.CDLL":
    require_linux()
    import ctypes  # here, because a look without namespaces does not need it

    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> None:
    if result != 0:
        import ctypes

        code = ctypes.get_errno() or errno.EINVAL
        raise OSError(code, f"{call}: {os.strerror(code)}")
