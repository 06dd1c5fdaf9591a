"""The little HTTP that the lab's programs speak: one request for a path, one answer.

Called by services, upstreams, backends, clients and followers.
"""

import json
import socket
from collections.abc import Mapping

_LONGEST_HEAD = 8192
_PHRASES = {200: "OK", 404: "Not Found", 502: "Bad Gateway"}


def read_path(connection: socket.socket) -> str | None:
    """The path of a GET request; None when the client sent nothing that is one. Raises OSError."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _LONGEST_HEAD:
        part = connection.recv(4096)
        if not part:
            return None
        head += part
    words = head.split(b"\r\n", 1)[0].split(b" ")
    return words[1].decode("ascii", "replace") if len(words) == 3 and words[0] == b"GET" else None


def request(path: str) -> bytes:
    """A request for that path."""
    return f"GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n".encode("ascii")


def response(status: int, body: Mapping[str, object]) -> bytes:
    """One HTTP answer, after which the connection is meant to be closed."""
    content = json.dumps(body).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + content


def stream_head() -> bytes:
    """The head of an answer whose end is the end of the connection."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
