"""gunicorn with its sync worker and with threads, and uvicorn."""

import pathlib
import sys

from tests.corpus import shapes

_BIN = pathlib.Path(sys.executable).parent
_HERE = str(pathlib.Path(__file__).parent)
_TLS = ("--certfile", "{certificate}", "--keyfile", "{key}")
_BLOCKING = frozenset[shapes.Handler](
    {"ok", "work", "slow", "lock", "downstream", "sleep", "cpu", "hoard", "fetch", "download"}
)

# A worker whose accept() fails ends, and its master starts another: the files come back every few seconds.
_RESTARTS_ITSELF = shapes.Expectation(
    frozenset({"fd-exhaustion", "healthy", "half-close-in-use"}),
    frozenset({"acceptQueue.headAge", "acceptProgress"}),
)
# After 30 s its master kills a worker that does not end: from then on a stuck handler is a very slow one.
_KILLED = frozenset({"accept-stall", "overload"})
_PEER = f"127.0.0.1:{shapes.DOWNSTREAM_PORT}"

GUNICORN_SYNC = shapes.Server(
    name="gunicorn-sync",
    command=(str(_BIN / "gunicorn"), "--chdir", _HERE, "-b", "127.0.0.1:{port}", "wsgi:application"),
    process="gunicorn",
    address="127.0.0.1",
    backlog=2048,
    handlers=_BLOCKING | {"leak"},
    stalls_as="accept-stall",
    workers=1,
    load=(4, 0.07, "work"),
    overload=10,
    polls=3,
    tls=_TLS,
    # Its one worker writes to the slowest reader and to nobody else: this server wants a proxy in front.
    otherwise={
        "download": shapes.Expectation(_KILLED, causes=frozenset({"client"})),
        "lock": shapes.Expectation(_KILLED, causes=frozenset({"lock"})),
        "downstream": shapes.Expectation(_KILLED, causes=frozenset({"downstream"}), peer=_PEER),
        "sleep": shapes.Expectation(_KILLED),
        "cpu": shapes.Expectation(_KILLED, causes=frozenset({"cpu"})),
        "exhausted": _RESTARTS_ITSELF,
        "leak-exhausted": _RESTARTS_ITSELF,
    },
)
GUNICORN_GTHREAD = shapes.Server(
    name="gunicorn-gthread",
    command=(
        *(str(_BIN / "gunicorn"), "--chdir", _HERE, "-b", "127.0.0.1:{port}"),
        *("-k", "gthread", "--threads", "4", "wsgi:application"),
    ),
    process="gunicorn",
    address="127.0.0.1",
    backlog=2048,
    handlers=_BLOCKING | {"leak", "longpoll", "stream"},
    stalls_as="handler-stall",
    workers=4,
    load=(10, 0.04, "work"),
    overload=120,
    polls=3,
    tls=_TLS,
    otherwise={"exhausted": _RESTARTS_ITSELF, "leak-exhausted": _RESTARTS_ITSELF},
)
UVICORN = shapes.Server(
    name="uvicorn",
    command=(str(_BIN / "uvicorn"), "--app-dir", _HERE, "--port", "{port}", "asgi:application"),
    process="uvicorn",
    address="127.0.0.1",
    backlog=2048,
    # Not "stream": it closes a connection whose client has shut down its sending half.
    handlers=_BLOCKING | {"longpoll"},
    stalls_as="accept-stall",
    workers=1,
    load=(4, 0.07, "work"),
    overload=10,
    tls=("--ssl-certfile", "{certificate}", "--ssl-keyfile", "{key}"),
)

SERVERS = (GUNICORN_SYNC, GUNICORN_GTHREAD, UVICORN)
