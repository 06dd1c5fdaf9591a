"""Destroy sockets by their cookies: SOCK_DESTROY of NETLINK_SOCK_DIAG (linux/inet_diag.h, CONFIG_INET_DIAG_DESTROY).

Called by executors.socket_destroys. The kernel ignores the state mask of such a request, so that a socket is named by
its cookie from a dump: what has its addresses now may be another connection. It takes CAP_NET_ADMIN in the network
namespace. What the application sees: a blocked reader of an ESTABLISHED socket gets ECONNABORTED at once; of a
CLOSE_WAIT socket it reads what is left, and then the end.
"""

import dataclasses
import errno
import os
import socket
import struct
from collections.abc import Sequence

from lastack import errors
from lastack.kernel import netlink, netns, socket_tables

_SOCK_DESTROY = 21
_REQUEST_ACKNOWLEDGED = 0x1 | 0x4
_ERROR = 2
_HEADER = struct.Struct("=IHHII")
_CODE = struct.Struct("=i")
_REQUEST = struct.Struct("=BBBxI")
_PORTS = struct.Struct("!HH")
_INTERFACE_AND_COOKIE = struct.Struct("=III")
_TIMEOUT = struct.pack("@ll", 5, 0)
_LARGEST_ANSWER = 4096
_EVERY_STATE = 0xFFFFFFFF


@dataclasses.dataclass(frozen=True, slots=True)
class Named:
    """One socket as a request names it: the family as in its row, 16 raw address bytes each, the cookie.

    `interface` is the device that it is bound to, 0 for none: by another one the kernel does not find it.
    """

    family: int
    local_port: int
    peer_port: int
    local_address: bytes
    peer_address: bytes
    interface: int
    cookie: int


def name(table: socket_tables.SocketTable, index: int) -> Named:
    """The name of row `index`; a v4-mapped row keeps family 10, by which alone the kernel finds it."""
    span = slice(16 * index, 16 * index + 16)
    return Named(
        family=table.families[index],
        local_port=table.local_ports[index],
        peer_port=table.peer_ports[index],
        local_address=bytes(table.local_addresses[span]),
        peer_address=bytes(table.peer_addresses[span]),
        interface=table.interfaces[index],
        cookie=table.cookies[index],
    )


def destroy(path: str, expected: netns.NetNamespace, sockets: Sequence[Named]) -> tuple[bool, ...]:
    """Destroy these sockets in the namespace at `path`, only when it is `expected`; False for one that was not there.

    Raises NotReachable (another namespace: nothing was done), NotPermitted, Unsupported (a kernel without it) or
    KernelReplyError; sockets before the one that failed are destroyed then.
    """
    return netns.call_in(path, lambda: _all(path, expected, sockets))


def _all(path: str, expected: netns.NetNamespace, sockets: Sequence[Named]) -> tuple[bool, ...]:
    found = netns.own()
    if found != expected:
        raise errors.NotReachable(
            f"{path} is network namespace {found.inode}, expected {expected.inode}; no socket was destroyed",
            fix="the member was replaced: look again",
        )
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    try:
        with socket.socket(socket.AF_NETLINK, kind, netlink.NETLINK_SOCK_DIAG) as endpoint:
            endpoint.connect((0, 0))
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEOUT)
            return tuple(_one(endpoint, each, number) for number, each in enumerate(sockets, start=1))
    except BlockingIOError as problem:
        raise errors.KernelReplyError("the kernel did not answer a SOCK_DESTROY within 5 s") from problem
    except OSError as problem:
        raise _refused(problem.errno or errno.EIO) from problem


def _one(endpoint: socket.socket, which: Named, number: int) -> bool:
    """Whether the socket was there and is destroyed."""
    body = request(which)
    header = _HEADER.pack(netlink.HEADER_BYTES + len(body), _SOCK_DESTROY, _REQUEST_ACKNOWLEDGED, number, 0)
    endpoint.send(header + body)
    code = status(endpoint.recv(_LARGEST_ANSWER), number)
    # A connection that ended meanwhile, or whose cookie is another one: not ours to destroy.
    if code in {errno.ENOENT, errno.ESTALE}:
        return False
    if code:
        raise _refused(code)
    return True


def request(which: Named) -> bytes:
    """The body of the request (struct inet_diag_req_v2 with its inet_diag_sockid)."""
    low, high = which.cookie & 0xFFFFFFFF, which.cookie >> 32
    return (
        _REQUEST.pack(which.family, socket.IPPROTO_TCP, 0, _EVERY_STATE)
        + _PORTS.pack(which.local_port, which.peer_port)
        + which.local_address
        + which.peer_address
        + _INTERFACE_AND_COOKIE.pack(which.interface, low, high)
    )


def status(answer: bytes, number: int) -> int:
    """The errno of an acknowledgement, 0 for done. Raises KernelReplyError for anything else."""
    if len(answer) < _HEADER.size + _CODE.size:
        raise errors.KernelReplyError(
            f"an answer of {len(answer)} bytes to SOCK_DESTROY, expected 20 or more"
        )
    _, kind, _, sequence, _ = _HEADER.unpack_from(answer)
    if kind != _ERROR or sequence != number:
        raise errors.KernelReplyError(
            f"an answer of type {kind} with number {sequence} to SOCK_DESTROY, expected type {_ERROR}, number {number}"
        )
    (code,) = _CODE.unpack_from(answer, _HEADER.size)
    return -int(code)


def _refused(code: int) -> errors.WorldError:
    text = f"destroying a socket failed: {os.strerror(code)} ({errno.errorcode.get(code, str(code))})"
    if code in {errno.EPERM, errno.EACCES}:
        return errors.NotPermitted(text, fix="run as root, with CAP_NET_ADMIN in the network namespace")
    if code in {errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EINVAL}:
        return errors.Unsupported(text, fix="it takes a kernel with CONFIG_INET_DIAG_DESTROY")
    return errors.KernelReplyError(text)
