"""Handlers for gunicorn: /work takes 20 ms, /stuck never ends."""

import threading
import time
from collections.abc import Callable, Iterable

_NEVER = threading.Event()


def application(environ: dict[str, str], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer, or hang in a wait as a handler does whose lock is never released."""
    if environ["PATH_INFO"] == "/stuck":
        _NEVER.wait()
    if environ["PATH_INFO"] == "/work":
        time.sleep(0.02)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"ok\n"]
