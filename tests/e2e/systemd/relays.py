"""A system bus that can be cut: a socket that relays to the box's own bus. Used by scenarios.

lastack finds it by DBUS_SYSTEM_BUS_ADDRESS. It makes exact points in time out of what is a matter of luck otherwise:
a restart that was asked for and never arrives, or one that happens and is never answered.
"""

from __future__ import annotations

import contextlib
import enum
import pathlib
import socket
import threading
from types import TracebackType
from typing import Self

RESTART = b"TryRestartUnit"


class Cut(enum.Enum):
    """What becomes of the call that asks for a restart, and of everything after it."""

    BEFORE_IT_ARRIVES = "the call never reaches systemd"
    BEFORE_IT_IS_ANSWERED = "the call reaches systemd, and nothing comes back any more"


class Relay:
    """Listens at `path` (as the machine sees it) and relays to `bus`, until the first restart is asked for."""

    def __init__(self, path: pathlib.Path, bus: pathlib.Path, cut: Cut) -> None:
        self.asked = threading.Event()
        """Set when a restart was asked for; from then on nothing is relayed."""
        self._bus = bus
        self._cut = cut
        self._ends: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()

    def __enter__(self) -> Self:
        """Begin."""
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything; the threads end with their sockets."""
        for end in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                bus = socket.socket(socket.AF_UNIX)
                bus.connect(str(self._bus))
                self._ends += [client, bus]
                for source, sink in ((client, bus), (bus, client)):
                    threading.Thread(target=self._relay, args=(source, sink), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                last = RESTART in part
                if last and self._cut is Cut.BEFORE_IT_ARRIVES:
                    self.asked.set()
                if self.asked.is_set():
                    continue
                if last:
                    self.asked.set()
                sink.sendall(part)
            sink.shutdown(socket.SHUT_WR)
