"""Ask after listeners that are known, each by its address and cookie. Called by sock_diag.

A LISTEN dump goes over the kernel's whole table of listeners, which has a place for every megabyte or two of memory up
to 65,536 of them, however few are taken: 40 us on a machine with 16,384 places. Two listeners are found in 10 us.
"""

import socket
import struct
from collections.abc import Collection

from lastack import errors
from lastack.kernel import dump_sockets, inet_diag, listening, netlink

MOST = 8
"""Beyond so many listeners of one namespace a dump is cheaper, or as good."""

_HEADER = struct.Struct("=IHHII")
_REQUEST = 0x1
# struct inet_diag_req_v2: family, protocol, extensions, states; then ports, addresses, interface and cookie.
_WANTED = struct.Struct("=BBBxI")
_PORTS = struct.Struct(">HH")
_REST = struct.Struct("=16xIII")
_TCP = 6
_EVERY_STATE = 0xFFFFFFFF


class Recheck:
    """The same listeners asked after again and again over one socket."""

    def __init__(self, extensions: Collection[inet_diag.Extension]) -> None:
        """Ask for the attributes that the dump was asked for, so that records can be compared."""
        self._extra = sum(1 << (extension - 1) for extension in extensions)
        self._known: tuple[listening.Listener, ...] = ()
        self._messages = b""
        self._before: list[bytes] = []

    def is_unchanged(self, endpoint: dump_sockets.DumpSocket, known: tuple[listening.Listener, ...]) -> bool:
        """Whether every one of them still listens and all that is told of it is the same.

        It says nothing about listeners that are new. False also where it cannot be told; for the same tuple it is then
        not asked again. Raises errors.WorldError when nothing can be sent or received.
        """
        if known is not self._known:
            self._known, self._before = known, []
            self._messages = self._requests(known) if _can_be_asked(known) else b""
        if not self._messages:
            return False
        endpoint.ask(self._messages)
        replies = [endpoint.reply() for _ in known]
        endpoint.finish()
        # What was verified once is not read again.
        if replies != self._before:
            if not all(map(_is_about, replies, known)):
                self._messages = b""
                return False
            self._before = replies
        return True

    def _requests(self, known: tuple[listening.Listener, ...]) -> bytes:
        return b"".join(self._request(each) for each in known)

    def _request(self, listener: listening.Listener) -> bytes:
        """One lookup: the kernel gives the socket that a connection to the address reaches, if its cookie is this."""
        raw = socket.inet_pton(listener.family, "::" if listener.address == "*" else listener.address)
        body = (
            _WANTED.pack(listener.family, _TCP, self._extra, _EVERY_STATE)
            + _PORTS.pack(listener.port, 0)
            + raw.ljust(16, b"\0")
            + _REST.pack(0, listener.cookie & 0xFFFFFFFF, listener.cookie >> 32)
        )
        size = netlink.HEADER_BYTES + len(body)
        head = _HEADER.pack(size, inet_diag.GETSOCK_BY_FAMILY, _REQUEST, netlink.SEQUENCE, 0)
        return head + body


def _can_be_asked(known: tuple[listening.Listener, ...]) -> bool:
    """Few enough, and no two of one address: of siblings (SO_REUSEPORT) a lookup finds any."""
    places = {(each.family, each.address, each.port) for each in known}
    return len(known) <= MOST and len(places) == len(known)


def _is_about(reply: bytes, listener: listening.Listener) -> bool:
    """Whether a datagram is one row, and that of this listener as it was."""
    expected = netlink.Expected(inet_diag.GETSOCK_BY_FAMILY, inet_diag.ATTRIBUTES)
    try:
        length, kind = netlink.message_at(reply, 0, len(reply), expected)
        return kind is netlink.Kind.ROW and length == len(reply) and listening.decode(reply) == listener
    except errors.WorldError:
        return False  # it is gone, or the kernel looks up nothing: the dump that follows says which
