"""Control groups: in which unit or container a process lives, and which processes a group holds.

Called by sensors and hosts. systemd keeps its tree in the hierarchy name=systemd (version 1 and hybrid) or in
the only one (version 2); elsewhere the paths are a container engine's.
"""

import os
import re

from lastack.engine import samples
from lastack.kernel import procfs

_ROOT = "/sys/fs/cgroup"
_UNIT = re.compile(r"_?([^/]+\.(?:service|scope|socket|mount|swap))")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")
_NAMED = re.compile(
    r"/machine-(?!qemu\\x2d)([^/]+)\.scope(?=/|$)"  # systemd-nspawn, libvirt's lxc; a virtual machine is none
    r"|/systemd-nspawn@([^/]+)\.service(?=/|$)"
    r"|/lxc\.payload[./]([^/]+)"
    r"|/lxc/([^/]+)"
)
_CONTAINER = re.compile(r"(?:^|[-:/])([0-9a-f]{64})(?:\.scope)?(?=/|$)")


def path(pid: int) -> str | samples.Missing:
    """The group of a process in systemd's hierarchy, else in version 2, else the longest; `/` is the root."""
    content = procfs.read(f"/proc/{pid}/cgroup")
    if isinstance(content, samples.Missing):
        return content
    return parse(content.decode(errors="replace"))


def parse(text: str) -> str | samples.Missing:
    """Choose from the lines of /proc/PID/cgroup: `number:controllers:path`."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, where = rest.partition(":")
        if where:
            found[controllers] = where
    for controllers in ("name=systemd", ""):
        if found.get(controllers, "/") != "/":
            return found[controllers]
    if not found:
        return samples.Missing("this kernel has no control groups")
    # Engines without systemd make groups per controller only.
    return max(found.values(), key=len)


def unit(where: str) -> str | None:
    """The systemd unit of a group path: the first part that is no slice, as systemd itself has it."""
    for part in where.split("/"):
        if found := _UNIT.fullmatch(part):
            return found[1]
        if part and not part.endswith(".slice"):
            return None
    return None


def container(where: str) -> str | None:
    """The container of a group path, the innermost one; None outside of containers.

    Its 64-digit id (docker, containerd, CRI-O, podman), or its name (systemd-nspawn and other machines, lxc, lxd).
    """
    ids: list[str] = _CONTAINER.findall(where)
    if ids:
        return ids[-1]
    names = [name for found in _NAMED.findall(where) for name in found if name]
    return _ESCAPED.sub(lambda code: chr(int(code[1], 16)), names[-1]) if names else None


def pids(where: str, *, root: str = _ROOT) -> tuple[int, ...] | samples.Missing:
    """Every process of a group path and the groups below it, ascending."""
    top = _folder(where, root)
    if not os.path.isdir(top):
        return samples.Missing(f"vanished: control group {where} is not there (any more)")
    found: set[int] = set()
    for folder, _, _ in os.walk(top):
        content = procfs.read(f"{folder}/cgroup.procs")
        if isinstance(content, samples.Missing):
            if content.fix is not None:
                return content
            continue
        found.update(int(word) for word in content.split())
    return tuple(sorted(found))


def _folder(where: str, root: str) -> str:
    """Where a group path stands: below `systemd` on version 1 and hybrid, at the root on version 2."""
    hierarchy = f"{root}/systemd"
    return (hierarchy if os.path.isdir(hierarchy) else root) + where
