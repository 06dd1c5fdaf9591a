"""How the lab's service asks the service behind it, with the two defects that such code has. Called by lab.services."""

import socket
import threading

from lastack.lab import messages


class Backend:
    """The other service, on a port of loopback."""

    def __init__(self, port: int) -> None:
        self._address = ("127.0.0.1", port)
        self._lock = threading.Lock()
        self._idle: list[socket.socket] = []

    def ask_without_time_out(self) -> bytes:
        """The one defect: wait for the answer for as long as it takes. Raises OSError when there is nobody."""
        with socket.create_connection(self._address) as connection:
            connection.sendall(messages.request("/price"))
            return connection.recv(4096)

    def ask_from_pool(self) -> bytes:
        """The other defect: a pool that never evicts. Raises OSError when there is nobody.

        Each connection goes into the pool after its answer, to be used again; but the other side closes it, the next
        request makes a new one, and what lies in the pool is never looked at.
        """
        connection = socket.create_connection(self._address)
        connection.sendall(messages.request("/price"))
        answer = connection.recv(4096)
        with self._lock:
            self._idle.append(connection)
        return answer
