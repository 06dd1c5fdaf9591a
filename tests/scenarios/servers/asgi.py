"""Handlers for uvicorn: /work blocks the event loop for 10 ms, /stuck for ever."""

import threading
import time
from collections.abc import Awaitable, Callable

_NEVER = threading.Event()


async def application(
    scope: dict[str, str],
    _receive: Callable[[], Awaitable[object]],
    send: Callable[[dict[str, object]], Awaitable[None]],
) -> None:
    """Answer; a blocking call in a coroutine holds everybody up."""
    if scope["type"] != "http":
        return
    if scope["path"] == "/stuck":
        _NEVER.wait()
    if scope["path"] == "/work":
        time.sleep(0.01)  # noqa: ASYNC251 - this is the mistake that the scenario is about
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"3")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok\n"})
