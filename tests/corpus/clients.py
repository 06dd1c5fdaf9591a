"""Clients of the corpus, run as a program of their own: python clients.py PORT BEHAVIOUR key=value ...

They go on until SIGTERM, then print as JSON what came of it. With tls=1 they speak TLS. Every request has a
connection of its own unless its behaviour says otherwise. Rooms start them; conditions name them.
"""

import asyncio
import collections
import contextlib
import ctypes
import dataclasses
import inspect
import json
import os
import signal
import socket
import ssl
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

_CONNECT_SECONDS = 10.0
_LINE = 65536
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER of asm-generic/socket.h
_RETURN_CONSTANT = 0x06  # BPF_RET | BPF_K: with 0 it keeps no byte of any packet


@dataclasses.dataclass(slots=True)
class Tally:
    """What came of all requests so far."""

    requests: int = 0
    answers: int = 0
    gave_up: int = 0
    failures: int = 0
    last_failure: str = ""
    begun: float = dataclasses.field(default_factory=time.monotonic)

    def failed(self, why: object) -> None:
        """One more that neither was answered nor gave up."""
        self.failures += 1
        self.last_failure = str(why)[:100] or type(why).__name__

    def document(self) -> dict[str, object]:
        """As it is printed."""
        fields = dataclasses.asdict(self)
        fields["seconds"] = round(time.monotonic() - fields.pop("begun"), 3)
        return fields


