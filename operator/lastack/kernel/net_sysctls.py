"""net.* sysctls of any network namespace, read and written from the inside.

Called by sensors (reading) and executors (leases). /proc/sys/net shows the namespace of the thread that opens
it, and nothing in a path says whose it is; so a write names the namespace that it is meant for, and is done
only when the thread really stands in it.
"""

import errno
import os
import re

from lastack import errors
from lastack.engine import samples
from lastack.kernel import netns, procfs

_NAME = re.compile(r"net(?:\.[A-Za-z0-9_-]+)+")


def read(name: str, path: str | None = None) -> str | samples.Missing:
    """The value as text with single spaces, in the namespace at `path` (None: the caller's own)."""
    if path is None:
        return _read(name)
    try:
        return netns.call_in(path, lambda: _read(name))
    except errors.WorldError as problem:
        return samples.Missing(problem.message, fix=problem.fix)


def write(
    name: str, value: str, *, path: str, expected: netns.NetNamespace, only_if: str | None = None
) -> str | None:
    """Write in the namespace at `path`, only when it is `expected`; the value that is there afterwards.

    With `only_if` it is compare and swap: None means that another value was found and nothing was written.
    Raises NotReachable (another namespace, or none), NotPermitted, Unsupported (no such sysctl there) or
    UsageError (the kernel does not take the value).
    """
    return netns.call_in(path, lambda: _swap(name, value, path, expected, only_if))


def _file(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise errors.UsageError(
            f"{name!r} is not a sysctl of a network namespace; expected one like net.core.somaxconn"
        )
    return "/proc/sys/" + name.replace(".", "/")


def _read(name: str) -> str | samples.Missing:
    content = procfs.read(_file(name))
    if not isinstance(content, samples.Missing):
        return " ".join(content.decode(errors="replace").split())
    if content.why.startswith("vanished"):
        return samples.Missing(f"{name} does not exist in this network namespace")
    return content


def _swap(name: str, value: str, path: str, expected: netns.NetNamespace, only_if: str | None) -> str | None:
    found = netns.own()
    if found != expected:
        raise errors.NotReachable(
            f"{path} is network namespace {found.inode}, expected {expected.inode}; nothing was written",
            fix="the member was replaced: look again",
        )
    if only_if is not None and _read(name) != " ".join(only_if.split()):
        return None
    try:
        descriptor = os.open(_file(name), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
    except OSError as problem:
        raise _refusal(name, value, problem) from problem
    after = _read(name)
    if isinstance(after, samples.Missing):
        raise errors.NotReachable(f"{name} was written and cannot be read back: {after.why}", fix=after.fix)
    return after


def _refusal(name: str, value: str, problem: OSError) -> errors.LastackError:
    if problem.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return errors.NotPermitted(
            f"not permitted to write {name}: {problem.strerror}",
            fix="run as root with /proc/sys/net writable (ReadWritePaths=/proc/sys/net in the unit)",
        )
    if problem.errno == errno.ENOENT:
        return errors.Unsupported(f"{name} does not exist in this network namespace")
    return errors.UsageError(f"the kernel does not take {value!r} for {name}: {problem.strerror}")
