"""LISTEN dumps: every listener of a namespace, decoded once and known again by its bytes. Called by sock_diag.

A listener that nothing happens to is the same record look after look, so a record is decoded when its bytes are new.
A whole datagram that is the same as at the look before is not even cut into records, and an answer that is the same
as a whole is the same tuple: `is` tells that nothing has changed.
"""

import dataclasses
import operator
import struct
from collections.abc import Iterable

from lastack import errors
from lastack.kernel import dump_sockets, inet_diag, netlink, socket_tables

_LENGTH = struct.Struct("=I")
_WORD = struct.Struct("=I")
_GROUP = struct.Struct("=Q")
# Family and state; local port and address; cookie (low half first on every machine); queue, limit, uid, inode.
_FIXED = struct.Struct("=16xBB2x2s2x16s16x4xII4xIIII")
_LEAST_REMEMBERED = 1024
_EVERY_STATE = frozenset(inet_diag.State)


@dataclasses.dataclass(frozen=True, slots=True)
class Listener:
    """One listening socket; SO_REUSEPORT siblings are a row each."""

    family: int
    """2 (IPv4) or 10 (IPv6)."""
    address: str
    """`*` for both families, `0.0.0.0`, `::` for IPv6 only, or one address."""
    port: int
    depth: int
    """Connections that wait for accept()."""
    limit: int
    """min(backlog, somaxconn) when listen() ran; the kernel drops above limit + 1."""
    drops: int | None
    """sk_drops: every segment this socket turned away, stray ones included; None: the kernel did not say."""
    inode: int
    uid: int
    cookie: int
    cgroup_id: int | None


_in_order = operator.attrgetter("port", "address", "inode")


class Known:
    """Records that were decoded before, by their bytes; one thread's readers of many namespaces may share it.

    Two generations bound it: what was not met since the last turn is forgotten with the next.
    """

    def __init__(self) -> None:
        """Know nothing."""
        self._young: dict[bytes, Listener | None] = {}
        self._old: dict[bytes, Listener | None] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def cut(self, raw: bytes, expected: netlink.Expected) -> tuple[tuple[Listener, ...], bool]:
        """The listeners of one datagram, and whether the dump is complete.

        Bytes that are known were verified when they were met first. Raises as netlink.split does.
        """
        young, old = self._young, self._old
        found: list[Listener] = []
        at, size, done, rows = 0, len(raw), False, 0
        while at < size and not done:
            if size - at < netlink.HEADER_BYTES:
                netlink.message_at(raw, at, size, expected)
            (length,) = _LENGTH.unpack_from(raw, at)
            record = raw[at : at + length]
            if record in young:
                listener = young[record]
            elif record in old:
                listener = young[record] = old[record]
            else:
                length, kind = netlink.message_at(raw, at, size, expected)
                listener = None
                if kind is netlink.Kind.ROW:
                    listener = young[record] = decode(record)
                done = kind is netlink.Kind.END
            if listener is not None:
                found.append(listener)
            rows += 1
            at += (length + 3) & ~3
        if len(young) > max(_LEAST_REMEMBERED, 2 * rows):
            self._young, self._old = {}, young
        return tuple(found), done


@dataclasses.dataclass(frozen=True, slots=True)
class _Reply:
    """One datagram of an answer and what stands in it."""

    raw: bytes
    listeners: tuple[Listener, ...]
    done: bool


class Question:
    """One LISTEN dump that is asked again and again over one socket."""

    def __init__(self, known: Known) -> None:
        """Decode by `known`."""
        self._known = known
        self._replies: list[_Reply] = []
        self._answer: tuple[Listener, ...] = ()

    def ask(
        self, endpoint: dump_sockets.DumpSocket, requests: Iterable[netlink.Request]
    ) -> tuple[Listener, ...]:
        """The listeners by port, address and inode; the tuple of the time before when nothing has changed.

        There is one request for both address families, or one for each.
        Raises errors.WorldError; what was remembered still holds then.
        """
        replies: list[_Reply] = []
        for request in requests:
            endpoint.ask(request.message)
            done = False
            while not done:
                replies.append(self._reply(endpoint.reply(), len(replies), request.expected))
                done = replies[-1].done
            endpoint.finish()
        # Those that are the same are also the same objects, so that this compares little more than their number.
        if replies != self._replies:
            found = [listener for reply in replies for listener in reply.listeners]
            self._answer = tuple(sorted(found, key=_in_order))
            self._replies = replies
        return self._answer

    def _reply(self, raw: bytes, place: int, expected: netlink.Expected) -> _Reply:
        """What a datagram says; the reply of the time before when its bytes are the same."""
        if place < len(self._replies) and self._replies[place].raw == raw:
            return self._replies[place]
        return _Reply(raw, *self._known.cut(raw, expected))


def decode(record: bytes) -> Listener | None:
    """The listener of a row with a verified header; None when it has left LISTEN while the kernel wrote it.

    Raises KernelReplyError when an attribute is malformed or the state does not exist.
    """
    family, state, port, raw, low, high, depth, limit, uid, inode = _FIXED.unpack_from(record)
    if state != inet_diag.State.LISTEN:
        if state in _EVERY_STATE:
            return None
        raise errors.KernelReplyError(f"a socket row in state {state}, expected 1 to 11")
    layout = inet_diag.layout_of(record, 0)
    drops = layout.word(inet_diag.Attribute.SKMEMINFO, inet_diag.SKMEMINFO_DROPS)
    group = layout.word(inet_diag.Attribute.CGROUP_ID, 0, 8)
    v6only = layout.word(inet_diag.Attribute.SKV6ONLY, 0, 1)
    address = socket_tables.address_text(family, raw)
    if address == "::" and v6only is not None and not record[v6only]:
        address = "*"
    return Listener(
        family=family,
        address=address,
        port=int.from_bytes(port, "big"),
        depth=depth,
        limit=limit,
        drops=None if drops is None else _WORD.unpack_from(record, drops)[0],
        inode=inode,
        uid=uid,
        cookie=low | high << 32,
        cgroup_id=None if group is None else _GROUP.unpack_from(record, group)[0],
    )
