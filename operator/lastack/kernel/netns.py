"""Network namespaces: which one, work inside one, and one of our own.

Called by sensors and executors (namespace of a pid or path) and by lab, tests and benchmarks (`unshare_net`).

Ownership: a descriptor of /proc/PID/ns/net, and every netlink socket opened in a namespace, keeps that
namespace alive after its last process. This file keeps none: the descriptor is closed before a call returns,
and what `open_sock_diag` returns belongs to the caller, who closes it when the member is gone.
"""

import dataclasses
import errno
import os
import pathlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import TypeVar

from lastack import errors
from lastack.kernel import inet_diag, linux, listening, sock_diag

_Result = TypeVar("_Result")

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


@dataclasses.dataclass(frozen=True, slots=True)
class NetNamespace:
    """The identity of a network namespace while it lives; `ls -l /proc/PID/ns` shows the inode."""

    device: int
    inode: int


def path_of(pid: int | str) -> str:
    """Where the namespace of a process stands; `self` and `thread-self` are allowed."""
    return f"/proc/{pid}/ns/net"


def identify(path: str) -> NetNamespace:
    """The identity of the namespace at a path (/proc/PID/ns/net, /run/netns/NAME).

    Raises NotReachable when it is gone or no namespace, NotPermitted without the right to see it.
    """
    linux.require_linux()
    try:
        found = os.stat(path)
    except OSError as problem:
        raise _unreachable(path, problem) from problem
    return NetNamespace(found.st_dev, found.st_ino)


def own() -> NetNamespace:
    """The namespace of the calling thread."""
    return identify(path_of("thread-self"))


def call_in(path: str, work: Callable[[], _Result]) -> _Result:
    """Run `work` inside the namespace at `path`, in a thread of its own that ends afterwards.

    setns moves one thread; the caller's is never moved, so that nothing can leave it in the wrong place.
    Raises NotReachable, NotPermitted, and whatever `work` raises.
    """
    linux.require_linux()
    results: list[_Result] = []
    problems: list[BaseException] = []

    def enter_and_work() -> None:
        try:
            _enter(path)
            results.append(work())
        except BaseException as problem:  # noqa: BLE001 - handed to the caller's thread, raised there
            problems.append(problem)

    thread = threading.Thread(target=enter_and_work, name="lastack-netns")
    thread.start()
    thread.join()
    if problems:
        raise problems[0]
    return results[0]


def open_sock_diag(
    path: str,
    *,
    offered: sock_diag.Offered = frozenset(inet_diag.Extension),
    one_walk: bool = True,
    known: listening.Known | None = None,
    buffer: bytearray | None = None,
) -> sock_diag.SockDiag:
    """A reader of the namespace at `path`; the caller closes it. Raises NotReachable, NotPermitted."""
    return call_in(
        path,
        lambda: sock_diag.SockDiag.open(offered=offered, one_walk=one_walk, known=known, buffer=buffer),
    )


def unshare_net() -> None:
    """Move this process into a network namespace of its own, with loopback up.

    Without CAP_SYS_ADMIN a user namespace is made first, in which the caller is root; the process must then
    have a single thread. Raises NotPermitted where the system forbids it, with what to do.
    """
    linux.require_linux()
    user, group = os.geteuid(), os.getegid()
    try:
        linux.unshare(linux.CLONE_NEWNET)
    except PermissionError:
        _unshare_user_and_net(user, group)
    raise_loopback()


def raise_loopback() -> None:
    """Set the interface `lo` of the calling thread's namespace up. Raises NotPermitted."""
    import fcntl  # here, because systems that are not Unix lack it

    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
            (_, flags) = struct.unpack(
                "16sh", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, struct.pack("16sh", b"lo", 0))
            )
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | _IFF_UP))
    except PermissionError as problem:
        raise errors.NotPermitted(
            f"cannot set lo up: {problem}", fix="needs CAP_NET_ADMIN in this namespace"
        ) from problem


def _enter(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as problem:
        raise _unreachable(path, problem) from problem
    try:
        linux.setns(descriptor, linux.CLONE_NEWNET)
    except OSError as problem:
        raise _unreachable(path, problem) from problem
    finally:
        os.close(descriptor)


def _unshare_user_and_net(user: int, group: int) -> None:
    try:
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNET)
        pathlib.Path("/proc/self/setgroups").write_text("deny", encoding="utf-8")
        pathlib.Path("/proc/self/uid_map").write_text(f"0 {user} 1", encoding="utf-8")
        pathlib.Path("/proc/self/gid_map").write_text(f"0 {group} 1", encoding="utf-8")
    except OSError as problem:
        raise errors.NotPermitted(
            f"this system does not let an ordinary user make a network namespace ({problem})",
            fix="run as root, or allow it: sysctl kernel.unprivileged_userns_clone=1, "
            "kernel.apparmor_restrict_unprivileged_userns=0, user.max_user_namespaces > 0",
        ) from problem


def _unreachable(path: str, problem: OSError) -> errors.WorldError:
    if problem.errno in {errno.EPERM, errno.EACCES}:
        return errors.NotPermitted(
            f"not permitted to use the network namespace {path}",
            fix="run as root, or with CAP_SYS_PTRACE (to see it) and CAP_SYS_ADMIN (to enter it)",
        )
    if problem.errno == errno.EINVAL:
        return errors.NotReachable(
            f"{path} is not a network namespace", fix="give a pid or a file under /run/netns"
        )
    return errors.NotReachable(
        f"the network namespace {path} is not there: {problem.strerror}",
        fix="the process has ended, or the path is wrong: `ip netns list` and `lsns -t net` show what exists",
    )
