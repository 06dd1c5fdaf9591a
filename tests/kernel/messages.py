"""Netlink messages as the kernel writes them, made by hand; used by the codec tests."""

import socket
import struct

ROW_TYPE, SEQUENCE = 18, 1


def message(kind: int, payload: bytes, *, sequence: int = SEQUENCE, flags: int = 2) -> bytes:
    """One message with its header, padded to four bytes."""
    length = 16 + len(payload)
    return struct.pack("=IHHII", length, kind, flags, sequence, 0) + payload + bytes(-length % 4)


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded."""
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def row(
    *,
    port: int = 8080,
    peer_port: int = 50000,
    inode: int = 0,
    rqueue: int = 0,
    wqueue: int = 0,
    state: int = 8,
    family: int = socket.AF_INET,
    local: str = "127.0.0.1",
    peer: str = "127.0.0.2",
    cookie: int = 1,
    attributes: bytes = b"",
    sequence: int = SEQUENCE,
    flags: int = 2,
) -> bytes:
    """One socket."""
    addresses = b"".join(socket.inet_pton(family, text).ljust(16, b"\0") for text in (local, peer))
    payload = struct.pack("=BBBB", family, state, 0, 0) + struct.pack("!HH", port, peer_port) + addresses
    payload += struct.pack("=III", 0, cookie & 0xFFFFFFFF, cookie >> 32)
    payload += struct.pack("=IIIII", 0, rqueue, wqueue, 1000, inode)
    return message(ROW_TYPE, payload + attributes, sequence=sequence, flags=flags)


def done(status: int = 0, *, sequence: int = SEQUENCE) -> bytes:
    """The end of a dump."""
    return message(3, struct.pack("=i", status), sequence=sequence)


def error(code: int, echoed: bytes, *, sequence: int = SEQUENCE) -> bytes:
    """An error, which echoes the request and so looks like a row."""
    return message(2, struct.pack("=i", -code) + echoed, sequence=sequence)
