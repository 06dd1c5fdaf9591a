"""The edge to Linux: refuse elsewhere, and make the few system calls that Python 3.11 does not offer.

Called by every other file of kernel. ctypes is loaded with the first system call, not with the import.
"""

import errno
import os
import sys

from lastack import errors

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000


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


def _call(name: str, *arguments: int) -> None:
    """One system call that returns 0 or sets errno."""
    require_linux()
    import ctypes  # here, because a look without namespaces does not need it

    if ctypes.CDLL(None, use_errno=True)[name](*arguments) != 0:
        code = ctypes.get_errno() or errno.EINVAL
        raise OSError(code, os.strerror(code))
