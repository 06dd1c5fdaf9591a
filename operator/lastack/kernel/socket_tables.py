"""Sockets as columns: what a full dump gives to sensors.

Called by sock_diag, read by sensors and executors. Around 100 bytes per socket, and no object per row until
one is asked for. A value that the kernel did not give is None, never 0.
"""

import array
import dataclasses
import functools
import socket
import sys
from collections.abc import Iterator

from lastack.kernel import inet_diag, netlink

_MAPPED = bytes(10) + b"\xff\xff"
_ALL_BUT_LISTEN = bytes(0 if state == inet_diag.State.LISTEN else 1 for state in range(256))


@functools.lru_cache(maxsize=1024)
def address_text(family: int, raw: bytes) -> str:
    """The 16 address bytes of a row as people write it; v4-mapped addresses become IPv4."""
    if family == inet_diag.INET:
        return socket.inet_ntop(socket.AF_INET, raw[:4])
    if raw[:12] == _MAPPED:
        return socket.inet_ntop(socket.AF_INET, raw[12:])
    return socket.inet_ntop(socket.AF_INET6, raw)


@dataclasses.dataclass(frozen=True, slots=True)
class OptionalColumn:
    """A column that a row may lack: a value per row, and a byte per row that says whether it counts."""

    values: "array.array[int]"
    present: bytearray

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> int | None:
        """The value of row `index`, None when the kernel did not give one."""
        return self.values[index] if self.present[index] else None


@dataclasses.dataclass(frozen=True, slots=True)
class SocketRow:
    """One socket. Addresses are text (IPv4 for v4-mapped), times are milliseconds, queues are bytes.

    Of a LISTEN row `rqueue` is the depth of its accept queue and `wqueue` its limit, both in connections.
    """

    family: int
    """2 (IPv4) or 10 (IPv6), also when the addresses are v4-mapped: SOCK_DESTROY needs it."""
    state: inet_diag.State
    local_address: str
    local_port: int
    peer_address: str
    peer_port: int
    rqueue: int
    wqueue: int
    inode: int
    """0: no process owns it (not accepted yet)."""
    uid: int
    interface: int
    """Index of the device that it is bound to (SO_BINDTODEVICE, a VRF), 0 for none: SOCK_DESTROY needs it."""
    cookie: int
    """Unique for the life of the socket, per network namespace."""
    timer: int
    """`inet_diag.Timer`; 2 is keep-alive, whose answered probes reset last_ack_recv_ms."""
    expires_ms: int
    last_data_sent_ms: int | None
    """Of a socket that never sent: since it was made."""
    last_data_recv_ms: int | None
    last_ack_recv_ms: int | None
    drops: int | None
    """sk_drops. Of a LISTEN row: every segment that it turned away, stray ones included."""
    cgroup_id: int | None
    v6only: bool | None
    """Only LISTEN rows of family 10 have it."""


