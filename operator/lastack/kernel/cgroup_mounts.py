"""Where the files of a control group stand: version 1 (a tree per controller), version 2 (one tree), and both.

Called by sensors.groups. /proc/PID/cgroup says the path within each tree, /proc/self/mountinfo where a tree is seen
and which part of it: inside a container often only its own.
"""

import dataclasses
import posixpath

from lastack.engine import samples
from lastack.kernel import procfs

UNIFIED = ""
"""What stands for version 2 in place of a controller's name."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tree:
    """One mounted hierarchy. `controllers` are those of version 1, and only UNIFIED for version 2."""

    controllers: frozenset[str]
    top: str
    """The group that the mount point shows."""
    point: str


def read_trees() -> tuple[Tree, ...] | samples.Missing:
    """The hierarchies that this process sees."""
    content = procfs.read("/proc/self/mountinfo")
    return content if isinstance(content, samples.Missing) else parse_trees(content.decode(errors="replace"))


def parse_trees(text: str) -> tuple[Tree, ...]:
    """From the lines of mountinfo: `id parent device TOP POINT options... - type source OPTIONS`."""
    found = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        words, kind = left.split(), right.split()
        if len(words) < 5 or len(kind) < 3 or kind[0] not in {"cgroup", "cgroup2"}:
            continue
        controllers = {UNIFIED} if kind[0] == "cgroup2" else set(kind[2].split(","))
        found.append(Tree(frozenset(controllers), _unescaped(words[3]), _unescaped(words[4])))
    return tuple(found)


def parse_groups(text: str) -> dict[str, str]:
    """From the lines of /proc/PID/cgroup: controller -> path; UNIFIED for version 2."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, where = rest.partition(":")
        found.update(dict.fromkeys(controllers.split(","), where))
    return found


def folders(trees: tuple[Tree, ...], controller: str, where: str) -> tuple[str, ...]:
    """The folder of a group and of every group above it that is mounted, the innermost first; empty: not seen."""
    for tree in trees:
        # Beyond the own cgroup namespace, paths of groups and of mounts begin with "/..": nobody can tell them apart.
        if controller not in tree.controllers or "/.." in where or "/.." in tree.top:
            continue
        inside = posixpath.relpath(where, tree.top) if where.startswith("/") else ".."
        if inside == ".." or inside.startswith("../"):
            continue
        parts = [] if inside == "." else inside.split("/")
        return tuple(posixpath.join(tree.point, *parts[:depth]) for depth in range(len(parts), -1, -1))
    return ()


def _unescaped(path: str) -> str:
    """Spaces, tabs, newlines and backslashes of a path are octal in mountinfo."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path
