"""Run part of a test in a network namespace of its own, which ends with it. Used by every test with sockets."""

import subprocess
from collections.abc import Callable
from concurrent import futures
from typing import TypeVar

from lastack.kernel import linux, netns

_Result = TypeVar("_Result")


def alone(work: Callable[[], _Result]) -> _Result:
    """Run `work` in a thread with a new namespace, loopback up; programs that it starts are there too."""

    def enter_and_work() -> _Result:
        try:
            linux.unshare(linux.CLONE_NEWNET)
        except PermissionError as problem:
            raise AssertionError("kernel tests make network namespaces: run them as root") from problem
        netns.raise_loopback()
        return work()

    with futures.ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(enter_and_work).result()


def printed(*command: str) -> str:
    """What a program prints; it has to end well."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
