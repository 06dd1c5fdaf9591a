"""A WSGI service for gunicorn, whose requests need a lock file: run by the units that beds.py writes.

The lock file lies in the unit's RuntimeDirectory, which systemd removes when the unit stops. Whoever keeps a lock on
it makes the service sick, and a new life of the unit, with a new file, is well again.
"""

from __future__ import annotations

import fcntl
import os
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

LOCK_NAME = "stock.lock"

Headers = list[tuple[str, str]]


def serve(environ: dict[str, Any], start_response: Callable[[str, Headers], object]) -> Iterable[bytes]:
    """The application: `/work` takes the lock for a moment, everything else is answered at once."""
    if environ["PATH_INFO"] == "/work":
        wait_for_stock_lock(pathlib.Path(os.environ["RUNTIME_DIRECTORY"], LOCK_NAME))
    body = b"in stock\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def wait_for_stock_lock(path: pathlib.Path) -> None:
    """Return when nobody else holds the lock. This is the function that the dumps have to name."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
