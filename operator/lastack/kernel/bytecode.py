"""The kernel's own filter language for socket dumps (INET_DIAG_REQ_BYTECODE), as far as we speak it.

Called by sock_diag to have only the rows of some local ports built and copied. The kernel audits every
program and refuses a wrong one with EINVAL (net/ipv4/inet_diag.c, inet_diag_bc_audit).
"""

import struct
from collections.abc import Collection

# Each port takes 12 bytes and a jump is 16 bits wide; beyond this a dump without a filter is cheaper anyway.
MOST_PORTS = 1024

_OPERATION = struct.Struct("=BBH")
_JUMP, _SOURCE_EQUALS = 1, 11
_STEP = 12
_REFUSE = 4
"""So many bytes beyond the end of a program mean refuse; its end means accept."""


def local_ports(ports: Collection[int]) -> bytes:
    """A program that accepts exactly the sockets with one of these local ports (1 to 1024 of them).

    Per port: "source port equals N? go on : skip to the next port", N, "jump to the end". An end beyond the
    program by four bytes means refuse, the end itself means accept. Raises ValueError outside the bounds.
    """
    return _program(ports, accepting=True)


def other_ports(ports: Collection[int]) -> bytes:
    """A program that accepts exactly the sockets with none of these local ports (1 to 1024 of them).

    Raises ValueError outside the bounds.
    """
    return _program(ports, accepting=False)


def _program(ports: Collection[int], *, accepting: bool) -> bytes:
    distinct = sorted(set(ports))
    if not 1 <= len(distinct) <= MOST_PORTS:
        raise ValueError(f"{len(distinct)} ports to filter by, expected 1 to {MOST_PORTS}")
    if distinct[0] < 0 or distinct[-1] > 65535:
        raise ValueError(f"ports {distinct[0]} to {distinct[-1]}, expected 0 to 65535")
    size = len(distinct) * _STEP
    found, not_found = (0, _REFUSE) if accepting else (_REFUSE, 0)
    program = bytearray()
    for index, port in enumerate(distinct):
        left = size - index * _STEP
        otherwise = _STEP if left > _STEP else left + not_found
        program += _OPERATION.pack(_SOURCE_EQUALS, 8, otherwise)
        program += _OPERATION.pack(0, 0, port)
        program += _OPERATION.pack(_JUMP, 4, left - 8 + found)
    return bytes(program)