@dataclasses.dataclass(slots=True)
class Visit:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def ask(self, path: str, wish: str = "Connection: close") -> None:
        """Send a request."""
        self.writer.write(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n{wish}\r\n\r\n".encode())

    def leave(self) -> None:
        """Close it as a program does that ends."""
        self.writer.close()


class Clients:
    """Each public coroutine is a behaviour; its parameters are the key=value words of the command line."""

    def __init__(self, port: int, *, tls: bool) -> None:
        self.tally = Tally()
        self._port = port
        self._tls: ssl.SSLContext | None = None
        self._running: set[asyncio.Task[None]] = set()
        if tls:
            self._tls = ssl.create_default_context()
            self._tls.check_hostname = False
            self._tls.verify_mode = ssl.CERT_NONE

    async def ask(self, path: str = "ok", within: float = 30) -> None:
        """One request after another until one is answered; the program ends then."""
        deadline = time.monotonic() + within
        while not self.tally.answers and time.monotonic() < deadline:
            await self._request(path, patience=5)
            await asyncio.sleep(0.1)

    async def hang(
        self, path: str, count: int, every: float = 0.1, patience: float = 1.0, stay: int = 1
    ) -> None:
        """`count` requests, one each `every` seconds; all but the last `stay` give up after `patience` seconds."""
        for number in range(count):
            self._begin(self._request(path, patience=patience if number < count - stay else None))
            await asyncio.sleep(every)
        await asyncio.Event().wait()

    async def crowd(self, path: str, rate: float, patience: float | None = None) -> None:
        """`rate` requests a second for ever, whatever becomes of them; each gives up after `patience` seconds."""
        begun, number = time.monotonic(), 0
        while True:
            self._begin(self._request(path, patience=patience))
            number += 1
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))

    async def load(self, path: str, clients: int, pause: float) -> None:
        """A closed loop: `clients` that ask, wait for the answer and pause, for ever."""

        async def visit(number: int) -> None:
            await asyncio.sleep(pause * number / clients)
            while True:
                await self._request(path, patience=60)
                await asyncio.sleep(pause)

        await asyncio.gather(*(visit(number) for number in range(clients)))

    async def bursts(self, path: str, size: int, every: float, patience: float = 10) -> None:
        """`size` handshakes at the same moment, again each `every` seconds; programs side by side keep step."""
        while True:
            fresh = [socket.socket() for _ in range(size)]
            for each in fresh:
                each.setblocking(False)
            await asyncio.sleep(every - time.monotonic() % every)
            for each in fresh:
                each.connect_ex(("127.0.0.1", self._port))
            for each in fresh:
                self._begin(self._request(path, patience=patience, begun=each))

    async def pool(self, path: str, connections: int, every: float) -> None:
        """Connections that are kept alive, with a request on each every so often; a closed one is made anew."""

        async def keep(number: int) -> None:
            await asyncio.sleep(every * number / connections)
            while True:
                await self._talk(path, every)

        await asyncio.gather(*(keep(number) for number in range(connections)))

    async def polls(self, path: str, count: int, patience: float, every: float = 0.2) -> None:
        """`count` long polls at any time, begun anew when they end; every second one gives up after `patience`."""

        async def poll(number: int) -> None:
            await asyncio.sleep(every * number)
            while True:
                await self._request(path, patience=patience if number % 2 else None)
                await asyncio.sleep(every)

        await asyncio.gather(*(poll(number) for number in range(count)))

    async def abandon(self, path: str, count: int, patience: float, every: float = 0.2) -> None:
        """`count` long polls, each given up after `patience` seconds and not begun again."""
        for _ in range(count):
            self._begin(self._request(path, patience=patience))
            await asyncio.sleep(every)
        await asyncio.Event().wait()

    async def readers(self, path: str, count: int, rate: int) -> None:
        """`count` clients that read a long answer at `rate` bytes a second each, again and again."""

        async def read() -> None:
            while True:
                await self._read_slowly(path, rate)

        await asyncio.gather(*(read() for _ in range(count)))

    async def upgrade(self, path: str, every: float) -> None:
        """One client after the other upgrades its connection and leaves, for ever."""
        while True:
            with self._counted() as visits:
                visit = await visits
                visit.ask(path, "Connection: Upgrade\r\nUpgrade: device")
                answer = await asyncio.wait_for(visit.reader.readuntil(b"\r\n\r\n"), _CONNECT_SECONDS)
                visit.leave()
                self._count(answer, b"HTTP/1.1 101")
            await asyncio.sleep(every)

    async def half_close(self, path: str, count: int) -> None:
        """`count` clients that end their sending half after the request and go on reading, as rsh and nc do."""

        async def listen() -> None:
            while True:
                with self._counted() as visits:
                    visit = await visits
                    visit.ask(path)
                    visit.writer.write_eof()
                    self._count(await visit.reader.read(), b"HTTP/1.1 200")
                    visit.leave()
                await asyncio.sleep(0.2)

        await asyncio.gather(*(listen() for _ in range(count)))

    async def flood(self, half_open: int, fresh: float) -> None:
        """`half_open` handshakes that are never finished, the oldest giving way to `fresh` new ones a second."""
        program = ctypes.create_string_buffer(struct.pack("=HBBI", _RETURN_CONSTANT, 0, 0, 0), 8)
        senders: collections.deque[socket.socket] = collections.deque()
        while True:
            senders.append(self._knock(program, len(senders)))
            self.tally.requests += 1
            if len(senders) > half_open:
                senders.popleft().close()
                await asyncio.sleep(1 / fresh)

    def _knock(self, deaf: ctypes.Array[ctypes.c_char], number: int) -> socket.socket:
        """A SYN whose answer is thrown away by a filter on the socket that sent it."""
        sender = socket.socket()
        sender.setblocking(False)
        one = struct.pack("@HP", 1, ctypes.addressof(deaf))
        sender.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, one)
        sender.bind((f"127.9.{number % 250}.{self.tally.requests % 250 + 1}", 0))
        sender.connect_ex(("127.0.0.1", self._port))
        return sender

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _open(self, begun: socket.socket | None = None) -> Visit:
        """A connection, or the one that was `begun` once its handshake is over."""
        self.tally.requests += 1
        if begun is None:
            opening = asyncio.open_connection("127.0.0.1", self._port, ssl=self._tls, limit=_LINE)
        else:
            opening = _shaken(begun)
        return Visit(*await asyncio.wait_for(opening, _CONNECT_SECONDS))

    def _counted(self, begun: socket.socket | None = None) -> "_Counted":
        return _Counted(self.tally, lambda: self._open(begun))

    def _count(self, answer: bytes, wanted: bytes) -> None:
        if answer.startswith(wanted):
            self.tally.answers += 1
        else:
            self.tally.failed(answer[:60].decode(errors="replace") or "closed without an answer")

    async def _request(
        self, path: str, *, patience: float | None, begun: socket.socket | None = None
    ) -> None:
        with self._counted(begun) as visits:
            visit = await visits
            visit.ask(path)
            try:
                self._count(await asyncio.wait_for(visit.reader.read(), patience), b"HTTP/1.1 200")
            except TimeoutError:
                self.tally.gave_up += 1
            finally:
                visit.leave()

    async def _talk(self, path: str, every: float) -> None:
        """Requests on one connection until it is closed."""
        with self._counted() as visits:
            visit = await visits
            try:
                while True:
                    visit.ask(path, "Connection: keep-alive")
                    head = await asyncio.wait_for(visit.reader.readuntil(b"\r\n\r\n"), 60)
                    await visit.reader.readexactly(_length(head))
                    self._count(head, b"HTTP/1.1 200")
                    await asyncio.sleep(every)
                    if visit.reader.at_eof() or b"connection: close" in head.lower():
                        return
                    self.tally.requests += 1
            except asyncio.IncompleteReadError:
                return  # a server may end an idle connection at any time: a pool makes a new one
            finally:
                visit.leave()

    async def _read_slowly(self, path: str, rate: int) -> None:
        with self._counted() as visits:
            visit = await visits
            visit.ask(path)
            head = await visit.reader.read(rate)
            self._count(head, b"HTTP/1.1 200")
            part = head
            while part:
                await asyncio.sleep(1)
                part = await visit.reader.read(rate)
            visit.leave()


