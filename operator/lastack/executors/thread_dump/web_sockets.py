"""Text messages over a WebSocket (RFC 6455), the client's side, bounded in time and room. Used by `inspector_child`.

Only what the inspector of Node.js speaks: no extensions, no binary messages, one connection.
"""

import base64
import json
import os
import socket
import struct
import time
from typing import Any

_TEXT, _CONTINUED, _CLOSE, _PING, _PONG = 0x1, 0x0, 0x8, 0x9, 0xA
_FINAL, _MASKED = 0x80, 0x80
_LENGTH, _SHORT, _LONG = 0x7F, 126, 127
_LONGEST_HEAD = 16384


class Broken(Exception):
    """The other side ended, was too late, or said what is no WebSocket."""


class Stream:
    """One TCP connection; everything on it ends at `deadline` (monotonic) and after `most_bytes`."""

    def __init__(self, address: tuple[str, int], deadline: float, most_bytes: int) -> None:
        """Connect. Raises Broken."""
        self.deadline = deadline
        self._left = most_bytes
        self._buffer = b""
        try:
            self._socket = socket.create_connection(address, timeout=self._time_left())
        except OSError as problem:
            raise Broken(f"cannot connect: {problem.strerror or problem}") from problem

    def close(self) -> None:
        """End it."""
        self._socket.close()

    def get(self, path: str, host: str, *more: str) -> tuple[str, bytes]:
        """The status line and what came with it of a GET; the stream is then what the answer made of it."""
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *more, "", ""]
        self.send("\r\n".join(lines).encode())
        head = self._until(b"\r\n\r\n").decode(errors="replace")
        status, *fields = head.split("\r\n")
        named = dict(field.lower().split(": ", 1) for field in fields if ": " in field)
        length = named.get("content-length", "0")
        return status, self.exactly(int(length) if length.isdecimal() else 0)

    def send(self, content: bytes) -> None:
        """Raises Broken."""
        try:
            self._socket.settimeout(self._time_left())
            self._socket.sendall(content)
        except OSError as problem:
            raise Broken(f"cannot send: {problem.strerror or problem}") from problem

    def exactly(self, amount: int) -> bytes:
        """So many bytes. Raises Broken."""
        while len(self._buffer) < amount:
            self._buffer += self._more()
        found, self._buffer = self._buffer[:amount], self._buffer[amount:]
        return found

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            if len(self._buffer) > _LONGEST_HEAD:
                raise Broken("its answer has no end of the head")
            self._buffer += self._more()
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def _more(self) -> bytes:
        try:
            self._socket.settimeout(self._time_left())
            part = self._socket.recv(65536)
        except OSError as problem:
            raise Broken(f"no answer: {problem.strerror or problem}") from problem
        self._left -= len(part)
        if not part or self._left < 0:
            raise Broken("the connection was closed" if not part else "it says too much")
        return part

    def _time_left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Broken("no answer in time")
        return left


class Messages:
    """JSON messages on a stream that was upgraded. Raises Broken."""

    def __init__(self, stream: Stream, path: str, host: str) -> None:
        """Upgrade it."""
        self.stream = stream
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
        status, _ = stream.get(path, host, *upgrade, f"Sec-WebSocket-Key: {key}")
        if " 101" not in status:
            raise Broken(f"it does not speak WebSocket: {status[:80]!r}")

    def send(self, message: dict[str, Any]) -> None:
        """One text message."""
        self._frame(_TEXT, json.dumps(message).encode())

    def receive(self) -> dict[str, Any]:
        """The next one; pings are answered meanwhile."""
        content = b""
        while True:
            kind, final, part = self._next()
            if kind == _PING:
                self._frame(_PONG, part)
            elif kind == _CLOSE:
                raise Broken("the connection was closed")
            elif kind in {_TEXT, _CONTINUED}:
                content += part
                if final:
                    return self._read(content)

    def _read(self, content: bytes) -> dict[str, Any]:
        try:
            found = json.loads(content)
        except ValueError as problem:
            raise Broken("a message that is no JSON") from problem
        if not isinstance(found, dict):
            raise Broken("a message that is no object")
        return found

    def _next(self) -> tuple[int, bool, bytes]:
        first, second = self.stream.exactly(2)
        length = second & _LENGTH
        if length == _SHORT:
            (length,) = struct.unpack(">H", self.stream.exactly(2))
        elif length == _LONG:
            (length,) = struct.unpack(">Q", self.stream.exactly(8))
        return first & 0xF, bool(first & _FINAL), self.stream.exactly(length)

    def _frame(self, kind: int, content: bytes) -> None:
        length = len(content)
        head = bytes([_FINAL | kind])
        if length < _SHORT:
            head += bytes([_MASKED | length])
        else:
            head += bytes([_MASKED | _SHORT]) + struct.pack(">H", length)
        # A mask of zeros is a mask: what is sent is not secret, and nothing stands between.
        self.stream.send(head + bytes(4) + content)
