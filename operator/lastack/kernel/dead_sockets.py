"""TCP sockets that a process still has open although their connection is over: they are in no table of the kernel.

A reset ends a connection whoever has it open: the row goes, the descriptor stays until somebody closes it. What is not
in a table may be a socket of another protocol, or one that was just made, as well. Only the socket itself can tell, so
a duplicate of it is asked, which takes the right to trace the process. It still knows whom it was connected to.
Called by sensors.
"""

import errno
import fcntl
import os
import socket
import struct
import termios
from collections.abc import Collection, Iterable, Mapping

from lastack.engine import samples
from lastack.kernel import inet_diag, linux, procfs, socket_tables

_PROTOCOL = "system.sockprotoname"
_TCP_NAMES = frozenset({b"TCP", b"TCPv6"})
_TCP_INFO_BYTES = 100
_RECEIVE_SPACE = 96
"""tcpi_rcv_space: 0 until a connection is established. What was refused has no ages either."""
# asm-generic/socket.h; Python 3.11 has no names for them.
_SO_PEERNAME, _SO_COOKIE, _SO_NETNS_COOKIE = 28, 57, 71
# linux/sockios.h: opens the network namespace of a socket.
_SIOCGSKNS = 0x894C
# The kernel wants exactly the size of an address; its length says which one it is.
_ADDRESS_BYTES: Mapping[int, int] = {socket.AF_INET: 16, socket.AF_INET6: 28}

_BARRED = samples.Missing(
    "not permitted: needs CAP_SYS_PTRACE, and in a container a seccomp profile that allows pidfd_getfd",
    "run as root, or grant CAP_SYS_PTRACE",
)


def suspects(pid: int, held: Mapping[int, int], listed: Collection[int]) -> dict[int, int]:
    """Of the sockets that a process holds (descriptors.sockets) those of TCP that are not `listed` in a table."""
    return {inode: at for inode, at in held.items() if inode not in listed and _may_be_tcp(pid, at)}


def examine(pid: int, those: Iterable[int]) -> socket_tables.SocketTable | samples.Missing:
    """Those of the descriptors of a process whose connection is over, as rows in CLOSE with TCP_INFO's ages.

    `rqueue` are the bytes that came and that the process has not read. What was closed meanwhile, is alive, was never
    connected or belongs to another network namespace than the calling thread's is left out.
    """
    table = socket_tables.SocketTable()
    try:
        handle = os.pidfd_open(pid)
    except OSError as problem:
        return procfs.missing(problem, f"process {pid}")
    own = _own_namespace()
    try:
        for descriptor in those:
            row = _examined(handle, descriptor, own)
            if row is not None:
                table.add(row)
    except PermissionError:
        return _BARRED
    except OSError as problem:
        return procfs.missing(problem, f"a socket of process {pid}")
    finally:
        os.close(handle)
    return table


def _may_be_tcp(pid: int, descriptor: int) -> bool:
    """What the kernel calls its protocol, as lsof shows it; where it does not tell, the socket itself is asked."""
    try:
        name = os.getxattr(f"/proc/{pid}/fd/{descriptor}", _PROTOCOL)
    except OSError as problem:
        return problem.errno not in {errno.ENOENT, errno.ESRCH}
    return name.rstrip(b"\0") in _TCP_NAMES


def _examined(handle: int, descriptor: int, own: bytes | int | None) -> socket_tables.SocketRow | None:
    """The row of a dead socket. Raises OSError where the process may not be traced."""
    try:
        duplicate = linux.pidfd_getfd(handle, descriptor)
    except OSError as problem:
        if problem.errno == errno.EBADF:
            return None  # closed meanwhile
        raise
    try:
        asked = socket.socket(fileno=duplicate)
    except OSError:
        os.close(duplicate)
        return None  # the descriptor is no socket any more
    with asked:
        return _row(asked, own)


def _row(asked: socket.socket, own: bytes | int | None) -> socket_tables.SocketRow | None:
    size = _ADDRESS_BYTES.get(asked.family)
    if size is None or asked.type != socket.SOCK_STREAM or asked.proto != socket.IPPROTO_TCP:
        return None
    try:
        told = asked.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        if told[0] != inet_diag.State.CLOSE or not _word(told, _RECEIVE_SPACE) or _namespace(asked) != own:
            return None
        peer = asked.getsockopt(socket.SOL_SOCKET, _SO_PEERNAME, size)
        (cookie,) = struct.unpack("=Q", asked.getsockopt(socket.SOL_SOCKET, _SO_COOKIE, 8))
        (unread,) = struct.unpack("=i", fcntl.ioctl(asked, termios.FIONREAD, bytes(4)))
        local_address, local_port, *_ = asked.getsockname()
    except OSError:
        return None  # ENOTCONN: never connected, or made ready for another connection
    at = 4 if size == 16 else 8
    return socket_tables.SocketRow(
        family=int(asked.family),
        state=inet_diag.State.CLOSE,
        local_address=_plain(local_address),
        local_port=local_port,
        peer_address=socket_tables.address_text(int(asked.family), peer[at : at + 16]),
        peer_port=int.from_bytes(peer[2:4], "big"),
        rqueue=unread,
        wqueue=0,
        inode=os.fstat(asked.fileno()).st_ino,
        uid=0,
        interface=0,
        cookie=cookie,
        timer=inet_diag.Timer.NONE,
        expires_ms=0,
        last_data_sent_ms=_word(told, inet_diag.TCP_INFO_LAST_DATA_SENT),
        last_data_recv_ms=_word(told, inet_diag.TCP_INFO_LAST_DATA_RECV),
        last_ack_recv_ms=_word(told, inet_diag.TCP_INFO_LAST_ACK_RECV),
        drops=None,
        cgroup_id=None,
        v6only=None,
    )


def _word(told: bytes, at: int) -> int:
    word: int = struct.unpack_from("=I", told, at)[0]
    return word


def _plain(address: str) -> str:
    """Without the scope of a link-local address; v4-mapped as IPv4."""
    return address.partition("%")[0].removeprefix("::ffff:") if "." in address else address.partition("%")[0]


def _own_namespace() -> bytes | int | None:
    with socket.socket(socket.AF_UNIX) as own:
        return _namespace(own)


def _namespace(asked: socket.socket) -> bytes | int | None:
    """A name of the socket's network namespace: its cookie, before kernel 5.14 its inode.

    None, and all count as one, where the kernel does not tell: the inode takes CAP_NET_ADMIN there.
    """
    try:
        return asked.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
    except OSError:
        pass
    try:
        opened = fcntl.ioctl(asked, _SIOCGSKNS)
    except OSError:
        return None
    try:
        return os.fstat(opened).st_ino
    finally:
        os.close(opened)