class _Counted:
    """Counts what fails inside of it; entered with a connection to await."""

    def __init__(self, tally: Tally, opening: Callable[[], Awaitable[Visit]]) -> None:
        self._tally, self._opening = tally, opening

    def __enter__(self) -> Awaitable[Visit]:
        return self._opening()

    def __exit__(self, _kind: object, problem: BaseException | None, _trace: object) -> bool:
        if isinstance(problem, OSError | TimeoutError | asyncio.IncompleteReadError | ssl.SSLError):
            self._tally.failed(problem)
            return True
        return False


async def _shaken(begun: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A plain connection whose handshake somebody began without waiting for it. Raises OSError when it failed."""
    loop = asyncio.get_running_loop()
    writable = asyncio.Event()
    loop.add_writer(begun, writable.set)
    try:
        await writable.wait()
    finally:
        loop.remove_writer(begun)
    if problem := begun.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(problem, os.strerror(problem))
    return await asyncio.open_connection(sock=begun, limit=_LINE)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    raise ValueError(f"an answer without Content-Length cannot be kept alive: {head!r}")


def _bound(behaviour: Callable[..., Awaitable[None]], words: list[str]) -> dict[str, object]:
    """The parameters, each read as its annotation says."""
    kinds = inspect.signature(behaviour).parameters
    given = dict(word.split("=", 1) for word in words)
    readers: dict[object, Callable[[str], object]] = {int: int, float: float, str: str}
    return {key: readers.get(kinds[key].annotation, float)(value) for key, value in given.items()}


async def _main(port: int, name: str, words: list[str]) -> int:
    tls = "tls=1" in words
    clients = Clients(port, tls=tls)
    behaviour = getattr(clients, name)
    loop = asyncio.get_running_loop()
    work = loop.create_task(behaviour(**_bound(behaviour, [word for word in words if word != "tls=1"])))
    over = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    await asyncio.wait({work, loop.create_task(over.wait())}, return_when=asyncio.FIRST_COMPLETED)
    # Again and again: wait_for loses a cancellation that comes together with its result.
    while not work.done():
        work.cancel()
        await asyncio.wait({work}, timeout=0.5)
    with contextlib.suppress(asyncio.CancelledError):
        work.result()
    sys.stdout.write(json.dumps(clients.tally.document()) + "\n")
    return 0 if clients.tally.answers else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])))
