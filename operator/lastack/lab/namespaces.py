"""The network namespace of a lab: made for this process and what it starts, gone with the last of them.

It has loopback and nothing else, so that no lab can disturb the machine, and needs no right that an ordinary user
lacks where user namespaces are allowed. Called by cli.lab and cli.demo before any thread is started.
"""

import os
import pathlib

from lastack import errors
from lastack.kernel import netns


def enter_own() -> None:
    """Move this process into a fresh network namespace. Raises NotPermitted or Unsupported with how to go on."""
    try:
        netns.unshare_net()
    except OSError as problem:
        raise errors.Unsupported(
            f"the lab needs a network namespace of its own, and there is none to be had: {problem.strerror}",
            fix="look at sysctl user.max_net_namespaces (0 forbids them), and whether the kernel has CONFIG_NET_NS",
        ) from problem
    except errors.NotPermitted as problem:
        raise errors.NotPermitted(
            f"the lab needs a network namespace of its own, and {problem.message}",
            fix=f"{problem.fix}; in a container: run it with --privileged, or on the host itself",
        ) from problem


def way_in(pid: int, *, root: bool) -> str:
    """The start of a shell command that runs the rest in the network namespace of `pid`, for another terminal."""
    user = "" if root else "--user --preserve-credentials "
    return f"nsenter --target {pid} {user}--net"


def set_sysctl(name: str, value: int) -> None:
    """Write a network setting of the namespace of this process. Raises NotPermitted."""
    path = pathlib.Path("/proc/sys", *name.split("."))
    try:
        path.write_text(f"{value}\n", encoding="ascii")
    except OSError as problem:
        raise errors.NotPermitted(
            f"cannot write {path} in the lab's own network namespace: {problem.strerror}",
            fix="/proc/sys is read-only here (a container?): run the lab on the host, or as root",
        ) from problem


def is_root() -> bool:
    """Whether this is root; asked before enter_own, which makes an ordinary user root of the new namespace."""
    return os.geteuid() == 0