@dataclasses.dataclass(slots=True)
class SocketTable:
    """The rows of one dump, as columns of equal length; treat it as read-only.

    Ports are in host order, addresses 16 bytes per row (IPv4 in the first four).
    """

    families: bytearray = dataclasses.field(default_factory=bytearray)
    states: bytearray = dataclasses.field(default_factory=bytearray)
    timers: bytearray = dataclasses.field(default_factory=bytearray)
    local_ports: "array.array[int]" = dataclasses.field(default_factory=lambda: array.array("H"))
    peer_ports: "array.array[int]" = dataclasses.field(default_factory=lambda: array.array("H"))
    local_addresses: bytearray = dataclasses.field(default_factory=bytearray)
    peer_addresses: bytearray = dataclasses.field(default_factory=bytearray)
    cookies: "array.array[int]" = dataclasses.field(default_factory=lambda: array.array("Q"))
    expires_ms: "array.array[int]" = dataclasses.field(default_factory=lambda: array.array("I"))
    rqueues: "array.array[int]" = dataclasses.field(default_factory=lambda: array.array("I"))
    wqueues: "array.array[int]" = dataclasses.field(default_factory=lambda: array.array("I"))
    uids: "array.array[int]" = dataclasses.field(default_factory=lambda: array.array("I"))
    inodes: "array.array[int]" = dataclasses.field(default_factory=lambda: array.array("I"))
    interfaces: "array.array[int]" = dataclasses.field(default_factory=lambda: array.array("I"))
    last_data_sent_ms: OptionalColumn = dataclasses.field(default_factory=lambda: _optional("I"))
    last_data_recv_ms: OptionalColumn = dataclasses.field(default_factory=lambda: _optional("I"))
    last_ack_recv_ms: OptionalColumn = dataclasses.field(default_factory=lambda: _optional("I"))
    drops: OptionalColumn = dataclasses.field(default_factory=lambda: _optional("I"))
    cgroup_ids: OptionalColumn = dataclasses.field(default_factory=lambda: _optional("Q"))
    v6only: OptionalColumn = dataclasses.field(default_factory=lambda: _optional("B"))

    def __len__(self) -> int:
        return len(self.states)

    def __iter__(self) -> Iterator[SocketRow]:
        for index in range(len(self)):
            yield self.row(index)

    def row(self, index: int) -> SocketRow:
        """Row `index`, 0 to len - 1, with its addresses decoded."""
        family = self.families[index]
        v6only = self.v6only[index]
        return SocketRow(
            family=family,
            state=inet_diag.State(self.states[index]),
            local_address=self.local_address(index),
            local_port=self.local_ports[index],
            peer_address=self.peer_address(index),
            peer_port=self.peer_ports[index],
            rqueue=self.rqueues[index],
            wqueue=self.wqueues[index],
            inode=self.inodes[index],
            uid=self.uids[index],
            interface=self.interfaces[index],
            cookie=self.cookies[index],
            timer=self.timers[index],
            expires_ms=self.expires_ms[index],
            last_data_sent_ms=self.last_data_sent_ms[index],
            last_data_recv_ms=self.last_data_recv_ms[index],
            last_ack_recv_ms=self.last_ack_recv_ms[index],
            drops=self.drops[index],
            cgroup_id=self.cgroup_ids[index],
            v6only=None if v6only is None else bool(v6only),
        )

    def local_address(self, index: int) -> str:
        """The local address of row `index` as text."""
        return address_text(self.families[index], bytes(self.local_addresses[16 * index : 16 * index + 16]))

    def peer_address(self, index: int) -> str:
        """The peer address of row `index` as text."""
        return address_text(self.families[index], bytes(self.peer_addresses[16 * index : 16 * index + 16]))

    def peer(self, index: int) -> str:
        """The peer of row `index` as ADDRESS:PORT; IPv6 in brackets, v4-mapped as IPv4."""
        address = self.peer_address(index)
        host = f"[{address}]" if ":" in address else address
        return f"{host}:{self.peer_ports[index]}"

    def add(self, row: SocketRow) -> None:
        """Add one row that came from elsewhere than a dump."""
        for name in (
            "state",
            "timer",
            "rqueue",
            "wqueue",
            "inode",
            "uid",
            "interface",
            "local_port",
            "peer_port",
            "cookie",
        ):
            getattr(self, f"{name}s").append(getattr(row, name))
        self.families.append(row.family)
        self.expires_ms.append(row.expires_ms)
        self.local_addresses += _address_bytes(row.family, row.local_address)
        self.peer_addresses += _address_bytes(row.family, row.peer_address)
        for column, value in (
            (self.last_data_sent_ms, row.last_data_sent_ms),
            (self.last_data_recv_ms, row.last_data_recv_ms),
            (self.last_ack_recv_ms, row.last_ack_recv_ms),
            (self.drops, row.drops),
            (self.cgroup_ids, row.cgroup_id),
            (self.v6only, row.v6only),
        ):
            column.values.append(value or 0)
            column.present.append(value is not None)

    def append(self, block: netlink.Block) -> None:
        """Add the rows of a block. Raises KernelReplyError when an attribute is malformed."""
        for part, layout in inet_diag.by_layout(block):
            self._append_fixed(part)
            self._append_attributes(part, layout)

    def _append_fixed(self, block: netlink.Block) -> None:
        self.families += block.plane(inet_diag.FAMILY)
        self.states += block.plane(inet_diag.STATE)
        self.timers += block.plane(inet_diag.TIMER)
        self.local_ports.frombytes(_port_bytes(block, inet_diag.LOCAL_PORT))
        self.peer_ports.frombytes(_port_bytes(block, inet_diag.PEER_PORT))
        self.local_addresses += _gather(block, inet_diag.LOCAL_ADDRESS, 16)
        self.peer_addresses += _gather(block, inet_diag.PEER_ADDRESS, 16)
        self.cookies.frombytes(_cookie_bytes(block))
        for column, offset in (
            (self.expires_ms, inet_diag.EXPIRES),
            (self.rqueues, inet_diag.RQUEUE),
            (self.wqueues, inet_diag.WQUEUE),
            (self.uids, inet_diag.UID),
            (self.inodes, inet_diag.INODE),
            (self.interfaces, inet_diag.INTERFACE),
        ):
            column.frombytes(_gather(block, offset, 4))

    def _append_attributes(self, block: netlink.Block, layout: inet_diag.Layout) -> None:
        word, attribute = layout.word, inet_diag.Attribute
        every = b"\1" * block.count
        # The tcp_info of a LISTEN row leaves the ages at 0: they were never written (tcp_get_info).
        aged = block.plane(inet_diag.STATE).translate(_ALL_BUT_LISTEN)
        for column, offset, present in (
            (self.last_data_sent_ms, word(attribute.TCP_INFO, inet_diag.TCP_INFO_LAST_DATA_SENT), aged),
            (self.last_data_recv_ms, word(attribute.TCP_INFO, inet_diag.TCP_INFO_LAST_DATA_RECV), aged),
            (self.last_ack_recv_ms, word(attribute.TCP_INFO, inet_diag.TCP_INFO_LAST_ACK_RECV), aged),
            (self.drops, word(attribute.SKMEMINFO, inet_diag.SKMEMINFO_DROPS), every),
            (self.cgroup_ids, word(attribute.CGROUP_ID, 0, 8), every),
            (self.v6only, word(attribute.SKV6ONLY, 0, 1), every),
        ):
            width = column.values.itemsize
            if offset is None:
                column.values.frombytes(bytes(width * block.count))
                column.present.extend(bytes(block.count))
            else:
                column.values.frombytes(_gather(block, offset, width))
                column.present.extend(present)


