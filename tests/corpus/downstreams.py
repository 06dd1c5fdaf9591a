"""What the handlers of the corpus ask, run as a program of its own: python downstreams.py PORT KIND.

`silent` accepts, reads the question and never answers; `brief` answers one line and closes.
"""

import asyncio
import sys


async def _silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _brief(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
    await writer.drain()
    writer.close()


async def _main(port: int, kind: str) -> None:
    server = await asyncio.start_server(_silent if kind == "silent" else _brief, "127.0.0.1", port)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2]))
