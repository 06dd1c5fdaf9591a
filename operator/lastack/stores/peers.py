"""Who is at the other end of the control socket, for the `actor` of entries. Called by control."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import pwd
import socket
import struct

_CREDENTIALS = struct.Struct("3i")
_NO_LOGIN = 2**32 - 1


@dataclasses.dataclass(frozen=True, slots=True)
class Peer:
    """The process that connected, as the kernel knows it. `login_uid` is who logged in before any sudo."""

    pid: int
    uid: int
    login_uid: int | None

    def __str__(self) -> str:
        login = "" if self.login_uid in (None, self.uid) else f" (login uid {self.login_uid})"
        return f"{_name(self.uid)}{login}, pid {self.pid}"

    @property
    def allowed(self) -> bool:
        """Whether it may ask anything: root, or the user that lastack runs as."""
        return self.uid in (0, os.geteuid())


def peer_of(connection: socket.socket) -> Peer:
    """Ask the kernel who connected."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return Peer(pid, uid, login_uid(pid))


def myself() -> Peer:
    """This process, for a command that writes under the lock itself."""
    return Peer(os.getpid(), os.geteuid(), login_uid(os.getpid()))


def login_uid(pid: int) -> int | None:
    """Who logged in to the session of a process; None when nobody did, or the kernel does not say."""
    try:
        found = int(pathlib.Path(f"/proc/{pid}/loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if found == _NO_LOGIN else found


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