def _address_bytes(family: int, text: str) -> bytes:
    """The 16 bytes of a row again: the other way of address_text."""
    if ":" in text:
        return socket.inet_pton(socket.AF_INET6, text)
    raw = socket.inet_pton(socket.AF_INET, text)
    return raw + bytes(12) if family == inet_diag.INET else _MAPPED + raw


def _optional(kind: str) -> OptionalColumn:
    return OptionalColumn(array.array(kind), bytearray())


def _gather(block: netlink.Block, offset: int, width: int) -> bytearray:
    """`width` bytes at `offset` of every row, one row after another."""
    joined = bytearray(width * block.count)
    for at in range(width):
        joined[at::width] = block.plane(offset + at)
    return joined


def _port_bytes(block: netlink.Block, offset: int) -> bytearray:
    """Ports of every row, from network order to that of this machine."""
    joined = _gather(block, offset, 2)
    if sys.byteorder == "little":
        joined[0::2], joined[1::2] = joined[1::2], joined[0::2]
    return joined


def _cookie_bytes(block: netlink.Block) -> bytearray:
    """Cookies as 64-bit words: the kernel sends the low half first on every machine."""
    joined = _gather(block, inet_diag.COOKIE, 8)
    if sys.byteorder == "big":
        halves = memoryview(bytes(joined)).cast("I")
        words = memoryview(joined).cast("I")
        words[0::2], words[1::2] = halves[1::2], halves[0::2]
    return joined
