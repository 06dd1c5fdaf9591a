"""A handler as people write it: it asks another service, without a time-out."""

import socket
from collections.abc import Callable, Iterable

FAR = ("127.0.0.1", 7000)


def ask_far_service() -> bytes:
    """The answer of the other service, whenever it comes."""
    with socket.create_connection(FAR) as connection:
        connection.sendall(b"what is the price?\n")
        return connection.recv(100)


def application(environ: dict[str, str], start_response: Callable[..., object]) -> Iterable[bytes]:
    """/ask asks the other service, everything else answers at once."""
    status, body = "200 OK", b"ok\n"
    if environ["PATH_INFO"] == "/ask":
        try:
            body = ask_far_service()
        except OSError as problem:
            status, body = "502 Bad Gateway", f"{problem}\n".encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
