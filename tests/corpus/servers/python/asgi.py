"""The application that uvicorn serves; its handlers block the event loop where they should not."""

import asyncio
from collections.abc import Awaitable, Callable

import handlers  # type: ignore[import-not-found]  # its folder is on the path of the server

_Send = Callable[[dict[str, object]], Awaitable[None]]


async def application(
    scope: dict[str, object], _receive: Callable[[], Awaitable[object]], send: _Send
) -> None:
    """Answer, or do what the path says; long polls and streams wait without blocking anybody."""
    if scope["type"] != "http":
        return
    path, query = str(scope["path"]), bytes(scope["query_string"]).decode()  # type: ignore[call-overload]  # ASGI says bytes
    if path == "/longpoll":
        await asyncio.sleep(handlers.poll_seconds(query))
    else:
        handlers.run(path, query)
    length = handlers.length(path)
    headers = [(b"content-type", b"text/plain")]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if length is None:
        await _stream(send)
    else:
        for part in handlers.body(path):
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _stream(send: _Send) -> None:
    for _ in range(240):
        await send({"type": "http.response.body", "body": b"news\n", "more_body": True})
        await asyncio.sleep(0.5)
