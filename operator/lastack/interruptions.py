"""Ctrl-C, SIGTERM and a closed terminal, as one thing: KeyboardInterrupt in the main thread. For lab and demo.

What was started is stopped by the context managers on the way out; `held_back` keeps the moment whole in which
something is started and handed to the context manager that will stop it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
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


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """What would interrupt the block comes when it has ended. In a thread, where nothing is raised, a no-op."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    # Only what Python handles can interrupt; an ignored signal stays ignored, for a child that is started here too.
    before = {number: handler for number in _ENDS if callable(handler := signal.getsignal(number))}
    for number in before:
        signal.signal(number, lambda came, _: caught.append(came))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if caught:
        signal.raise_signal(caught[0])


def _interrupt(_number: int, _frame: types.FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
