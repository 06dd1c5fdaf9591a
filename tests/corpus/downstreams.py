"""What the handlers of the corpus ask, run as a program of its own: python downstreams.py PORT KIND.

`silent` accepts, reads the question and never answers; `deaf` listens and never accepts; `brief` answers and closes:
/longpoll after 20 s, /work after 20 ms, /download with 64 MiB of zeros, everything else with "ok" at once.
"""

import asyncio
import contextlib
import socket
import sys

_DOWNLOAD = 64 * 1024 * 1024
_PART = bytes(65536)
_SECONDS = {"/longpoll": 20.0, "/work": 0.02}


async def _silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _brief(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    words = (await reader.readline()).decode().split()
    path = words[1].partition("?")[0] if len(words) > 1 else ""
    await asyncio.sleep(_SECONDS.get(path, 0))
    length = _DOWNLOAD if path == "/download" else 3
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n".encode())
    with contextlib.suppress(ConnectionError):  # whoever asked may have left
        for _ in range(length // len(_PART)):
            writer.write(_PART)
            await writer.drain()
        writer.write(b"ok\n" if length == 3 else b"")
        await writer.drain()
    writer.close()


async def _main(port: int, kind: str) -> None:
    if kind == "deaf":
        listening = socket.create_server(("127.0.0.1", port), backlog=128)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.Event().wait()
        listening.close()
    server = await asyncio.start_server(_silent if kind == "silent" else _brief, "127.0.0.1", port)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2]))
