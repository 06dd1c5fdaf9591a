"""Ctrl-C, SIGTERM and a closed terminal, as one thing: KeyboardInterrupt in the main thread. For lab and demo.

What was started is stopped by the context managers on the way out.
"""

from __future__ import annotations

import contextlib
import signal
import types
from collections.abc import Iterator
from typing import NoReturn

EXIT_CODE = 130

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Inside the block all three raise KeyboardInterrupt, also where SIGINT was ignored (a shell's `&`)."""
    before = {number: signal.signal(number, _interrupt) for number in _ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: types.FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
