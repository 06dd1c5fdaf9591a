"""gunicorn with its sync worker and with threads, and uvicorn."""

import pathlib
import sys

from tests.corpus import shapes

_BIN = pathlib.Path(sys.executable).parent
_HERE = str(pathlib.Path(__file__).parent)
_TLS = ("--certfile", "{certificate}", "--keyfile", "{key}")
_BLOCKING = frozenset[shapes.Handler](
    {"ok", "work", "slow", "lock", "downstream", "sleep", "cpu", "hoard", "fetch", "stream"}
)

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
    tls=_TLS,
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
    handlers=_BLOCKING | {"leak", "longpoll", "download"},
    stalls_as="handler-stall",
    workers=4,
    load=(10, 0.04, "work"),
    overload=120,
    polls=3,
    tls=_TLS,
)
UVICORN = shapes.Server(
    name="uvicorn",
    command=(str(_BIN / "uvicorn"), "--app-dir", _HERE, "--port", "{port}", "asgi:application"),
    process="uvicorn",
    address="127.0.0.1",
    backlog=2048,
    handlers=_BLOCKING | {"longpoll", "download"},
    stalls_as="accept-stall",
    workers=1,
    load=(4, 0.07, "work"),
    overload=10,
    tls=("--ssl-certfile", "{certificate}", "--ssl-keyfile", "{key}"),
)

SERVERS = (GUNICORN_SYNC, GUNICORN_GTHREAD, UVICORN)
