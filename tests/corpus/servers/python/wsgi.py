"""The application that gunicorn serves, with sync workers and with threads."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import handlers  # type: ignore[import-not-found]  # its folder is on the path of the server


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer, or do what the path says."""
    path = environ["PATH_INFO"]
    if path == "/leak":
        start_response("101 Switching Protocols", [])
        handlers.take_over(environ["gunicorn.socket"])
        return []
    handlers.run(path, environ["QUERY_STRING"])
    length = handlers.length(path)
    headers = [("Content-Type", "text/plain")]
    start_response("200 OK", headers + ([] if length is None else [("Content-Length", str(length))]))
    return handlers.body(path) if length is not None else _stream()


def _stream() -> Iterator[bytes]:
    for _ in range(240):
        yield b"news\n"
        time.sleep(0.5)
