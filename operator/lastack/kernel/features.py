"""What this kernel offers, asked once at the start and passed on as a value.

Called by bootstrap; everybody else receives the value, so that a test can withhold each feature with
`dataclasses.replace`. What a missing feature costs is said at its field.
"""

import dataclasses
import os
import re
import socket

from lastack import errors
from lastack.kernel import inet_diag, linux, sock_diag

_PIDFD_GETFD_SINCE = (5, 6)


@dataclasses.dataclass(frozen=True, slots=True)
class Features:
    """Kernel features; each is False where it is absent or could not be confirmed."""

    release: str
    """As in `uname -r`."""
    counted_descriptors: bool
    """stat(/proc/PID/fd) counts (6.2); else the folder is listed."""
    pidfd: bool
    """pidfd_open (5.3); else pid and start time are compared before an act."""
    pidfd_getfd: bool
    """A socket of another process can be asked what became of it (5.6); else dead ones are Missing."""
    tcp_info: bool
    """Ages of sockets; else they are Missing."""
    skmeminfo: bool
    """Drops per listener; else they are Missing."""
    cgroup_ids: bool
    """Rows carry a group of version 2 that says something; else unit and container come by inode and pid."""
    one_walk: bool
    """One dump for both address families; else two."""

    @property
    def extensions(self) -> frozenset[inet_diag.Extension]:
        """The extensions that may be asked for."""
        offered = {inet_diag.Extension.TCP_INFO: self.tcp_info, inet_diag.Extension.SKMEMINFO: self.skmeminfo}
        return frozenset(extension for extension, present in offered.items() if present)


def probe() -> Features:
    """Ask the kernel. Raises Unsupported where it is not Linux, NotPermitted where netlink is forbidden."""
    linux.require_linux()
    present = _row_attributes()
    return Features(
        release=os.uname().release,
        counted_descriptors=_counts_descriptors(),
        pidfd=_has_pidfd(),
        pidfd_getfd=_has_pidfd_getfd(os.uname().release),
        tcp_info=inet_diag.Attribute.TCP_INFO in present,
        skmeminfo=inet_diag.Attribute.SKMEMINFO in present,
        cgroup_ids=present.get(inet_diag.Attribute.CGROUP_ID, 0) > 1,
        one_walk=_walks_once(),
    )


def _row_attributes() -> dict[int, int]:
    """The attributes of the row of a listener that we make for a moment (its group id for CGROUP_ID).

    Group 1 is the root, which every socket belongs to where version 2 manages nothing.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listener:
        try:
            listener.bind(("127.0.0.1", 0))
        except OSError as problem:
            raise errors.NotReachable(
                f"cannot listen on 127.0.0.1 to see what the kernel tells: {problem.strerror}",
                fix="set the loopback interface up: ip link set lo up",
            ) from problem
        listener.listen(1)
        port = listener.getsockname()[1]
        with sock_diag.SockDiag.open() as reader:
            return reader.attributes_of_listener(port)


def _counts_descriptors() -> bool:
    """This process has open files, so a count of 0 is none."""
    return os.stat("/proc/self/fd").st_size > 0


def _has_pidfd() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def _has_pidfd_getfd(release: str) -> bool:
    """By the release: Python has no name for the call, and to load ctypes for a question costs every start."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return found is not None and (int(found[1]), int(found[2])) >= _PIDFD_GETFD_SINCE


def _walks_once() -> bool:
    with sock_diag.SockDiag.open() as reader:
        reader.sockets({inet_diag.State.LISTEN}, ports={0})
        return reader.one_walk
